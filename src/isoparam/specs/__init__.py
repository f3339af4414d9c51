"""What a constraint is: frozen, framework-free data, one family per file."""

from isoparam.specs.affine import Affine
from isoparam.specs.base import Facts, FrozenArray, ScalarSpec, Spec, VectorSpec
from isoparam.specs.box import Box
from isoparam.specs.scalar import GreaterThan, Interval, LessThan, Positive, Real, UnitInterval
from isoparam.specs.vector import Ordered, PositiveOrdered, Simplex, SumToZero, UnitVector

CATALOGUE: tuple[type[Spec], ...] = (
    Real,
    Affine,
    Positive,
    GreaterThan,
    LessThan,
    Interval,
    UnitInterval,
    Box,
    Simplex,
    Ordered,
    PositiveOrdered,
    SumToZero,
    UnitVector,
)


def catalogue() -> tuple[type[Spec], ...]:
    """Every spec class of isoparam, in the order of the docs."""
    return CATALOGUE


__all__ = [
    "Affine",
    "Box",
    "Facts",
    "FrozenArray",
    "GreaterThan",
    "Interval",
    "LessThan",
    "Ordered",
    "Positive",
    "PositiveOrdered",
    "Real",
    "ScalarSpec",
    "Simplex",
    "Spec",
    "SumToZero",
    "UnitInterval",
    "UnitVector",
    "VectorSpec",
    "catalogue",
]
