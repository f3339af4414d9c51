"""Budgets of the specs of `isoparam.specs.structure`."""

from budgets.budget import VECTOR_SUMS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "compose-simplex", "log_abs_det_gradient"): VECTOR_SUMS,
    ("jax", "compose-simplex", "log_abs_det_gradient"): VECTOR_SUMS,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {}
