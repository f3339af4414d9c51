"""What a constraint is: frozen, framework-free data, one family per file."""

from isoparam.specs.affine import Affine
from isoparam.specs.balls import L1Ball, L2Ball, LInfBall
from isoparam.specs.base import Facts, ScalarSpec, Spec, VectorSpec
from isoparam.specs.blocks import Concatenate, Stack
from isoparam.specs.bounds import FrozenArray
from isoparam.specs.box import Box
from isoparam.specs.circular import Circular
from isoparam.specs.compose import Compose
from isoparam.specs.correlation import CholeskyCorrelation, Correlation
from isoparam.specs.covariance import CholeskyCovariance, Covariance, LowRankCovariance
from isoparam.specs.masked import Masked
from isoparam.specs.norms import MaxNorm, UnitNorm
from isoparam.specs.planes import HalfSpace, Hyperplane
from isoparam.specs.rotations import Orthogonal, SpecialOrthogonal
from isoparam.specs.scalar import GreaterThan, Interval, LessThan, Positive, Real, UnitInterval
from isoparam.specs.series import StationaryAR
from isoparam.specs.simplexes import OrderedInterval, SoftmaxSimplex, StickBreakingSimplex
from isoparam.specs.stiefel import Stiefel
from isoparam.specs.stochastic import ColumnStochastic, RowStochastic, SumToZeroMatrix
from isoparam.specs.structure import Fixed, Tied
from isoparam.specs.triangles import LowerTriangular, SkewSymmetric, Symmetric
from isoparam.specs.vector import Ordered, PositiveOrdered, Simplex, SumToZero, UnitVector
from isoparam.specs.weights import SpectralNorm, WeightNorm

CATALOGUE: tuple[type[Spec], ...] = (
    Real,
    Affine,
    Positive,
    GreaterThan,
    LessThan,
    Interval,
    UnitInterval,
    Circular,
    Box,
    Simplex,
    Ordered,
    PositiveOrdered,
    SumToZero,
    StickBreakingSimplex,
    SoftmaxSimplex,
    OrderedInterval,
    UnitVector,
    L1Ball,
    L2Ball,
    LInfBall,
    StationaryAR,
    Hyperplane,
    HalfSpace,
    RowStochastic,
    ColumnStochastic,
    SumToZeroMatrix,
    LowerTriangular,
    Symmetric,
    SkewSymmetric,
    CholeskyCovariance,
    Covariance,
    LowRankCovariance,
    CholeskyCorrelation,
    Correlation,
    UnitNorm,
    MaxNorm,
    WeightNorm,
    SpectralNorm,
    Fixed,
    Tied,
    Masked,
    Compose,
    Concatenate,
    Stack,
    Orthogonal,
    SpecialOrthogonal,
    Stiefel,
)


def catalogue() -> tuple[type[Spec], ...]:
    """Every spec class of isoparam, in the order of the docs."""
    return CATALOGUE


__all__ = [
    "Affine",
    "Box",
    "CholeskyCorrelation",
    "CholeskyCovariance",
    "Circular",
    "ColumnStochastic",
    "Compose",
    "Concatenate",
    "Correlation",
    "Covariance",
    "Facts",
    "Fixed",
    "FrozenArray",
    "GreaterThan",
    "HalfSpace",
    "Hyperplane",
    "Interval",
    "L1Ball",
    "L2Ball",
    "LInfBall",
    "LessThan",
    "LowRankCovariance",
    "LowerTriangular",
    "Masked",
    "MaxNorm",
    "Ordered",
    "OrderedInterval",
    "Orthogonal",
    "Positive",
    "PositiveOrdered",
    "Real",
    "RowStochastic",
    "ScalarSpec",
    "Simplex",
    "SkewSymmetric",
    "SoftmaxSimplex",
    "Spec",
    "SpecialOrthogonal",
    "SpectralNorm",
    "Stack",
    "StationaryAR",
    "StickBreakingSimplex",
    "Stiefel",
    "SumToZero",
    "SumToZeroMatrix",
    "Symmetric",
    "Tied",
    "UnitInterval",
    "UnitNorm",
    "UnitVector",
    "VectorSpec",
    "WeightNorm",
    "catalogue",
]
