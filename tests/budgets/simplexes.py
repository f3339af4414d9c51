"""Budgets of the specs of `isoparam.specs.simplexes`."""

from budgets.budget import Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {}
