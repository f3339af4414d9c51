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
    "forward": Budget(2, "the map is two or three rounded operations after an exponential within 1 ULP"),
    "inverse": Budget(2, "one rounded difference and a logarithm within 1 ULP"),
    "log_abs_det": Budget(2, "a sum of two logarithms, in the unit of the larger"),
    "pullback": Budget(3, "an exponential, a division and the product with the cotangent"),
    "log_abs_det_gradient": Budget(3, "tanh, within 1 ULP, or a sigmoid"),
}

ACCURACY_EXCEPTIONS: dict[tuple[str, str, str], Budget] = {
    # (backend, sample, verb)
}


def accuracy(backend: str, sample: str, verb: str) -> Budget:
    """What a backend may miss the true value by."""
    return ACCURACY_EXCEPTIONS.get((backend, sample, verb), ACCURACY[verb])
