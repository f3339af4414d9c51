"""What a tolerance is, the usual ones, and the causes that several rows share."""

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

# Derivatives in every mode of both frameworks against 50 digits, in float64: ULP for scalar specs, eps of the norm for
# vector specs. The second derivative is a product of two such results.
JACOBIAN = Budget(3, "as `pullback` above; every mode evaluates the same hand-written formula")
HESSIAN = Budget(8, "a product of two derivatives, each within 3 ULP, and a sum over the vector")


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
