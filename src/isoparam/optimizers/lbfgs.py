"""Limited-memory BFGS."""

from dataclasses import dataclass

from isoparam.errors import SpecError
from isoparam.optimizers.base import Optimizer, at_least_zero, counts


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS, as `torch.optim.LBFGS`: few steps, each of several evaluations of the loss.

        d = -H g, where H is built from the last `history_size` pairs of a step and the change of the gradient along it
        raw = raw + t * d, with t = lr (the very first: lr * min(1, 1/|g|_1)), or searched for from there

    One step of `train` is one `.step()` of torch: up to `max_iter` such moves on one batch. For the last digits, where
    losses no longer differ, set both tolerances to 0 and let `tol_grad` of `train` end the run. With the tolerances met, later
    steps do not move at all, and a smaller `tol_grad` is never reached: the run goes on to its last step.

    Args:
        lr: first guess of the step length, at least 0; 1 is the natural one.
        max_iter: moves per step, at least 1.
        max_eval: evaluations per step after which no further move begins, at least 1; None is max_iter * 5 // 4.
        tolerance_grad: a step ends once no entry of the gradient is larger than this, at least 0.
        tolerance_change: a step ends after a move that changes loss or parameters by less than this, at least 0.
        history_size: pairs that are kept, at least 1. Pairs with (change of g) . (step) <= 1e-10 are not kept: scale a
            loss up whose gradients are small.
        line_search_fn: "strong_wolfe", or None for t = lr.

    Raises:
        SpecError: for an argument outside its range.

    Limits: `train` refuses it in bfloat16, where differences of gradients are mostly rounding.

    Plain optax differs: one update of `optax.lbfgs` is one move, its caller iterates; it has no tolerances; the first
    step is scaled by the 2-norm of the gradient instead of the 1-norm; every pair with (change of g) . (step) != 0 is
    kept; and its zoom line search starts, interpolates and gives up by other rules.

    Source: Nocedal and Wright (2006), "Numerical optimization", algorithms 7.4, 7.5, 3.5 and 3.6; minFunc by M. Schmidt.

    Example:
        >>> import isoparam as iso
        >>> iso.LBFGS(line_search_fn="strong_wolfe").evaluations
        25
    """

    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "tolerance_grad", "tolerance_change")
        counts(self, "max_iter", "history_size", *(() if self.max_eval is None else ("max_eval",)))
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise SpecError(f"LBFGS: line_search_fn={self.line_search_fn!r} must be 'strong_wolfe' or None")

    @property
    def evaluations(self) -> int:
        """`max_eval`, or what it is when left None."""
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval
