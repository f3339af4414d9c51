"""Budgets of the specs of `isoparam.specs.triangles`."""

from budgets.budget import SAME, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {}

EQUAL = Row(0, 0, 0, 0, SAME)
EAGER = Row(0, 0, None, None, SAME)

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    (sample, verb): EQUAL if verb in ("forward", "pullback") and sample != "lower-zero" else EAGER
    for sample in ("lower", "lower-unit", "lower-zero", "symmetric", "skew")
    for verb in ("forward", "inverse", "log_abs_det", "pullback", "log_abs_det_gradient")
}
