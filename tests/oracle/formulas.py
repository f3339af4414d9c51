"""Every formula of the third witness: importing this file registers them all."""

from oracle import (
    balls,
    covariance,
    norms,
    planes,
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
    "exact",
    "balls",
    "covariance",
    "norms",
    "planes",
    "scalar",
    "series",
    "simplexes",
    "stochastic",
    "structure",
    "triangles",
    "vector",
]
