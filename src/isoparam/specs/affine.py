"""Affine: every entry moved and stretched, so that raw is of size one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, ScalarSpec
from isoparam.specs.bounds import Numbers, as_bound, check_shapes
from isoparam.specs.numbers import AffineNumbers, affine_numbers


@dataclass(frozen=True)
class Affine(ScalarSpec):
    """Every real number, in units of `scale` around `loc`: what gives raw a size near 1.

        value = loc + scale * raw

    Args:
        loc: the value at raw = 0; a number, or an array that broadcasts into the value.
        scale: the value of one unit of raw, above 0, likewise. A negative scale is the same set with raw mirrored,
            and refused as Stan does.

    Shapes: raw and value are equal, any shape into which loc and scale broadcast.

    Raises:
        SpecError: unless both are finite numbers of shapes that fit, and scale > 0 (in the dtype of the parameter too).

    Limits: digits of scale * raw below those of loc are lost in the value, so that `inverse` gives raw to about
        |loc|/scale ULP. `contains` refuses a value whose raw would overflow.

    Source: Stan Reference Manual, "Affinely transformed scalar" (offset, multiplier).

    Example:
        >>> import isoparam as iso
        >>> iso.Affine(20.0, [1.0, 5.0])
        Affine(loc=20.0, scale=[1., 5.])
    """

    facts: ClassVar[Facts] = Facts(
        domain="all real numbers",
        raw_size="as the value",
        formula="loc + scale raw",
        log_abs_det="log scale",
        volume="Lebesgue, per entry",
        projection="the point itself",
        limits="digits of scale raw under half an ULP of loc are absorbed",
        source="Stan Reference Manual, Constraint Transforms, Affinely transformed scalar",
    )

    loc: Numbers
    scale: Numbers

    def __post_init__(self) -> None:
        shown = f"Affine(loc={self.loc!r}, scale={self.scale!r})"
        object.__setattr__(self, "loc", as_bound(shown, "loc", self.loc))
        object.__setattr__(self, "scale", as_bound(shown, "scale", self.scale))
        check_shapes(shown, loc=self.loc, scale=self.scale)
        if not np.all(np.greater(self.scale, 0)):
            raise SpecError(f"{shown}: scale must be above 0; for a negative one write Affine(loc, -scale), its raw mirrored")
        super().__post_init__()

    def numbers(self, dtype: type[np.floating]) -> AffineNumbers:
        """What the two rules compute with, in the dtype of the parameter."""
        return affine_numbers(self.loc, self.scale, dtype)

    def border(self, value: np.ndarray) -> Border:
        """None: every number is inside."""
        return Border(np.empty(0))
