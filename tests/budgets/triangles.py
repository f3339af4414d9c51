"""Budgets of the specs of `isoparam.specs.triangles`."""

from budgets.budget import SAME, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("lower", "forward"): Row(0, 0, 0, None, SAME),
    ("lower", "inverse"): Row(0, 0, None, None, SAME),
    ("lower", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("lower", "pullback"): Row(0, 0, 0, None, SAME),
    ("lower", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
    ("lower-unit", "forward"): Row(0, 0, 0, None, SAME),
    ("lower-unit", "inverse"): Row(0, 0, None, None, SAME),
    ("lower-unit", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("lower-unit", "pullback"): Row(0, 0, 0, None, SAME),
    ("lower-unit", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
    ("lower-zero", "forward"): Row(0, 0, None, None, SAME),
    ("lower-zero", "inverse"): Row(0, 0, None, None, SAME),
    ("lower-zero", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("lower-zero", "pullback"): Row(0, 0, None, None, SAME),
    ("lower-zero", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
    ("symmetric", "forward"): Row(0, 0, 0, None, SAME),
    ("symmetric", "inverse"): Row(0, 0, None, None, SAME),
    ("symmetric", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("symmetric", "pullback"): Row(0, 0, 0, None, SAME),
    ("symmetric", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
    ("skew", "forward"): Row(0, 0, 0, None, SAME),
    ("skew", "inverse"): Row(0, 0, None, None, SAME),
    ("skew", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("skew", "pullback"): Row(0, 0, 0, None, SAME),
    ("skew", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
}
