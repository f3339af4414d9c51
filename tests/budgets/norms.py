"""Budgets of the specs of `isoparam.specs.norms`."""

from budgets.budget import CROSSING, SUMS, Budget, Row

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = (
    {
        ("torch", "unit-norm-axes", "pullback"): Budget(5, "sums along the slice; measured 3.6 (20 entries, float64)"),
        ("jax", "unit-norm-axes", "pullback"): Budget(5, "sums along the slice; measured 3.6 (20 entries, float32)"),
        ("torch", "max-norm", "pullback"): Budget(5, "as of the ball in norm 2; measured 3.2 (20 entries, float32)"),
        ("jax", "max-norm", "pullback"): Budget(5, "as of the ball in norm 2; 3.2 measured in torch (20 entries, float32)"),
    }
    | {
        (backend, sample, "log_abs_det"): Budget(15, f"{CROSSING}; measured 9 in torch (float32), 13 in JAX (float64)")
        for sample in ("max-norm", "max-norm-axes")
        for backend in ("torch", "jax")
    }
    | {
        (backend, sample, verb): Budget(allowed, f"singular values of LAPACK; measured {measured} ({where})")
        for sample in ("spectral-norm", "spectral-norm-bound")
        for verb, allowed, measured, where in (
            ("forward", 4, 2.95, "5 by 3, float32, torch"),
            ("pullback", 12, 9.1, "5 by 3, float32, JAX, through the gap to the next singular value"),
        )
        for backend in ("torch", "jax")
    }
)

SINGULAR = "each side takes its own singular values, from the same matrix"

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("unit-norm", "forward"): Row(2, 2, None, None, SUMS),
    ("unit-norm", "inverse"): Row(0, 0, None, None, SUMS),
    ("unit-norm", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("unit-norm", "pullback"): Row(1, 4, None, None, SUMS),
    ("unit-norm", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("unit-norm-axes", "forward"): Row(2, 2, 2, None, SUMS),
    ("unit-norm-axes", "inverse"): Row(0, 0, None, None, SUMS),
    ("unit-norm-axes", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("unit-norm-axes", "pullback"): Row(1, 3, 1, None, SUMS),
    ("unit-norm-axes", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("max-norm", "forward"): Row(1, 4, None, None, SUMS),
    ("max-norm", "inverse"): Row(4, 2, None, None, SUMS),
    ("max-norm", "log_abs_det"): Row(4, 4, None, None, SUMS),
    ("max-norm", "pullback"): Row(2, 4, None, None, SUMS),
    ("max-norm", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("max-norm-axes", "forward"): Row(2, 4, None, None, SUMS),
    ("max-norm-axes", "inverse"): Row(2, 2, None, None, SUMS),
    ("max-norm-axes", "log_abs_det"): Row(1, 0, None, None, SUMS),
    ("max-norm-axes", "pullback"): Row(4, 4, None, None, SUMS),
    ("max-norm-axes", "log_abs_det_gradient"): Row(2, 4, None, None, SUMS),
    ("weight-norm", "forward"): Row(2, 2, 2, None, SUMS),
    ("weight-norm", "inverse"): Row(2, 2, None, None, SUMS),
    ("weight-norm", "pullback"): Row(4, 4, 2, None, SUMS),
    ("spectral-norm", "forward"): Row(4, 6, 3, None, SINGULAR),
    ("spectral-norm", "inverse"): Row(0, 0, None, None, SINGULAR),
    ("spectral-norm", "pullback"): Row(9, 9, 5, None, SINGULAR),
    ("spectral-norm-bound", "forward"): Row(4, 4, None, None, SINGULAR),
    ("spectral-norm-bound", "inverse"): Row(0, 0, None, None, SINGULAR),
    ("spectral-norm-bound", "pullback"): Row(3, 4, None, None, SINGULAR),
}
