"""What a constraint is: frozen, framework-free data, one family per file."""

from isoparam.specs.base import Facts, FrozenArray, ScalarSpec, Spec, VectorSpec
from isoparam.specs.scalar import GreaterThan, Interval, LessThan, Positive, Real, UnitInterval
from isoparam.specs.vector import Ordered, Simplex

CATALOGUE: tuple[type[Spec], ...] = (Real, Positive, GreaterThan, LessThan, Interval, UnitInterval, Simplex, Ordered)


def catalogue() -> tuple[type[Spec], ...]:
    """Every spec class of isoparam, in the order of the docs."""
    return CATALOGUE


__all__ = [
    "Facts",
    "FrozenArray",
    "GreaterThan",
    "Interval",
    "LessThan",
    "Ordered",
    "Positive",
    "Real",
    "ScalarSpec",
    "Simplex",
    "Spec",
    "UnitInterval",
    "VectorSpec",
    "catalogue",
]
