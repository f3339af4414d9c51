"""Matrices whose rows or columns are constrained: stochastic ones, and interactions that sum to 0 both ways."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, MatrixSpec
from isoparam.specs.bounds import Shape, above


@dataclass(frozen=True)
class RowStochastic(MatrixSpec):
    """Matrices of positive entries whose rows sum to 1: transition probabilities, mixture weights per group.

        value_i = softmax(H^T raw_i) for each row i

    Each row is a `Simplex` with the same map: H is the Helmert matrix with orthonormal rows.

    Shapes: raw is rows x (columns - 1) where the value is rows x columns; other axes are batch axes.

    Raises:
        SpecError: for a value without columns, or an array with too few axes.

    Limits: those of `Simplex`.

    Source: Stan Reference Manual >= 2.37, "Stochastic matrix".

    Example:
        >>> import isoparam as iso
        >>> iso.RowStochastic().raw_shape((5, 3, 4))
        (5, 3, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{W : W_ij > 0, each row sums to 1}",
        raw_size="rows * (columns - 1)",
        formula="softmax(H^T raw_i) for each row i, H the Helmert matrix with orthonormal rows",
        log_abs_det="sum_ij log W_ij + rows * log(columns) / 2",
        volume="Lebesgue on all columns but the last",
        projection="each row as that of the simplex (sort)",
        limits="entries under exp(-87.3) / exp(-708.3) are subnormal; |raw| up to 1e30 / 1e300",
        source="Stan Reference Manual >= 2.37, Stochastic matrix",
    )
    raw_rank: ClassVar[int] = 2

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        if name == "value" and shape[-1] == 0:
            raise SpecError(f"{self}: a value of shape {tuple(shape)} has no columns; its rows need at least 1 entry")

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[:-1], value_shape[-1] - 1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-1], raw_shape[-1] + 1)

    def border(self, value: np.ndarray) -> Border:
        return Border(above(value, 0.0) if value.shape[-1] > 1 else np.empty(0), 0.25)

    def _cure(self, wrong: np.ndarray) -> str:
        return _cure_of_weights(self, wrong, -1, "row", "value.sum(-1, keepdims=True)") or super()._cure(wrong)


@dataclass(frozen=True)
class ColumnStochastic(MatrixSpec):
    """Matrices of positive entries whose columns sum to 1.

        value_j = softmax(H^T raw_j) for each column j

    Each column is a `Simplex` with the same map: H is the Helmert matrix with orthonormal rows.

    Shapes: raw is (rows - 1) x columns where the value is rows x columns; other axes are batch axes.

    Raises:
        SpecError: for a value without rows, or an array with too few axes.

    Limits: those of `Simplex`.

    Source: Stan Reference Manual >= 2.37, "Stochastic matrix".

    Example:
        >>> import isoparam as iso
        >>> iso.ColumnStochastic().raw_shape((5, 3, 4))
        (5, 2, 4)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{W : W_ij > 0, each column sums to 1}",
        raw_size="(rows - 1) * columns",
        formula="softmax(H^T raw_j) for each column j, H the Helmert matrix with orthonormal rows",
        log_abs_det="sum_ij log W_ij + columns * log(rows) / 2",
        volume="Lebesgue on all rows but the last",
        projection="each column as that of the simplex (sort)",
        limits="entries under exp(-87.3) / exp(-708.3) are subnormal; |raw| up to 1e30 / 1e300",
        source="Stan Reference Manual >= 2.37, Stochastic matrix",
    )
    raw_rank: ClassVar[int] = 2

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        if name == "value" and shape[-2] == 0:
            raise SpecError(f"{self}: a value of shape {tuple(shape)} has no rows; its columns need at least 1 entry")

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[:-2], value_shape[-2] - 1, value_shape[-1])

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-2], raw_shape[-2] + 1, raw_shape[-1])

    def border(self, value: np.ndarray) -> Border:
        return Border(above(value, 0.0) if value.shape[-2] > 1 else np.empty(0), 0.25)

    def _cure(self, wrong: np.ndarray) -> str:
        return _cure_of_weights(self, wrong, -2, "column", "value.sum(-2, keepdims=True)") or super()._cure(wrong)


@dataclass(frozen=True)
class SumToZeroMatrix(MatrixSpec):
    """Matrices whose rows and columns all sum to 0: interactions of two factors.

        value = A^T raw B

    A and B are the Helmert matrices of the two sizes: their rows are orthonormal and sum to 0, so lengths and angles of
    raw are those of the value. Independent raw of variance s^2 give each entry the same variance.

    Shapes: raw is (rows - 1) x (columns - 1) where the value is rows x columns; other axes are batch axes.

    Raises:
        SpecError: for a value without rows or columns, or an array with too few axes.

    Limits: each entry is rounded by itself, so a sum is 0 up to some eps of the sum of all sizes, which `contains` allows
        8 times; |raw| up to 1e30 (float32) or 1e300 (float64).

    Source: Stan Reference Manual >= 2.36, "Zero sum matrix"; pymc.ZeroSumTransform and numpyro's for other bases of the set.

    Example:
        >>> import isoparam as iso
        >>> iso.SumToZeroMatrix().raw_shape((5, 3, 4))
        (5, 2, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{V : each row and each column sums to 0}",
        raw_size="(rows - 1) * (columns - 1)",
        formula="A^T raw B, A and B the Helmert matrices with orthonormal rows",
        log_abs_det="0",
        volume="surface of the subspace (Lebesgue on the upper left entries: add -(c - 1) log(r) / 2 - (r - 1) log(c) / 2)",
        projection="point - mean of its row - mean of its column + mean of all",
        limits="the sums are 0 up to rounding of each entry; |raw| up to 1e30 / 1e300",
        source="Stan Reference Manual >= 2.36, Zero sum matrix",
    )
    raw_rank: ClassVar[int] = 2

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        if name == "value" and 0 in shape[-2:]:
            raise SpecError(f"{self}: a value of shape {tuple(shape)} is empty; it needs at least one row and one column")

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[:-2], value_shape[-2] - 1, value_shape[-1] - 1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-2], raw_shape[-2] + 1, raw_shape[-1] + 1)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        rows, columns = wrong.sum(-1), wrong.sum(-2)
        worst = max(rows.min(), rows.max(), columns.min(), columns.max(), key=abs)
        return f"a row or column sums to {worst:.3g}: start from project(spec, value), or train with dtype='float32'"


def _cure_of_weights(spec: MatrixSpec, wrong: np.ndarray, axis: int, name: str, total: str) -> str:
    """What to do about rows or columns that do not sum to 1; nothing where an entry is not positive."""
    del spec
    if (wrong <= 0).any():
        return ""
    sums = wrong.sum(axis)
    worst = int(np.argmax(np.abs(sums - 1)))
    return f"{name} {worst} sums to {sums[worst]:.17g}: write value / {total}, or train float32 weights with dtype='float32'"
