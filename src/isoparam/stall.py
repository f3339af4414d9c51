"""The warning about an LBFGS that stands still: its own tolerances, or the rounding of the loss, ended every further step."""

import warnings

import numpy as np

from isoparam.errors import StallWarning
from isoparam.optimizers import LBFGS
from isoparam.plan import Plan
from isoparam.saturation import caller


def warn_of_stall(plan: Plan, loss: np.ndarray, grad_norm: np.ndarray, tol_grad: float | None) -> None:
    """Warn when the last two recorded steps of LBFGS on all of the data have the same loss and gradient norm.

    Args:
        plan: the settings of the run.
        loss: the recorded losses.
        grad_norm: the recorded norms.
        tol_grad: what the run was to reach; None for no goal but its steps.
    """
    optimizer = plan.optimizer
    if not isinstance(optimizer, LBFGS) or plan.batch_size is not None or len(loss) < 2:
        return
    if loss[-1] != loss[-2] or grad_norm[-1] != grad_norm[-2]:
        return
    goal = "" if tol_grad is None else f", above tol_grad={tol_grad:g}"
    if optimizer.tolerance_grad or optimizer.tolerance_change:
        cure = "its own tolerances end a step before it moves: LBFGS(..., tolerance_grad=0, tolerance_change=0)"
    else:
        cure = "the losses along the line no longer differ: leave line_search_fn None for the last digits"
    warnings.warn(f"LBFGS no longer moves: the gradient norm stays at {grad_norm[-1]:.3g}{goal}; {cure}", StallWarning,
                  stacklevel=caller())  # fmt: skip
