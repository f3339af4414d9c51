"""Every formula of the third witness: importing this file registers them all."""

from oracle import norms, scalar, simplexes, stochastic, triangles, vector
from oracle.exact import FORMULAS, exact

__all__ = ["FORMULAS", "exact", "norms", "scalar", "simplexes", "stochastic", "triangles", "vector"]
