"""Budgets of the specs of `isoparam.specs.stochastic`."""

from budgets.budget import SUMS, VECTOR_SUMS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "row-stochastic", "pullback"): VECTOR_SUMS,
    ("torch", "row-stochastic", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "row-stochastic", "pullback"): VECTOR_SUMS,
    ("jax", "row-stochastic", "log_abs_det_gradient"): VECTOR_SUMS,
    ("torch", "column-stochastic", "pullback"): VECTOR_SUMS,
    ("torch", "column-stochastic", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "column-stochastic", "pullback"): VECTOR_SUMS,
    ("jax", "column-stochastic", "log_abs_det_gradient"): VECTOR_SUMS,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("row-stochastic", "forward"): Row(1, 2, None, None, SUMS),
    ("row-stochastic", "inverse"): Row(2, 2, None, None, SUMS),
    ("row-stochastic", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("row-stochastic", "pullback"): Row(3, 3, None, None, SUMS),
    ("row-stochastic", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("column-stochastic", "forward"): Row(1, 3, 1, None, SUMS),
    ("column-stochastic", "inverse"): Row(2, 2, None, None, SUMS),
    ("column-stochastic", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("column-stochastic", "pullback"): Row(3, 3, 3, None, SUMS),
    ("column-stochastic", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("sum-to-zero-matrix", "forward"): Row(2, 0, 1, None, SUMS),
    ("sum-to-zero-matrix", "inverse"): Row(2, 2, None, None, SUMS),
    ("sum-to-zero-matrix", "log_abs_det"): Row(0, 0, None, None, SUMS),
    ("sum-to-zero-matrix", "pullback"): Row(3, 3, 2, None, SUMS),
    ("sum-to-zero-matrix", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
}
