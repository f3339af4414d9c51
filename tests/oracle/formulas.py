"""Every formula of the third witness: importing this file registers them all."""

from oracle import norms, scalar, triangles, vector
from oracle.exact import FORMULAS, exact

__all__ = ["FORMULAS", "exact", "norms", "scalar", "triangles", "vector"]
