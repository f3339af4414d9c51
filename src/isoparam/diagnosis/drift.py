"""How a value that is used and the parameter that it once came from part: what a picture of a stale value shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drift:
    """A stale value beside its parameter, as training goes on.

    Attributes:
        attr: what holds the stale value.
        param: name of the parameter that it was computed from.
        steps: updates made, at each look.
        raw: mean of the parameter at each look: it moves.
        used: mean of the value that the loss is computed from: it does not.
    """

    attr: str
    param: str
    steps: tuple[int, ...]
    raw: tuple[float, ...]
    used: tuple[float, ...]
