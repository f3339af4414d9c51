"""Budgets of the specs of `isoparam.specs.balls`."""

from budgets.budget import Budget, Row

_CROSSING = Budget(30, "N log radius and the rest nearly cancel; measured 21 (l2-ball, raw of 0.7, where the sum is -0.18)")
_BENT = Budget(5, "the part along raw is taken off at lengths near 1; measured 3.7 (l2-ball-tanh, float32, raw of 0.7)")
_PIECES = Budget(6, "an exponential of a sum of logarithms; measured 4 (20 entries)")

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "l2-ball", "log_abs_det"): _CROSSING,
    ("jax", "l2-ball", "log_abs_det"): _CROSSING,
    ("torch", "l2-ball", "pullback"): _BENT,
    ("jax", "l2-ball", "pullback"): _BENT,
    ("torch", "l2-ball-tanh", "pullback"): _BENT,
    ("torch", "l1-ball-stick", "forward"): _PIECES,
    ("jax", "l1-ball-stick", "forward"): _PIECES,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {}
