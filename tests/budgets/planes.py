"""Budgets of the specs of `isoparam.specs.planes`."""

from budgets.budget import SUMS, Budget, Row

_NEAR_0 = Budget(
    7, "a raw of 3e-10 from a depth near log 2, of which float32 keeps twice its digits; measured 5.3 (float64 0.65, as torch)"
)
_NEAR_0_PARITY = "running sums in different orders; a raw of 3e-10 from a depth near log 2, which torch takes through float64"

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("jax", "half-space", "inverse"): _NEAR_0,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("hyperplane", "forward"): Row(0, 0, 1, None, SUMS),
    ("hyperplane", "inverse"): Row(2, 0, None, None, SUMS),
    ("hyperplane", "log_abs_det"): Row(0, 0, None, None, SUMS),
    ("hyperplane", "pullback"): Row(2, 2, 2, None, SUMS),
    ("hyperplane", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
    ("half-space", "forward"): Row(2, 3, 2, None, SUMS),
    ("half-space", "inverse"): Row(6, 2, None, None, _NEAR_0_PARITY),
    ("half-space", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("half-space", "pullback"): Row(2, 2, 2, None, SUMS),
    ("half-space", "log_abs_det_gradient"): Row(2, 3, None, None, SUMS),
    ("half-space-exp", "forward"): Row(0, 0, None, None, SUMS),
    ("half-space-exp", "inverse"): Row(3, 3, None, None, SUMS),
    ("half-space-exp", "log_abs_det"): Row(0, 0, None, None, SUMS),
    ("half-space-exp", "pullback"): Row(3, 2, None, None, SUMS),
    ("half-space-exp", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
}
