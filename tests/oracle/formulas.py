"""Every formula of the third witness: importing this file registers them all."""

from oracle import scalar, triangles, vector
from oracle.exact import FORMULAS, exact

__all__ = ["FORMULAS", "exact", "scalar", "triangles", "vector"]
