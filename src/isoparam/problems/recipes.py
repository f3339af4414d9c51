"""What the recipes of the built-in problems share."""

from isoparam.optimizers import LBFGS
from isoparam.problem import Recipe

# One move per step, whole steps without a line search and without tolerances of its own: a search compares losses, and near
# the optimum these no longer differ while the gradient still has eight digits to lose.
FULL_STEPS = LBFGS(max_iter=1, tolerance_grad=0, tolerance_change=0)


def last_digits(tol_grad: float) -> Recipe:
    """L-BFGS from a start near enough, until the gradient norm is at most `tol_grad`.

    Example:
        >>> from isoparam.problems.recipes import last_digits
        >>> last_digits(1e-12).steps
        100
    """
    return Recipe(optimizer=FULL_STEPS, steps=100, tol_grad=tol_grad)
