"""Budgets of the specs of `isoparam.specs.series`."""

from budgets.budget import SUMS, Budget, Row

_STEPS = Budget(5, "one rounded product and difference for each of 15 steps; measured 3.8")

_PULLED = Budget(5, "the same steps, backwards; measured 3.5 (float32, 15 steps)")

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "stationary-ar", "forward"): _STEPS,
    ("jax", "stationary-ar", "forward"): _STEPS,
    ("jax", "stationary-ar", "pullback"): _PULLED,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("stationary-ar", "forward"): Row(4, 4, 2, None, SUMS),
    ("stationary-ar", "inverse"): Row(2, 2, None, None, SUMS),
    ("stationary-ar", "log_abs_det"): Row(3, 4, None, None, SUMS),
    ("stationary-ar", "pullback"): Row(3, 4, 2, None, SUMS),
    ("stationary-ar", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
