"""Budgets of the specs of `isoparam.specs.vector`."""

from budgets.budget import SUMS, VECTOR_SUMS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("jax", "unit-vector", "pullback"): Budget(
        8, "sums along the vector that XLA takes one by one; measured 6.2 (20 equal entries, float64; torch 2.2)"
    ),
    ("torch", "simplex", "pullback"): VECTOR_SUMS,
    ("jax", "simplex", "pullback"): VECTOR_SUMS,
    ("torch", "simplex", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "simplex", "log_abs_det_gradient"): VECTOR_SUMS,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("simplex", "forward"): Row(1, 3, 1, 3, SUMS),
    ("simplex", "inverse"): Row(2, 2, None, None, SUMS),
    ("simplex", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("simplex", "pullback"): Row(3, 4, 2, 4, SUMS),
    ("simplex", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("ordered", "forward"): Row(2, 2, 2, 2, SUMS),
    ("ordered", "inverse"): Row(2, 2, None, None, SUMS),
    ("ordered", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("ordered", "pullback"): Row(2, 4, 2, 4, SUMS),
    ("ordered", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("ordered-exp", "forward"): Row(1, 1, None, None, SUMS),
    ("ordered-exp", "inverse"): Row(2, 1, None, None, SUMS),
    ("ordered-exp", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("ordered-exp", "pullback"): Row(2, 4, None, None, SUMS),
    ("ordered-exp", "log_abs_det_gradient"): Row(1, 1, None, None, SUMS),
    ("positive-ordered", "forward"): Row(2, 2, 2, 2, SUMS),
    ("positive-ordered", "inverse"): Row(2, 2, None, None, SUMS),
    ("positive-ordered", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("positive-ordered", "pullback"): Row(2, 4, 2, 4, SUMS),
    ("positive-ordered", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("positive-ordered-exp", "forward"): Row(1, 1, None, None, SUMS),
    ("positive-ordered-exp", "inverse"): Row(2, 1, None, None, SUMS),
    ("positive-ordered-exp", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("positive-ordered-exp", "pullback"): Row(2, 4, None, None, SUMS),
    ("positive-ordered-exp", "log_abs_det_gradient"): Row(1, 1, None, None, SUMS),
    ("sum-to-zero", "forward"): Row(1, 1, 1, 1, SUMS),
    ("sum-to-zero", "inverse"): Row(2, 2, None, None, SUMS),
    ("sum-to-zero", "log_abs_det"): Row(0, 0, None, None, SUMS),
    ("sum-to-zero", "pullback"): Row(2, 2, 2, 2, SUMS),
    ("sum-to-zero", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
    ("unit-vector", "forward"): Row(2, 2, 2, 2, SUMS),
    ("unit-vector", "inverse"): Row(0, 0, None, None, SUMS),
    ("unit-vector", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("unit-vector", "pullback"): Row(1, 3, 1, 3, SUMS),
    ("unit-vector", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
