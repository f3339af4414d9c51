"""Correlation matrices and their Cholesky factors: K (K - 1)/2 free entries, two links."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.specs.base import Border, Facts, MatrixSpec, check_link, square_side, triangle_side
from isoparam.specs.bounds import Shape

LINKS = ("row", "tanh")


@dataclass(frozen=True)
class CholeskyCorrelation(MatrixSpec):
    """Lower-triangular L with a positive diagonal and rows of length 1, so that L L^T is a correlation matrix.

        link="row"    row i = (x_i1, ..., x_i,i-1, 1) / sqrt(1 + |x_i|^2)
        link="tanh"   L_ij = tanh(x_ij) prod_{k<j} sech(x_ik),   L_ii = prod_{k<i} sech(x_ik)

    Args:
        link: "row" (default) keeps every digit of raw at any size. "tanh" is Stan's: tanh(x) are the partial correlations.

    Shapes: raw has K (K - 1)/2 entries along its last axis where the value is K by K, those below the diagonal row by row:
        (1,0), (2,0), (2,1), ...; other axes are batch axes. K = 1 has the raw of size 0 and the value 1.

    Raises:
        SpecError: for an unknown link, a value that is not square, or a raw that fills no triangle.

    Limits: row: any finite raw; the diagonal is 1/|raw row| for long rows. tanh: the diagonal shrinks as exp(-sum |x|) and
        underflows where that sum passes 87 in one row in float32, 708 in float64, as it does for standard normal raw at
        K of about 100 in float32; then `inverse` has no finite raw. `contains` and `inverse` accept rows whose squared
        length misses 1 by 8 eps of the dtype of the value and 8 K eps of float32 or float64, in which it is summed. The
        projection sends a row that becomes 0, to which several points are equally near, to (1, 0, ..., 0).

    Source: row: Tensorflow Probability, CorrelationCholesky. tanh: Stan Reference Manual, "Cholesky factors of correlation
        matrices"; Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100(9).

    Example:
        >>> import isoparam as iso
        >>> iso.CholeskyCorrelation().raw_shape((4, 4))
        (6,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{L : L_ij = 0 for j > i, L_ii > 0, rows of length 1}",
        raw_size="K (K - 1)/2 for a K by K value",
        formula="row: row i = (x_i, 1)/sqrt(1 + |x_i|^2); tanh: L_ij = tanh(x_ij) prod_{k<j} sech(x_ik)",
        log_abs_det="row: -sum_i (n_i + 2)/2 log(1 + |x_i|^2), n_i entries; tanh: sum_{j<i} (1 + (i-1-j)/2) log sech(x_ij)^2",
        volume="Lebesgue on the entries below the diagonal",
        projection="0 above the diagonal, its negative entries 0, then each row by its length; (1, 0, ..., 0) for a row of 0",
        limits="row: any finite raw; tanh: sums of |raw| in one row up to 87 / 708",
        source="TFP CorrelationCholesky; Stan Reference Manual, Cholesky factors of correlation matrices",
    )

    link: str = "row"

    def __post_init__(self) -> None:
        check_link("CholeskyCorrelation", self.link, LINKS)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        side = square_side(self, value_shape)
        return (*value_shape[:-2], side * (side - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        side = triangle_side(self, raw_shape[-1], diagonal=False)
        return (*raw_shape[:-1], side, side)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.diagonal(value, axis1=-2, axis2=-1).astype(np.float64))

    def unreachable(self, value: np.ndarray) -> str:
        """What to say of a factor whose diagonal is too small."""
        smallest = np.min(np.diagonal(value, axis1=-2, axis2=-1))
        return f"value has a diagonal entry of {smallest:.3g}, so near to 0 that its raw would not be finite; move it off there"

    def _cure(self, wrong: np.ndarray) -> str:
        above = np.abs(np.triu(wrong, 1)).max(initial=0.0)
        if above:
            return f"its largest entry above the diagonal is {above:.3g}: write np.tril(value)"
        smallest = np.diagonal(wrong).min()
        if smallest <= 0:
            return f"its smallest diagonal entry is {smallest:.3g}: give a factor with a positive diagonal"
        lengths = np.linalg.norm(wrong, axis=-1)
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        return f"a row has length {worst:.17g}: write value / np.linalg.norm(value, axis=-1, keepdims=True)"


@dataclass(frozen=True)
class Correlation(MatrixSpec):
    """Correlation matrices: symmetric, positive definite, the diagonal exactly 1.

        value = L L^T,   L the value of CholeskyCorrelation(link)

    Args:
        link: "row" (default) or "tanh", as in CholeskyCorrelation.

    Shapes: raw has K (K - 1)/2 entries along its last axis where the value is K by K, those below the diagonal row by row;
        other axes are batch axes. K = 1 has the raw of size 0 and the value 1.

    Raises:
        SpecError: for an unknown link, a value that is not square, or a raw that fills no triangle.

    Limits: a rounded matrix is positive definite only while its smallest eigenvalue is well above eps, and raw far from 0
        has smaller ones: with link "tanh" and raw of size 2, float32 fails at K = 20. Where a model needs the factor, use
        CholeskyCorrelation, whose value stays one, and form L L^T last. The digits of `inverse` are those of a Cholesky
        decomposition: eps times the condition number is lost. `contains` and `inverse` accept a diagonal that misses 1 by
        4 eps, entries that differ from their mirror images by 4 eps, and what has a Cholesky factor; `inverse` reads the
        lower triangle. The projection is a Newton method in float64, also for float32, and its smallest eigenvalues are 0
        up to rounding.

    Source: Stan Reference Manual, "Correlation matrices"; Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate
        Analysis 100(9). Projection: Qi and Sun (2006), SIAM Journal on Matrix Analysis and Applications 28(2); Borsdorf
        and Higham (2010), IMA Journal of Numerical Analysis 30(1).

    Example:
        >>> import isoparam as iso
        >>> iso.Correlation().raw_shape((4, 4))
        (6,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{C : C = C^T, C positive definite, C_ii = 1}",
        raw_size="K (K - 1)/2 for a K by K value",
        formula="L L^T with L of CholeskyCorrelation(link); the diagonal exactly 1",
        log_abs_det="that of CholeskyCorrelation(link), plus sum_k (K - k) log L_kk, k = 1..K",
        volume="Lebesgue on the entries below the diagonal",
        projection="nearest correlation matrix to (point + point^T)/2, by Newton's method on the dual problem",
        limits="positive definite only while the smallest eigenvalue is above eps: for the factor use CholeskyCorrelation",
        source="Stan Reference Manual, Correlation matrices; Qi and Sun (2006); Borsdorf and Higham (2010)",
    )

    link: str = "row"

    def __post_init__(self) -> None:
        check_link("Correlation", self.link, LINKS)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        side = square_side(self, value_shape)
        return (*value_shape[:-2], side * (side - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        side = triangle_side(self, raw_shape[-1], diagonal=False)
        return (*raw_shape[:-1], side, side)

    def border(self, value: np.ndarray) -> Border:
        value = value.astype(np.float64)
        if not np.isfinite(value).all():
            return Border(np.full(value.shape[:-1], np.nan))
        return Border(np.linalg.eigvalsh(value))

    def _cure(self, wrong: np.ndarray) -> str:
        apart = np.abs(wrong - wrong.T).max()
        if apart > 1e-6:
            return f"|C - C^T| is {apart:.3g} at its largest entry: write (value + value.T)/2"
        diagonal = np.diagonal(wrong)
        worst = diagonal[np.argmax(np.abs(diagonal - 1))]
        if abs(worst - 1) > 1e-6:
            return f"a diagonal entry is {worst:.17g}: divide each row and each column by the root of its diagonal entry"
        smallest = np.linalg.eigvalsh(wrong).min()
        if smallest <= 1e-6:
            return f"its smallest eigenvalue is {smallest:.3g}: start from project(spec, value), moved inside"
        return (
            f"|C - C^T| is {apart:.3g} and a diagonal entry misses 1 by {abs(worst - 1):.3g}, more than its dtype allows: "
            "write (value + value.T)/2 with a diagonal of 1"
        )
