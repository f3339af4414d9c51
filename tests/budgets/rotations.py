"""Budgets of the specs of `isoparam.specs.rotations`."""

from budgets.budget import Budget, Row

PRODUCTS = "products of matrices, summed in different orders"
REFLECTIONS = "a triangular system and its derivative, solved in different orders; pullback measured 25.5"

# (backend, sample, verb): what one backend needs beyond `budget.ACCURACY`.
ACCURACY: dict[tuple[str, str, str], Budget] = {
    (backend, sample, verb): Budget(allowed, cause)
    for backend in ("torch", "jax")
    for sample, verb, allowed, cause in (
        ("orthogonal-exp", "inverse", 3, "angles from eigenvectors, each to some eps; measured 2.2 (JAX, n = 3, float64)"),
        ("orthogonal-exp", "pullback", 6, "twenty doublings of the derivative, each two products; measured 3.4 (torch)"),
        ("orthogonal-householder", "forward", 4, "a triangular system and three products; measured 2.2 (torch)"),
        ("orthogonal-householder", "pullback", 8, "the derivative of a triangular system; measured 4.0 (torch)"),
    )
}

# (sample, "gradient" of a weighted sum or its "hessian"): what derivatives need beyond `JACOBIAN` and `HESSIAN`.
DERIVATIVES: dict[tuple[str, str], Budget] = {
    ("orthogonal-householder", "gradient"): Budget(8, "the derivative of a triangular system; measured 5.9 (n = 3)"),
    ("orthogonal-householder", "hessian"): Budget(14, "that derivative once more; measured 11.1 (reverse over reverse)"),
}

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("orthogonal", "forward"): Row(2, 2, 1, None, PRODUCTS),
    ("orthogonal", "inverse"): Row(2, 2, None, None, PRODUCTS),
    ("orthogonal", "log_abs_det"): Row(2, 6, None, None, PRODUCTS),
    ("orthogonal", "pullback"): Row(2, 2, 1, None, PRODUCTS),
    ("orthogonal", "log_abs_det_gradient"): Row(2, 2, None, None, PRODUCTS),
    ("orthogonal-exp", "forward"): Row(2, 2, 1, None, PRODUCTS),
    ("orthogonal-exp", "inverse"): Row(2, 2, None, None, PRODUCTS),
    ("orthogonal-exp", "pullback"): Row(2, 11, 1, None, PRODUCTS),
    ("orthogonal-householder", "forward"): Row(2, 4, 3, None, REFLECTIONS),
    ("orthogonal-householder", "inverse"): Row(2, 2, None, None, REFLECTIONS),
    ("orthogonal-householder", "log_abs_det"): Row(2, 2, None, None, REFLECTIONS),
    ("orthogonal-householder", "pullback"): Row(27, 27, 5, None, REFLECTIONS),
    ("orthogonal-householder", "log_abs_det_gradient"): Row(2, 2, None, None, REFLECTIONS),
    ("special-orthogonal", "forward"): Row(2, 2, None, None, PRODUCTS),
    ("special-orthogonal", "inverse"): Row(2, 2, None, None, PRODUCTS),
    ("special-orthogonal", "log_abs_det"): Row(2, 6, None, None, PRODUCTS),
    ("special-orthogonal", "pullback"): Row(2, 2, None, None, PRODUCTS),
    ("special-orthogonal", "log_abs_det_gradient"): Row(2, 2, None, None, PRODUCTS),
    ("stiefel", "forward"): Row(2, 2, 1, None, PRODUCTS),
    ("stiefel", "inverse"): Row(2, 2, None, None, PRODUCTS),
    ("stiefel", "pullback"): Row(2, 2, 1, None, PRODUCTS),
    ("stiefel-rows", "forward"): Row(2, 2, None, None, PRODUCTS),
    ("stiefel-rows", "inverse"): Row(2, 2, None, None, PRODUCTS),
    ("stiefel-rows", "pullback"): Row(2, 2, None, None, PRODUCTS),
}
