"""Every tolerance of the proof battery, as data with its cause. A number is raised only with a measured value and a reason.

ACCURACY  each backend against 50 digits, in the unit of `oracle.judge.unit_of`.
PARITY    torch against JAX, in the same units, on a dense grid; measured, so that a number that is too generous fails too.
"""

from typing import NamedTuple


class Budget(NamedTuple):
    """A largest error, and why it is not 0."""

    allowed: float
    cause: str


ACCURACY = {
    "forward": Budget(2, "two or three rounded operations after an exponential within 1 ULP"),
    "inverse": Budget(2, "one rounded difference and a logarithm within 1 ULP; measured 2.0"),
    "log_abs_det": Budget(5, "log|slope| passes through 0 while its terms do not; measured 4.0 (JAX, tanh link, near raw = 0)"),
    "pullback": Budget(3, "an exponential, a division and the product with the cotangent; measured 2.0"),
    "log_abs_det_gradient": Budget(3, "tanh, within 1 ULP, or a sigmoid; measured 2.0"),
}

# Sums along the vector, in eps of its norm; 25 is the bar of the design at 1000 entries.
VECTOR_SUMS = Budget(10, "running sums along the vector; measured 7.9 (simplex of 21, raw up to 9)")

# (backend, sample, verb): what one backend needs beyond the above.
ACCURACY_EXCEPTIONS: dict[tuple[str, str, str], Budget] = {
    ("jax", "unit-vector", "pullback"): Budget(
        8, "sums along the vector that XLA takes one by one; measured 6.2 (20 equal entries, float64; torch 2.2)"
    ),
}


def accuracy(backend: str, sample: str, verb: str) -> Budget:
    """What a backend may miss the true value by."""
    usual = VECTOR_SUMS if sample == "simplex" and "gradient" in verb else ACCURACY[verb]
    return ACCURACY_EXCEPTIONS.get((backend, sample, verb), usual)


# Derivatives in every mode of both frameworks against 50 digits, in float64: ULP for scalar specs, eps of the norm for
# vector specs. The second derivative is a product of two such results.
JACOBIAN = Budget(3, "as `pullback` above; every mode evaluates the same hand-written formula")
HESSIAN = Budget(8, "a product of two derivatives, each within 3 ULP, and a sum over the vector")
IN_COMPILE = Budget(100, "torch.func.grad inside torch.compile differentiates the body of softmax; measured 95 eps at a vertex")


class Row(NamedTuple):
    """torch against JAX, per dtype and form; None where a form is not measured."""

    float32_eager: float
    float64_eager: float
    float32_compiled: float | None
    float64_compiled: float | None
    cause: str

    def allowed(self, dtype: str, form: str) -> float | None:
        """The budget of one dtype in one form."""
        return self._asdict()[f"{dtype}_{form}"]


SAME = "the identity: equal bits"
LINKS = "each side is within 2 ULP of the true value, rarely on the same side of it: its own exp, log1p and division"
LOGS = "each side takes its own logarithm of the same rounded quotient"
CROSSING = "log|slope| passes through 0 while its terms do not: the ULP is that of the small result near there"
LINEAR = "a product and a sum, which XLA and inductor may round at once or not"
SUMS = "running sums in different orders; the norm of the vector is the unit where they cancel"

