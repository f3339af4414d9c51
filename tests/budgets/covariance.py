"""Budgets of the specs of `isoparam.specs.covariance`."""

from budgets.budget import LINKS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("jax", "low-rank-covariance", "inverse"): Budget(3, "eigenvectors to some eps; measured 2.4 (n = 6, float64)"),
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("cholesky-covariance", "forward"): Row(2, 3, 2, None, LINKS),
    ("cholesky-covariance", "inverse"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance", "log_abs_det"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance", "pullback"): Row(2, 2, 2, None, LINKS),
    ("cholesky-covariance", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-tall", "forward"): Row(2, 3, 2, None, LINKS),
    ("cholesky-covariance-tall", "inverse"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-tall", "log_abs_det"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-tall", "pullback"): Row(2, 2, 2, None, LINKS),
    ("cholesky-covariance-tall", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("covariance", "forward"): Row(2, 3, 1, None, LINKS),
    ("covariance", "inverse"): Row(2, 2, None, None, LINKS),
    ("covariance", "log_abs_det"): Row(4, 4, None, None, LINKS),
    ("covariance", "pullback"): Row(2, 3, 2, None, LINKS),
    ("covariance", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-exp", "forward"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-exp", "inverse"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-exp", "log_abs_det"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-exp", "pullback"): Row(2, 2, None, None, LINKS),
    ("cholesky-covariance-exp", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("covariance-exp", "forward"): Row(2, 2, None, None, LINKS),
    ("covariance-exp", "inverse"): Row(2, 2, None, None, LINKS),
    ("covariance-exp", "log_abs_det"): Row(2, 2, None, None, LINKS),
    ("covariance-exp", "pullback"): Row(2, 2, None, None, LINKS),
    ("covariance-exp", "log_abs_det_gradient"): Row(2, 2, None, None, LINKS),
    ("low-rank-covariance", "forward"): Row(1, 1, 1, None, LINKS),
    ("low-rank-covariance", "inverse"): Row(2, 2, None, None, LINKS),
    ("low-rank-covariance", "pullback"): Row(2, 2, 2, None, LINKS),
}
