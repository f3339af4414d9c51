"""Triangular, symmetric and skew-symmetric matrices: half of the entries are free."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.specs.base import Border, Facts, MatrixSpec, check_link, square_side, triangle_side
from isoparam.specs.bounds import Shape

DIAGONALS = ("free", "unit", "zero")


@dataclass(frozen=True)
class LowerTriangular(MatrixSpec):
    """Square matrices that are 0 above the diagonal.

        value_ij = raw, row by row, for j <= i;   0 for j > i
        diagonal="unit"   value_ii = 1, raw holds the entries below the diagonal
        diagonal="zero"   value_ii = 0, the same

    Args:
        diagonal: "free" (default), "unit" (the L of LU and LDL^T) or "zero" (strictly lower).

    Shapes: raw has n (n + 1)/2 entries along its last axis where the value is n by n, row by row: (0,0), (1,0), (1,1),
        ...; n (n - 1)/2 where the diagonal is not free. Other axes are batch axes.

    Raises:
        SpecError: for an unknown diagonal, a value that is not square, or a raw that fills no triangle.

    Limits: none; entries are copied.

    Source: torch.distributions.constraints.lower_triangular.

    Example:
        >>> import isoparam as iso
        >>> iso.LowerTriangular().raw_shape((3, 3))
        (6,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{L : L_ij = 0 for j > i}",
        raw_size="n (n + 1)/2 for an n by n value; n (n - 1)/2 with the diagonal given",
        formula="raw fills the triangle row by row; 0 above; the diagonal free, 1 or 0",
        log_abs_det="0",
        volume="Lebesgue on the free entries",
        projection="0 above the diagonal; the diagonal free, 1 or 0",
        limits="none: entries are copied",
        source="torch.distributions.constraints.lower_triangular",
    )

    diagonal: str = "free"

    def __post_init__(self) -> None:
        check_link("LowerTriangular", self.diagonal, DIAGONALS, "diagonal")

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        return (*value_shape[:-2], n * (n + 1) // 2 if self.diagonal == "free" else n * (n - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=self.diagonal == "free")
        return (*raw_shape[:-1], n, n)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        above = np.abs(np.triu(wrong, 1)).max(initial=0.0)
        if above or self.diagonal == "free":
            return f"its largest entry above the diagonal is {above:.3g}: write np.tril(value)"
        unit = float(self.diagonal == "unit")
        missing = np.abs(np.diagonal(wrong) - unit).max()
        return f"its diagonal misses {unit:g} by {missing:.3g}: write project(spec, value), or diagonal='free'"


@dataclass(frozen=True)
class Symmetric(MatrixSpec):
    """Symmetric matrices.

        value_ij = value_ji = raw, row by row, for j <= i

    Shapes: raw has n (n + 1)/2 entries along its last axis where the value is n by n, those of its lower triangle row by
        row; other axes are batch axes.

    Raises:
        SpecError: for a value that is not square, or a raw that fills no triangle.

    Limits: none; entries are copied, so the value is symmetric to the last bit. `contains` and `inverse` accept entries
        that differ by 4 eps of the largest entry; `inverse` reads the lower triangle.

    Source: torch.distributions.constraints.symmetric; GeoTorch, Symmetric.

    Example:
        >>> import isoparam as iso
        >>> iso.Symmetric().raw_shape((3, 3))
        (6,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{S : S = S^T}",
        raw_size="n (n + 1)/2 for an n by n value",
        formula="raw fills the lower triangle row by row; the upper one mirrors it",
        log_abs_det="0",
        volume="Lebesgue on the lower triangle",
        projection="(point + point^T)/2",
        limits="none: entries are copied",
        source="torch.distributions.constraints.symmetric; GeoTorch, Symmetric",
    )

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        return (*value_shape[:-2], n * (n + 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=True)
        return (*raw_shape[:-1], n, n)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        return f"{asymmetry(wrong)}: write (value + value.T)/2"


@dataclass(frozen=True)
class SkewSymmetric(MatrixSpec):
    """Skew-symmetric matrices: the transpose is the negative.

        value = A - A^T,   A strictly lower triangular, filled by raw row by row

    Shapes: raw has n (n - 1)/2 entries along its last axis where the value is n by n, those below its diagonal row by row;
        other axes are batch axes.

    Raises:
        SpecError: for a value that is not square, or a raw that fills no triangle.

    Limits: none; entries are copied. `contains` and `inverse` accept entries whose sum misses 0 by 4 eps of the largest
        entry, but a diagonal of exact zeros only; `inverse` reads the lower triangle.

    Source: torch.nn.utils.parametrizations.orthogonal; GeoTorch, Skew.

    Example:
        >>> import isoparam as iso
        >>> iso.SkewSymmetric().raw_shape((3, 3))
        (3,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{A : A = -A^T}",
        raw_size="n (n - 1)/2 for an n by n value",
        formula="A - A^T, raw fills A below the diagonal row by row",
        log_abs_det="0",
        volume="Lebesgue on the entries below the diagonal",
        projection="(point - point^T)/2",
        limits="none: entries are copied",
        source="torch.nn.utils.parametrizations.orthogonal; GeoTorch, Skew",
    )

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        return (*value_shape[:-2], n * (n - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=False)
        return (*raw_shape[:-1], n, n)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        return f"|A + A^T| is {np.abs(wrong + wrong.T).max():.3g} at its largest entry: write (value - value.T)/2"


def asymmetry(wrong: np.ndarray) -> str:
    """How far a square matrix is from a symmetric one, as a clause."""
    return f"|A - A^T| is {np.abs(wrong - wrong.T).max():.3g} at its largest entry"
