"""Box: two bounds per entry, each of which may be missing."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, ScalarSpec
from isoparam.specs.bounds import FrozenArray, Numbers, as_bound, check_shapes
from isoparam.specs.scalar import GreaterThan, Interval, LessThan, Real


class BoxPart(NamedTuple):
    """The entries of a box with the same sides: what they obey, where they are (None: all), and a value inside.

    Elsewhere `spec` has bounds that mean nothing, around `inside`, so that it can be asked about whole arrays.
    """

    spec: ScalarSpec
    here: FrozenArray | None
    inside: float


@dataclass(frozen=True)
class Box(ScalarSpec):
    """Numbers between two bounds, either of which may be infinite, entry by entry.

        both finite      as Interval(low, high)
        low only         as GreaterThan(low)       low + softplus(raw)
        high only        as LessThan(high)         high - softplus(-raw)
        neither          as Real()                 raw

    Args:
        low: the open lower bounds, in the unit of the value, or -inf; a number, or an array that broadcasts into the value.
        high: the open upper bounds, or inf, likewise; low < high everywhere.

    Shapes: raw and value are equal, any shape into which the bounds broadcast.

    Raises:
        SpecError: for nan, an infinity on the wrong side, shapes that do not fit, or low >= high somewhere.

    Limits: those of Interval, GreaterThan and LessThan.

    Source: Stan Reference Manual, "Lower and upper bounded scalar"; bounds as in scipy.optimize.Bounds.

    Example:
        >>> import isoparam as iso
        >>> iso.Box([0.0, -float("inf")], [1.0, 5.0])
        Box(low=[  0., -inf], high=[1., 5.])
    """

    facts: ClassVar[Facts] = Facts(
        domain="(low, high)",
        raw_size="as the value",
        formula="low + (high - low) sigmoid(raw); low + softplus(raw); high - softplus(-raw); raw",
        log_abs_det="log(high - low) + log sigmoid(raw) + log sigmoid(-raw); log sigmoid(raw); log sigmoid(-raw); 0",
        volume="Lebesgue, per entry",
        projection="min(max(point, low), high)",
        limits="as Interval, GreaterThan and LessThan",
        source="Stan Reference Manual, Constraint Transforms; scipy.optimize.Bounds",
    )

    low: Numbers
    high: Numbers

    def __post_init__(self) -> None:
        shown = f"Box(low={self.low!r}, high={self.high!r})"
        object.__setattr__(self, "low", as_bound(shown, "low", self.low, infinite=True))
        object.__setattr__(self, "high", as_bound(shown, "high", self.high, infinite=True))
        check_shapes(shown, low=self.low, high=self.high)
        if not np.all(np.less(self.low, self.high)):
            raise SpecError(f"{shown}: low must be below high in every entry; -inf and inf stand for no bound")
        if np.any(np.equal(self.low, np.inf)) or np.any(np.equal(self.high, -np.inf)):
            raise SpecError(f"{shown}: no number is above inf or below -inf; for no bound write low=-inf, high=inf")
        _ = self.parts  # kept from here on: torch.compile cannot enter the lock of a cached_property
        super().__post_init__()

    @cached_property
    def parts(self) -> tuple[BoxPart, ...]:
        """The kinds of entries that are there, each as one spec."""
        low, high = np.broadcast_arrays(np.asarray(self.low), np.asarray(self.high))
        below, above = np.isfinite(low), np.isfinite(high)
        kinds = (
            (~below & ~above, lambda low, high: Real(), (-np.inf, np.inf), 0.0),
            (below & ~above, lambda low, high: GreaterThan(low), (0.0, np.inf), 1.0),
            (~below & above, lambda low, high: LessThan(high), (-np.inf, 0.0), -1.0),
            (below & above, lambda low, high: Interval(low, high), (0.0, 1.0), 0.5),
        )
        parts = []
        for here, make, elsewhere, inside in kinds:
            if here.all():
                return (BoxPart(make(self.low, self.high), None, inside),)
            if here.any():
                bounds: list[Any] = [np.where(here, *pair) for pair in zip((low, high), elsewhere, strict=True)]
                parts.append(BoxPart(make(*bounds), FrozenArray(here), inside))
        return tuple(parts)

    def border(self, value: np.ndarray) -> Border:
        """Gaps to the nearer bound; inf for an entry without one."""
        low, high = (np.asarray(bound).astype(value.dtype).astype(np.float64) for bound in (self.low, self.high))
        return Border(np.minimum(value - low, high - value), np.where(np.isfinite(high - low), high / 4 - low / 4, 1.0))
