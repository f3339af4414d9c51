"""Budgets of the specs of `isoparam.specs.correlation`."""

from budgets.budget import Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {}

LENGTHS = "each side divides by its own rounded length of a row, or multiplies its own exponentials"
LOGS = "each side takes its own logarithms, and adds them in its own order"
DIVISIONS = "each side divides, and takes square roots and logarithms, in its own way"

# Maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets: jax.jit against torch
# eager. The rows of corr-tanh and of log_abs_det_gradient are set as those of their siblings.
PARITY: dict[tuple[str, str], Row] = {
    ("corr-chol", "forward"): Row(2, 2, 2, None, LENGTHS),
    ("corr-chol", "inverse"): Row(2, 2, None, None, DIVISIONS),
    ("corr-chol", "log_abs_det"): Row(3, 2, None, None, LOGS),
    ("corr-chol", "pullback"): Row(1, 3, 1, None, LENGTHS),
    ("corr-chol", "log_abs_det_gradient"): Row(2, 2, None, None, LENGTHS),
    ("corr-chol-tanh", "forward"): Row(1, 3, None, None, LENGTHS),
    ("corr-chol-tanh", "inverse"): Row(2, 2, None, None, DIVISIONS),
    ("corr-chol-tanh", "log_abs_det"): Row(3, 4, None, None, LOGS),
    ("corr-chol-tanh", "pullback"): Row(7, 4, None, None, LENGTHS),
    ("corr-chol-tanh", "log_abs_det_gradient"): Row(2, 2, None, None, LENGTHS),
    ("corr", "forward"): Row(2, 2, 1, None, LENGTHS),
    ("corr", "inverse"): Row(5, 3, None, None, DIVISIONS),
    ("corr", "log_abs_det"): Row(2, 3, None, None, LOGS),
    ("corr", "pullback"): Row(2, 3, 2, None, LENGTHS),
    ("corr", "log_abs_det_gradient"): Row(2, 2, None, None, LENGTHS),
    ("corr-tanh", "forward"): Row(2, 2, None, None, LENGTHS),
    ("corr-tanh", "inverse"): Row(5, 3, None, None, DIVISIONS),
    ("corr-tanh", "log_abs_det"): Row(3, 4, None, None, LOGS),
    ("corr-tanh", "pullback"): Row(4, 3, None, None, LENGTHS),
    ("corr-tanh", "log_abs_det_gradient"): Row(2, 2, None, None, LENGTHS),
}
