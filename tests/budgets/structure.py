"""Budgets of the specs of `isoparam.specs.structure`."""

from budgets.budget import LINKS, LOGS, SUMS, VECTOR_SUMS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "compose-simplex", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "compose-simplex", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "compose-simplex", "pullback"): Budget(4, "of the simplex, times the scale; measured 3.2 (20 entries, float32)"),
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("compose", "forward"): Row(3, 3, None, None, LINKS),
    ("compose", "inverse"): Row(3, 3, None, None, LOGS),
    ("compose", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("compose", "pullback"): Row(4, 3, None, None, LINKS),
    ("compose", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("compose-simplex", "forward"): Row(1, 2, None, None, SUMS),
    ("compose-simplex", "inverse"): Row(2, 1, None, None, SUMS),
    ("compose-simplex", "log_abs_det"): Row(3, 3, None, None, SUMS),
    ("compose-simplex", "pullback"): Row(3, 4, None, None, SUMS),
    ("compose-simplex", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("masked", "forward"): Row(2, 3, None, None, LINKS),
    ("masked", "inverse"): Row(2, 2, None, None, LOGS),
    ("masked", "log_abs_det"): Row(2, 2, None, None, LINKS),
    ("masked", "pullback"): Row(2, 2, None, None, LINKS),
    ("masked", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("concatenate", "forward"): Row(2, 3, None, None, SUMS),
    ("concatenate", "inverse"): Row(2, 2, None, None, SUMS),
    ("concatenate", "log_abs_det"): Row(2, 3, None, None, SUMS),
    ("concatenate", "pullback"): Row(2, 3, None, None, SUMS),
    ("concatenate", "log_abs_det_gradient"): Row(3, 2, None, None, SUMS),
    ("stack", "forward"): Row(2, 2, None, None, SUMS),
    ("stack", "inverse"): Row(2, 2, None, None, SUMS),
    ("stack", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("stack", "pullback"): Row(2, 2, None, None, SUMS),
    ("stack", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("stack-rows", "forward"): Row(2, 2, None, None, SUMS),
    ("stack-rows", "inverse"): Row(2, 2, None, None, SUMS),
    ("stack-rows", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("stack-rows", "pullback"): Row(3, 3, None, None, SUMS),
    ("stack-rows", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
