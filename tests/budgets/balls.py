"""Budgets of the specs of `isoparam.specs.balls`."""

from budgets.budget import SUMS, Budget, Row

_BENT = Budget(5, "the part along raw is taken off at lengths near 1; measured 3.7 (l2-ball-tanh, float32, raw of 0.7)")
_PIECES = Budget(6, "an exponential of a sum of logarithms; measured 4 (20 entries)")

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "l2-ball", "pullback"): _BENT,
    ("jax", "l2-ball", "pullback"): _BENT,
    ("torch", "l2-ball-tanh", "pullback"): _BENT,
    ("torch", "l1-ball-stick", "forward"): _PIECES,
    ("jax", "l1-ball-stick", "forward"): _PIECES,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("l2-ball", "forward"): Row(3, 3, 3, None, SUMS),
    ("l2-ball", "inverse"): Row(2, 2, None, None, SUMS),
    ("l2-ball", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("l2-ball", "pullback"): Row(3, 3, 2, None, SUMS),
    ("l2-ball", "log_abs_det_gradient"): Row(3, 3, None, None, SUMS),
    ("l2-ball-tanh", "forward"): Row(1, 3, 2, None, SUMS),
    ("l2-ball-tanh", "inverse"): Row(2, 3, None, None, SUMS),
    ("l2-ball-tanh", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("l2-ball-tanh", "pullback"): Row(3, 3, 3, None, SUMS),
    ("l2-ball-tanh", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("l1-ball", "forward"): Row(3, 3, 3, None, SUMS),
    ("l1-ball", "inverse"): Row(2, 2, None, None, SUMS),
    ("l1-ball", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("l1-ball", "pullback"): Row(2, 3, 2, None, SUMS),
    ("l1-ball", "log_abs_det_gradient"): Row(3, 3, None, None, SUMS),
    ("l1-ball-tanh", "forward"): Row(3, 2, 3, None, SUMS),
    ("l1-ball-tanh", "inverse"): Row(2, 3, None, None, SUMS),
    ("l1-ball-tanh", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("l1-ball-tanh", "pullback"): Row(3, 3, 3, None, SUMS),
    ("l1-ball-tanh", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
    ("l1-ball-stick", "forward"): Row(1, 6, 1, None, SUMS),
    ("l1-ball-stick", "inverse"): Row(2, 2, None, None, SUMS),
    ("l1-ball-stick", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("l1-ball-stick", "pullback"): Row(2, 4, 2, None, SUMS),
    ("l1-ball-stick", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("linf-ball", "forward"): Row(2, 2, 2, None, SUMS),
    ("linf-ball", "inverse"): Row(2, 2, None, None, SUMS),
    ("linf-ball", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("linf-ball", "pullback"): Row(2, 2, 2, None, SUMS),
    ("linf-ball", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
