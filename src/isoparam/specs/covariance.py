"""Covariance matrices: their Cholesky factors, themselves, and those of low rank."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, MatrixSpec, check_link, square_side, triangle_side
from isoparam.specs.bounds import Shape, above
from isoparam.specs.scalar import HALF_LINE_LINKS
from isoparam.specs.triangles import asymmetry


@dataclass(frozen=True)
class CholeskyCovariance(MatrixSpec):
    """Lower triangular matrices with a positive diagonal: Cholesky factors of covariance matrices.

        value_ij = raw_ij below the diagonal,   value_ii = link(raw_ii)
        link="softplus"   value_ii = log(1 + exp(raw_ii))
        link="exp"        value_ii = exp(raw_ii)

    Args:
        link: "softplus" (default) or "exp", for the diagonal.
        columns: None (default) for square values; N for values of M >= N rows and N columns, the factors of covariances of
            rank N. The size of raw does not tell the two apart.

    Shapes: raw has n (n + 1)/2 entries along its last axis where the value is n by n, row by row; with columns=N and M
        rows N (N + 1)/2 + (M - N) N entries. Other axes are batch axes.

    Raises:
        SpecError: for an unknown link, columns that are no positive int, or a shape that does not fit.

    Limits: softplus and exp underflow to 0 below raw = -87 (float32) and -708 (float64); exp overflows above 88 and 709.

    Source: Stan Reference Manual, "Cholesky factors of covariance matrices" (cholesky_factor_cov[M, N]).

    Example:
        >>> import isoparam as iso
        >>> iso.CholeskyCovariance().raw_shape((3, 3)), iso.CholeskyCovariance(columns=2).raw_shape((3, 2))
        ((6,), (5,))
    """

    facts: ClassVar[Facts] = Facts(
        domain="{L lower triangular : L_kk > 0}",
        raw_size="n (n + 1)/2 for an n by n value; N (N + 1)/2 + (M - N) N for M by N",
        formula="raw fills the triangle row by row; link(raw_kk) on the diagonal, link softplus or exp",
        log_abs_det="sum_k log sigmoid(raw_kk), or sum_k raw_kk",
        volume="Lebesgue on the lower entries",
        projection="0 above the diagonal, max(., 0) on it",
        limits="L_kk underflows below raw = -87 / -708",
        source="Stan Reference Manual, Cholesky factors of covariance matrices",
    )

    link: str = "softplus"
    columns: int | None = None

    def __post_init__(self) -> None:
        check_link("CholeskyCovariance", self.link, HALF_LINE_LINKS)
        if self.columns is not None and (type(self.columns) is not int or self.columns < 1):
            raise SpecError(f"CholeskyCovariance: columns={self.columns!r} must be a positive int, or None for square values")

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape) if self.columns is None else self.columns
        rows = value_shape[-2]
        if value_shape[-1] != n or rows < n:
            raise SpecError(f"{self}: a value of shape {tuple(value_shape)} must have {n} columns and at least as many rows")
        return (*value_shape[:-2], n * (n + 1) // 2 + (rows - n) * n)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        if self.columns is None:
            n = triangle_side(self, raw_shape[-1], diagonal=True)
            return (*raw_shape[:-1], n, n)
        n = self.columns
        full, rest = divmod(raw_shape[-1] - n * (n + 1) // 2, n)
        if full < 0 or rest:
            raise SpecError(
                f"{self}: a raw with {raw_shape[-1]} entries along its last axis fills no matrix of {n} columns; "
                f"{n * (n + 1) // 2} fill {n} rows, and each further row takes {n}"
            )
        return (*raw_shape[:-1], n + full, n)

    def border(self, value: np.ndarray) -> Border:
        return Border(above(np.diagonal(value, axis1=-2, axis2=-1), 0.0))

    def _cure(self, wrong: np.ndarray) -> str:
        outside = np.abs(np.triu(wrong, 1)).max(initial=0.0)
        if outside:
            return f"its largest entry above the diagonal is {outside:.3g}: write np.tril(value), or np.linalg.cholesky(A)"
        return f"its smallest diagonal entry is {np.diagonal(wrong).min():.3g}: make it positive"


@dataclass(frozen=True)
class Covariance(MatrixSpec):
    """Symmetric positive definite matrices.

        value = L L^T,   L lower triangular, filled by raw row by row
        link="softplus"   L_kk = log(1 + exp(raw_kk))
        link="exp"        L_kk = exp(raw_kk)

    Args:
        link: "softplus" (default) or "exp", for the diagonal of L.

    Shapes: raw has n (n + 1)/2 entries along its last axis where the value is n by n; other axes are batch axes.

    Raises:
        SpecError: for an unknown link, a value that is not square, or a raw that fills no triangle.

    Limits: values are symmetric to the last bit. A value is rounded to its dtype: with a condition number above 1/eps (8e6
        in float32, 4e15 in float64) it may not be positive definite any more. `contains` and `inverse` accept entries
        that differ by 4 eps of the largest from those across the diagonal, and read their mean. Up to 16 rows the factor
        is found with twice the digits of float64, beyond with those of float64.

    Source: Stan Reference Manual, "Covariance matrices".

    Example:
        >>> import isoparam as iso
        >>> iso.Covariance().raw_shape((3, 3))
        (6,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{A = A^T : x^T A x > 0 for x != 0}",
        raw_size="n (n + 1)/2 for an n by n value",
        formula="L L^T, L filled by raw row by row, link(raw_kk) on its diagonal, link softplus or exp",
        log_abs_det="n log 2 + sum_k (n - k + 1) log L_kk + sum_k log sigmoid(raw_kk), or + sum_k raw_kk; k = 1..n",
        volume="Lebesgue on the lower triangle",
        projection="V max(lambda, 0) V^T, from the eigenvalues of (point + point^T)/2",
        limits="may not be positive definite once rounded, with a condition number above 8e6 / 4e15",
        source="Stan Reference Manual, Covariance matrices",
    )

    link: str = "softplus"

    def __post_init__(self) -> None:
        check_link("Covariance", self.link, HALF_LINE_LINKS)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        return (*value_shape[:-2], n * (n + 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=True)
        return (*raw_shape[:-1], n, n)

    def border(self, value: np.ndarray) -> Border:
        return Border(eigenvalues(value))

    def _cure(self, wrong: np.ndarray) -> str:
        if not symmetric_enough(wrong):
            return f"{asymmetry(wrong)}: write (value + value.T)/2"
        return (
            f"its smallest eigenvalue is {eigenvalues(wrong).min():.3g}: write value + jitter * np.eye(len(value)) with a "
            "jitter above that, or project(spec, value) plus such a multiple"
        )


@dataclass(frozen=True)
class LowRankCovariance(MatrixSpec):
    """Symmetric positive semidefinite matrices of a rank up to k.

        value = B B^T,   B = raw, n by k

    B Q with an orthogonal Q has the same value, so raw is not unique: `inverse` gives the B whose columns are orthogonal,
    longest first, with the entry of each that is largest in size positive.

    Args:
        rank: k, at least 1.

    Shapes: raw is n by k, n >= k, where the value is n by n; other axes are batch axes.

    Raises:
        SpecError: for a rank that is no positive int, a value that is not square or smaller than the rank, or a raw that has
            not `rank` columns.

    Limits: values are symmetric to the last bit. `contains` allows 4 n eps of the largest eigenvalue: for eigenvalues below
        0, for those beyond the rank, and for the difference across the diagonal. At raw = 0 the derivative is 0; `initial`
        starts at the first columns of the identity.

    Source: torch.distributions.LowRankMultivariateNormal (its factor); GeoTorch, PSSDLowRank.

    Example:
        >>> import isoparam as iso
        >>> iso.LowRankCovariance(rank=2).raw_shape((5, 5))
        (5, 2)
    """

    raw_rank: ClassVar[int] = 2
    facts: ClassVar[Facts] = Facts(
        domain="{A = A^T : x^T A x >= 0, rank A <= k}",
        raw_size="n k for an n by n value of rank k",
        formula="B B^T, B = raw",
        log_abs_det="none: B Q has the same value for every orthogonal Q",
        volume="none",
        projection="the k largest eigenvalues of (point + point^T)/2 that are positive, with their eigenvectors",
        limits="the derivative is 0 at raw = 0",
        source="torch.distributions.LowRankMultivariateNormal; GeoTorch, PSSDLowRank",
    )

    rank: int

    def __post_init__(self) -> None:
        if type(self.rank) is not int or self.rank < 1:
            raise SpecError(f"LowRankCovariance: rank={self.rank!r} must be a positive int")

    @property
    def absent(self) -> dict[str, str]:
        return {"log_abs_det": "B Q has the same value as B for every orthogonal Q, so raw -> value is no bijection"}

    def start(self, value_shape: Shape) -> np.ndarray:
        """The first columns of the identity."""
        return np.broadcast_to(np.eye(value_shape[-1], self.rank), self.raw_shape(value_shape)).copy()

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        if n < self.rank:
            raise SpecError(f"{self}: a value of shape {tuple(value_shape)} has no rank {self.rank}; give rank={n} at most")
        return (*value_shape[:-1], self.rank)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        if raw_shape[-1] != self.rank or raw_shape[-2] < self.rank:
            raise SpecError(f"{self}: a raw of shape {tuple(raw_shape)} must have {self.rank} columns and as many rows or more")
        return (*raw_shape[:-1], raw_shape[-2])

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        if not symmetric_enough(wrong):
            return f"{asymmetry(wrong)}: write (value + value.T)/2"
        found = eigenvalues(wrong)
        beyond = np.abs(found[: len(found) - self.rank]).max(initial=0.0)
        return (
            f"its smallest eigenvalue is {found.min():.3g}, the largest beyond rank {self.rank} is {beyond:.3g} in size: "
            "write project(spec, value), or raise the rank"
        )


def eigenvalues(value: np.ndarray) -> np.ndarray:
    """The eigenvalues of symmetric matrices, smallest first, in float64."""
    value = value.astype(np.float64)
    return np.linalg.eigvalsh(value / 2 + np.swapaxes(value, -1, -2) / 2)


def symmetric_enough(value: np.ndarray) -> bool:
    """Whether entries across the diagonal differ by no more than a rounding of the largest entry."""
    eps = np.finfo(value.dtype).eps if value.dtype.kind == "f" else 0.0
    return bool(np.abs(value - value.T).max() <= 8 * eps * np.abs(value).max())
