"""Every formula of the third witness: importing this file registers them all."""

from oracle import (
    balls,
    correlation,
    covariance,
    norms,
    planes,
    rotations,
    scalar,
    series,
    simplexes,
    stochastic,
    structure,
    triangles,
    vector,
)
from oracle.exact import FORMULAS, exact

__all__ = [
    "FORMULAS",
    "balls",
    "correlation",
    "covariance",
    "exact",
    "norms",
    "planes",
    "rotations",
    "scalar",
    "series",
    "simplexes",
    "stochastic",
    "structure",
    "triangles",
    "vector",
]
