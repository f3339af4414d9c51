"""Budgets of the specs of `isoparam.specs.simplexes`."""

from budgets.budget import SUMS, VECTOR_SUMS, Budget, Row

STICK = Budget(4, "a share of three roundings times an exponential times its correction; measured 3.0 in both, any dtype")
LEVEL = Budget(60, "log|det| passes through 0 while N log(high - low) does not; measured 48 (N = 3, result 0.037)")

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "stick-breaking", "forward"): STICK,
    ("jax", "stick-breaking", "forward"): STICK,
    ("torch", "stick-breaking", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "stick-breaking", "log_abs_det_gradient"): VECTOR_SUMS,
    ("torch", "softmax-last", "pullback"): VECTOR_SUMS,
    ("torch", "softmax-last", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "softmax-last", "pullback"): VECTOR_SUMS,
    ("jax", "softmax-last", "log_abs_det_gradient"): VECTOR_SUMS,
    ("torch", "softmax-all", "pullback"): VECTOR_SUMS,
    ("jax", "softmax-all", "pullback"): VECTOR_SUMS,
    **{(b, s, "log_abs_det"): LEVEL for b in ("torch", "jax") for s in ("ordered-interval", "ordered-interval-gap")},
    ("torch", "ordered-interval", "pullback"): VECTOR_SUMS,
    ("torch", "ordered-interval", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "ordered-interval", "pullback"): VECTOR_SUMS,
    ("jax", "ordered-interval", "log_abs_det_gradient"): VECTOR_SUMS,
    ("torch", "ordered-interval-gap", "pullback"): VECTOR_SUMS,
    ("torch", "ordered-interval-gap", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "ordered-interval-gap", "pullback"): VECTOR_SUMS,
    ("jax", "ordered-interval-gap", "log_abs_det_gradient"): VECTOR_SUMS,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("stick-breaking", "forward"): Row(2, 4, 2, None, SUMS),
    ("stick-breaking", "inverse"): Row(2, 2, None, None, SUMS),
    ("stick-breaking", "log_abs_det"): Row(2, 1, None, None, SUMS),
    ("stick-breaking", "pullback"): Row(3, 3, 2, None, SUMS),
    ("stick-breaking", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("softmax-last", "forward"): Row(3, 3, 2, None, SUMS),
    ("softmax-last", "inverse"): Row(2, 2, None, None, SUMS),
    ("softmax-last", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("softmax-last", "pullback"): Row(3, 5, 3, None, SUMS),
    ("softmax-last", "log_abs_det_gradient"): Row(4, 4, None, None, SUMS),
    ("softmax-all", "forward"): Row(3, 3, 2, None, SUMS),
    ("softmax-all", "inverse"): Row(2, 2, None, None, SUMS),
    ("softmax-all", "pullback"): Row(3, 3, 3, None, SUMS),
    ("ordered-interval", "forward"): Row(2, 2, 2, None, SUMS),
    ("ordered-interval", "inverse"): Row(2, 2, None, None, SUMS),
    ("ordered-interval", "log_abs_det"): Row(33, 2, None, None, SUMS),
    ("ordered-interval", "pullback"): Row(6, 9, 3, None, SUMS),
    ("ordered-interval", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("ordered-interval-gap", "forward"): Row(3, 3, None, None, SUMS),
    ("ordered-interval-gap", "inverse"): Row(2, 2, None, None, SUMS),
    ("ordered-interval-gap", "log_abs_det"): Row(17, 2, None, None, SUMS),
    ("ordered-interval-gap", "pullback"): Row(6, 7, None, None, SUMS),
    ("ordered-interval-gap", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