# Measured maxima on the grids of tests/parity/backends.py, rounded up, and one more for other instruction sets.
PARITY: dict[tuple[str, str], Row] = {
    ("real", "forward"): Row(0, 0, None, None, SAME),
    ("real", "inverse"): Row(0, 0, None, None, SAME),
    ("real", "log_abs_det"): Row(0, 0, None, None, SAME),
    ("real", "pullback"): Row(0, 0, None, None, SAME),
    ("real", "log_abs_det_gradient"): Row(0, 0, None, None, SAME),
    ("positive", "forward"): Row(3, 3, 3, 3, LINKS),
    ("positive", "inverse"): Row(4, 4, None, None, LOGS),
    ("positive", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("positive", "pullback"): Row(4, 3, 3, 3, LINKS),
    ("positive", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("positive-exp", "forward"): Row(2, 2, 2, 2, LINKS),
    ("positive-exp", "inverse"): Row(2, 2, None, None, LOGS),
    ("positive-exp", "log_abs_det"): Row(1, 1, None, None, LINKS),
    ("positive-exp", "pullback"): Row(2, 2, 2, 2, LINKS),
    ("positive-exp", "log_abs_det_gradient"): Row(1, 1, None, None, LINKS),
    ("greater", "forward"): Row(2, 2, None, None, LINKS),
    ("greater", "inverse"): Row(4, 4, None, None, LOGS),
    ("greater", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("greater", "pullback"): Row(4, 3, None, None, LINKS),
    ("greater", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("greater-exp", "forward"): Row(3, 3, None, None, LINKS),
    ("greater-exp", "inverse"): Row(2, 2, None, None, LOGS),
    ("greater-exp", "log_abs_det"): Row(1, 1, None, None, LINKS),
    ("greater-exp", "pullback"): Row(2, 2, None, None, LINKS),
    ("greater-exp", "log_abs_det_gradient"): Row(1, 1, None, None, LINKS),
    ("less", "forward"): Row(2, 2, 2, 2, LINKS),
    ("less", "inverse"): Row(4, 4, None, None, LOGS),
    ("less", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("less", "pullback"): Row(4, 3, 3, 3, LINKS),
    ("less", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("less-exp", "forward"): Row(3, 3, None, None, LINKS),
    ("less-exp", "inverse"): Row(2, 2, None, None, LOGS),
    ("less-exp", "log_abs_det"): Row(1, 1, None, None, LINKS),
    ("less-exp", "pullback"): Row(2, 2, None, None, LINKS),
    ("less-exp", "log_abs_det_gradient"): Row(1, 1, None, None, LINKS),
    ("interval", "forward"): Row(2, 2, 2, 2, LINKS),
    ("interval", "inverse"): Row(2, 2, None, None, LOGS),
    ("interval", "log_abs_det"): Row(9, 11, None, None, CROSSING),
    ("interval", "pullback"): Row(3, 4, 4, 5, LINKS),
    ("interval", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("interval-tanh", "forward"): Row(2, 2, 2, 2, LINKS),
    ("interval-tanh", "inverse"): Row(2, 2, None, None, LOGS),
    ("interval-tanh", "log_abs_det"): Row(6, 7, None, None, CROSSING),
    ("interval-tanh", "pullback"): Row(4, 4, 4, 4, LINKS),
    ("interval-tanh", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("interval-decimal", "forward"): Row(3, 2, None, None, LINKS),
    ("interval-decimal", "inverse"): Row(2, 2, None, None, LOGS),
    ("interval-decimal", "log_abs_det"): Row(3, 3, None, None, CROSSING),
    ("interval-decimal", "pullback"): Row(3, 3, None, None, LINKS),
    ("interval-decimal", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("interval-narrow", "forward"): Row(1, 1, None, None, LINKS),
    ("interval-narrow", "inverse"): Row(1, 2, None, None, LOGS),
    ("interval-narrow", "log_abs_det"): Row(2, 2, None, None, CROSSING),
    ("interval-narrow", "pullback"): Row(3, 3, None, None, LINKS),
    ("interval-narrow", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("interval-wide", "forward"): Row(2, 2, None, None, LINKS),
    ("interval-wide", "inverse"): Row(2, 2, None, None, LOGS),
    ("interval-wide", "log_abs_det"): Row(2, 2, None, None, CROSSING),
    ("interval-wide", "pullback"): Row(3, 4, None, None, LINKS),
    ("interval-wide", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("unit", "forward"): Row(4, 3, 3, 3, LINKS),
    ("unit", "inverse"): Row(2, 2, None, None, LOGS),
    ("unit", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("unit", "pullback"): Row(4, 3, 3, 3, LINKS),
    ("unit", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("simplex", "forward"): Row(3, 3, 3, 3, SUMS),
    ("simplex", "inverse"): Row(2, 2, None, None, SUMS),
    ("simplex", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("simplex", "pullback"): Row(6, 4, 6, 4, SUMS),
    ("simplex", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("ordered", "forward"): Row(2, 2, 2, 2, SUMS),
    ("ordered", "inverse"): Row(2, 2, None, None, SUMS),
    ("ordered", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("ordered", "pullback"): Row(2, 4, 2, 4, SUMS),
    ("ordered", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("ordered-exp", "forward"): Row(1, 1, None, None, SUMS),
    ("ordered-exp", "inverse"): Row(2, 1, None, None, SUMS),
    ("ordered-exp", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("ordered-exp", "pullback"): Row(2, 4, None, None, SUMS),
    ("ordered-exp", "log_abs_det_gradient"): Row(1, 1, None, None, SUMS),
    ("affine", "forward"): Row(0, 0, 2, 2, LINEAR),
    ("affine", "inverse"): Row(1, 1, None, None, LINEAR),
    ("affine", "log_abs_det"): Row(0, 0, None, None, LINEAR),
    ("affine", "pullback"): Row(0, 0, 0, 0, LINEAR),
    ("affine", "log_abs_det_gradient"): Row(0, 0, None, None, LINEAR),
    ("affine-array", "forward"): Row(0, 0, None, None, LINEAR),
    ("affine-array", "inverse"): Row(1, 1, None, None, LINEAR),
    ("affine-array", "log_abs_det"): Row(0, 0, None, None, LINEAR),
    ("affine-array", "pullback"): Row(0, 0, None, None, LINEAR),
    ("affine-array", "log_abs_det_gradient"): Row(0, 0, None, None, LINEAR),
    ("greater-array", "forward"): Row(5, 5, None, None, LINKS),
    ("greater-array", "inverse"): Row(4, 4, None, None, LOGS),
    ("greater-array", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("greater-array", "pullback"): Row(4, 3, None, None, LINKS),
    ("greater-array", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("less-array", "forward"): Row(3, 3, None, None, LINKS),
    ("less-array", "inverse"): Row(2, 2, None, None, LOGS),
    ("less-array", "log_abs_det"): Row(1, 1, None, None, LINKS),
    ("less-array", "pullback"): Row(2, 2, None, None, LINKS),
    ("less-array", "log_abs_det_gradient"): Row(1, 1, None, None, LINKS),
    ("interval-array", "forward"): Row(2, 2, None, None, LINKS),
    ("interval-array", "inverse"): Row(2, 2, None, None, LOGS),
    ("interval-array", "log_abs_det"): Row(9, 11, None, None, CROSSING),
    ("interval-array", "pullback"): Row(4, 4, None, None, LINKS),
    ("interval-array", "log_abs_det_gradient"): Row(3, 3, None, None, LINKS),
    ("box", "forward"): Row(3, 3, None, None, LINKS),
    ("box", "inverse"): Row(4, 4, None, None, LOGS),
    ("box", "log_abs_det"): Row(3, 3, None, None, LINKS),
    ("box", "pullback"): Row(4, 3, None, None, LINKS),
    ("box", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("box-array", "forward"): Row(2, 2, 2, 2, LINKS),
    ("box-array", "inverse"): Row(4, 4, None, None, LOGS),
    ("box-array", "log_abs_det"): Row(9, 11, None, None, CROSSING),
    ("box-array", "pullback"): Row(4, 4, 4, 4, LINKS),
    ("box-array", "log_abs_det_gradient"): Row(4, 3, None, None, LINKS),
    ("positive-ordered", "forward"): Row(2, 2, 2, 2, SUMS),
    ("positive-ordered", "inverse"): Row(2, 2, None, None, SUMS),
    ("positive-ordered", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("positive-ordered", "pullback"): Row(2, 4, 2, 4, SUMS),
    ("positive-ordered", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
    ("positive-ordered-exp", "forward"): Row(1, 1, None, None, SUMS),
    ("positive-ordered-exp", "inverse"): Row(2, 1, None, None, SUMS),
    ("positive-ordered-exp", "log_abs_det"): Row(1, 1, None, None, SUMS),
    ("positive-ordered-exp", "pullback"): Row(2, 4, None, None, SUMS),
    ("positive-ordered-exp", "log_abs_det_gradient"): Row(1, 1, None, None, SUMS),
    ("sum-to-zero", "forward"): Row(1, 1, 1, 1, SUMS),
    ("sum-to-zero", "inverse"): Row(2, 2, None, None, SUMS),
    ("sum-to-zero", "log_abs_det"): Row(0, 0, None, None, SUMS),
    ("sum-to-zero", "pullback"): Row(2, 2, 2, 2, SUMS),
    ("sum-to-zero", "log_abs_det_gradient"): Row(0, 0, None, None, SUMS),
    ("unit-vector", "forward"): Row(2, 2, 2, 2, SUMS),
    ("unit-vector", "inverse"): Row(0, 0, None, None, SUMS),
    ("unit-vector", "log_abs_det"): Row(2, 2, None, None, SUMS),
    ("unit-vector", "pullback"): Row(4, 7, 4, 7, SUMS),
    ("unit-vector", "log_abs_det_gradient"): Row(2, 2, None, None, SUMS),
}
