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
    "inverse": Budget(2, "one rounded difference and a logarithm within 1 ULP; measured 1.9"),
    "log_abs_det": Budget(5, "log|slope| passes through 0 while its terms do not; measured 4.0 (JAX, tanh link, near raw = 0)"),
    "pullback": Budget(3, "an exponential, a division and the product with the cotangent; measured 2.0"),
    "log_abs_det_gradient": Budget(3, "tanh, within 1 ULP, or a sigmoid; measured 2.0"),
}

# Sums along the vector, in eps of its norm; 25 is the bar of the design at 1000 entries.
VECTOR_SUMS = Budget(10, "running sums along the vector; measured 7.9 (simplex of 21, raw up to 9)")

# (backend, sample, verb): what one backend needs beyond the above.
ACCURACY_EXCEPTIONS: dict[tuple[str, str, str], Budget] = {}


def accuracy(backend: str, sample: str, verb: str) -> Budget:
    """What a backend may miss the true value by."""
    usual = VECTOR_SUMS if sample == "simplex" and "gradient" in verb else ACCURACY[verb]
    return ACCURACY_EXCEPTIONS.get((backend, sample, verb), usual)


# Derivatives in every mode of both frameworks against 50 digits, in float64: ULP for scalar specs, eps of the norm for
# vector specs. The second derivative is a product of two such results.
JACOBIAN = Budget(3, "as `pullback` above; every mode evaluates the same hand-written formula")
HESSIAN = Budget(8, "a product of two derivatives, each within 3 ULP, and a sum over the vector")
IN_COMPILE = Budget(100, "torch.func.grad inside torch.compile differentiates the body of softmax; measured 95 eps at a vertex")
