"""Budgets of the specs of `isoparam.specs.planes`."""

from budgets.budget import Budget, Row

_NEAR_0 = Budget(
    7, "a raw of 3e-10 from a depth near log 2, of which float32 keeps twice its digits; measured 5.3 (float64 0.65)"
)

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("torch", "half-space", "inverse"): _NEAR_0,
    ("jax", "half-space", "inverse"): _NEAR_0,
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {}
