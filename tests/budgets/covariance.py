"""Budgets of the specs of `isoparam.specs.covariance`."""

from budgets.budget import LINKS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    ("jax", "low-rank-covariance", "inverse"): Budget(3, "eigenvectors to some eps; measured 2.4 (n = 6, float64)"),
}

VERBS = ("forward", "inverse", "log_abs_det", "pullback", "log_abs_det_gradient")
COMPILED = ("cholesky-covariance", "cholesky-covariance-tall", "covariance")
EAGER = ("cholesky-covariance-exp", "covariance-exp")

# Only the eager rows of cholesky-covariance are measured (forward 1.0 and 2.0, inverse 0.3, log_abs_det 1.0, pullback 1.1);
# the others are first estimates, to be replaced by what tests/parity/test_ulp_table.py measures.
PARITY: dict[tuple[str, str], Row] = {
    **{
        (s, v): Row(2, 3, 2, 3, LINKS) if v in ("forward", "pullback") else Row(2, 2, None, None, LINKS)
        for s in COMPILED
        for v in VERBS
    },
    **{(s, v): Row(2, 2, None, None, LINKS) for s in EAGER for v in VERBS},
    ("low-rank-covariance", "forward"): Row(1, 1, 1, 1, LINKS),
    ("low-rank-covariance", "inverse"): Row(2, 2, None, None, LINKS),
    ("low-rank-covariance", "pullback"): Row(2, 2, 2, 2, LINKS),
}
