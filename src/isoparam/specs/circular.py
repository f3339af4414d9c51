"""Angles: numbers of which only the place on a circle counts."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from isoparam.specs.base import Border, Facts, ScalarSpec


@dataclass(frozen=True)
class Circular(ScalarSpec):
    """Angles in radians, from -pi on and below pi.

        value = raw - 2 pi floor((raw + pi) / (2 pi))

    The value is raw itself, wrapped: the map bends nowhere, its derivative is 1, and an optimizer walks through pi to -pi
    as if there were no seam. Raw is therefore not unique: `inverse` gives the one between -pi and pi, which is the value.
    A loss should be a function of the angle as such, that is of its sine and cosine or of another angle's difference to
    it; one that takes the value for a number on a line sees a jump at the seam.

    NumPyro's `circular` is an open interval with a sigmoid: its ends are infinitely far apart. For that use
    `Interval(-math.pi, math.pi)`, and for a direction without any seam `UnitVector` with two entries.

    Shapes: raw and value are equal, any shape.

    Limits: the argument is reduced exactly, to the last digit of the value, for |raw| up to 1e6; further out the value stays
        an angle, but raw has few digits left behind the point. pi is that of the dtype: 3.1415927 (float32, above
        pi), 3.141592653589793 (float64, below); the value is never that number, but -pi or the number below.

    Source: the exponential map of the circle; Cody and Waite (1980), "Software Manual for the Elementary Functions".

    Example:
        >>> import isoparam as iso
        >>> iso.Circular().raw_shape((3, 2))
        (3, 2)
    """

    facts: ClassVar[Facts] = Facts(
        domain="[-pi, pi)",
        raw_size="as the value",
        formula="raw - 2 pi floor((raw + pi) / (2 pi))",
        log_abs_det="0",
        volume="arc length, per entry",
        projection="the same angle: as the formula",
        limits="exact for |raw| up to 1e6; pi is that of the dtype",
        source="the exponential map of the circle; Cody and Waite (1980)",
    )

    @property
    def unique(self) -> bool:
        """Angles that differ by whole turns have one value."""
        return False

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        del wrong
        return "write project(spec, value), which is the same angle"


class Turn(NamedTuple):
    """A full turn in one dtype: 2 pi as parts of half its digits, and pi as a number and its rounding error.

    `last` is the largest number below `half`.
    """

    parts: tuple[float, ...]
    half: float
    half_tail: float
    last: float


# 2 pi to 160 bits: a number, its rounding error, and the rounding error of that.
_TWO_PI = (6.283185307179586, 2.4492935982947064e-16, -5.989539619436679e-33)


@lru_cache(maxsize=2)
def turn(dtype: type[np.floating]) -> Turn:
    """The numbers of a full turn in a dtype."""
    digits = (np.finfo(dtype).nmant + 1) // 2 - 1
    parts, rest = [], sum(map(Fraction, _TWO_PI))
    for _ in range(5):
        mantissa, exponent = np.frexp(float(rest))
        parts.append(float(np.ldexp(np.trunc(np.ldexp(mantissa, digits)), exponent - digits)))
        rest -= Fraction(parts[-1])
    half = dtype(np.pi)
    tail = float(sum(map(Fraction, _TWO_PI)) / 2 - Fraction(float(half)))
    return Turn(tuple(parts), float(half), float(dtype(tail)), float(np.nextafter(half, dtype(0))))
