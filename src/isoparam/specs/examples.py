"""One instance of every spec with the shape of a value: what the catalogue draws and the documentation shows."""

from typing import NamedTuple

from isoparam.specs.affine import Affine
from isoparam.specs.base import Shape, Spec
from isoparam.specs.blocks import Concatenate, Stack
from isoparam.specs.box import Box
from isoparam.specs.circular import Circular
from isoparam.specs.compose import Compose
from isoparam.specs.norms import MaxNorm, SpectralNorm, UnitNorm, WeightNorm
from isoparam.specs.scalar import GreaterThan, Interval, LessThan, Positive, Real, UnitInterval
from isoparam.specs.simplexes import OrderedInterval, SoftmaxSimplex, StickBreakingSimplex
from isoparam.specs.stochastic import ColumnStochastic, RowStochastic, SumToZeroMatrix
from isoparam.specs.structure import Fixed, Masked, Tied
from isoparam.specs.vector import Ordered, PositiveOrdered, Simplex, SumToZero, UnitVector


class Example(NamedTuple):
    """A spec and the shape of one value of it."""

    spec: Spec
    value_shape: Shape


_EXAMPLES = (
    Example(Real(), (1,)),
    Example(Affine(1.0, 0.5), (1,)),
    Example(Positive(), (1,)),
    Example(GreaterThan(1.0), (1,)),
    Example(LessThan(1.0), (1,)),
    Example(Interval(-1.0, 2.0), (1,)),
    Example(UnitInterval(), (1,)),
    Example(Circular(), (1,)),
    Example(Box([0.0, 0.5], [1.0, float("inf")]), (2,)),
    Example(Simplex(), (3,)),
    Example(Ordered(), (3,)),
    Example(PositiveOrdered(), (3,)),
    Example(SumToZero(), (3,)),
    Example(UnitVector(), (3,)),
    Example(StickBreakingSimplex(), (3,)),
    Example(SoftmaxSimplex(), (3,)),
    Example(OrderedInterval(0.0, 1.0, min_gap=0.1), (3,)),
    Example(RowStochastic(), (2, 2)),
    Example(ColumnStochastic(), (2, 2)),
    Example(SumToZeroMatrix(), (2, 2)),
    Example(UnitNorm(), (3,)),
    Example(MaxNorm(), (2,)),
    Example(WeightNorm(), (3,)),
    Example(SpectralNorm(), (2, 2)),
    Example(Fixed([1.0, 2.0]), (2,)),
    Example(Tied("other"), (2,)),
    Example(Masked([True, False, True], Positive(), fill=0.5), (3,)),
    Example(Compose(Affine(0.0, 2.0), Simplex()), (3,)),
    Example(Concatenate((Simplex(), Positive()), (2, 1)), (3,)),
    Example(Stack((Positive(), Interval(-1.0, 1.0))), (2,)),
)
EXAMPLES = {type(example.spec): example for example in _EXAMPLES}
