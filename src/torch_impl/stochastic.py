"""Rules of the matrices whose rows or columns are constrained."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import ColumnStochastic, RowStochastic, Simplex, SumToZeroMatrix
from torch_impl.kernels.helmert import helmert_gather, helmert_spread
from torch_impl.kernels.projections import project_sum_to_zero_matrix
from torch_impl.kernels.sums import sum_once
from torch_impl.registry import RULES
from torch_impl.vector import SimplexRule

_ROWS = Simplex()


@RULES.implements(RowStochastic)
class RowStochasticRule(Rule[Array]):
    @staticmethod
    def forward(spec: RowStochastic, raw: Array) -> Array:
        return SimplexRule.forward(_ROWS, raw)

    @staticmethod
    def inverse(spec: RowStochastic, value: Array) -> Array:
        return SimplexRule.inverse(_ROWS, value)

    @staticmethod
    def log_abs_det(spec: RowStochastic, raw: Array) -> Array:
        return sum_once(SimplexRule.log_abs_det(_ROWS, raw))[..., 0]

    @staticmethod
    def project(spec: RowStochastic, point: Array) -> Array:
        return SimplexRule.project(_ROWS, point)

    @staticmethod
    def contains(spec: RowStochastic, value: Array, eps: float) -> Array:
        return torch.all(SimplexRule.contains(_ROWS, value, eps), dim=-1)


@RULES.implements(ColumnStochastic)
class ColumnStochasticRule(Rule[Array]):
    @staticmethod
    def forward(spec: ColumnStochastic, raw: Array) -> Array:
        return turned(SimplexRule.forward(_ROWS, turned(raw)))

    @staticmethod
    def inverse(spec: ColumnStochastic, value: Array) -> Array:
        return turned(SimplexRule.inverse(_ROWS, turned(value)))

    @staticmethod
    def log_abs_det(spec: ColumnStochastic, raw: Array) -> Array:
        return sum_once(SimplexRule.log_abs_det(_ROWS, turned(raw)))[..., 0]

    @staticmethod
    def project(spec: ColumnStochastic, point: Array) -> Array:
        return turned(SimplexRule.project(_ROWS, turned(point)))

    @staticmethod
    def contains(spec: ColumnStochastic, value: Array, eps: float) -> Array:
        return torch.all(SimplexRule.contains(_ROWS, turned(value), eps), dim=-1)


@RULES.implements(SumToZeroMatrix)
class SumToZeroMatrixRule(Rule[Array]):
    @staticmethod
    def forward(spec: SumToZeroMatrix, raw: Array) -> Array:
        return turned(helmert_spread(turned(helmert_spread(raw))))

    @staticmethod
    def inverse(spec: SumToZeroMatrix, value: Array) -> Array:
        return turned(helmert_gather(turned(helmert_gather(value))))

    @staticmethod
    def log_abs_det(spec: SumToZeroMatrix, raw: Array) -> Array:
        return torch.zeros_like(torch.sum(raw, dim=(-2, -1)))

    @staticmethod
    def project(spec: SumToZeroMatrix, point: Array) -> Array:
        return project_sum_to_zero_matrix(point)

    @staticmethod
    def contains(spec: SumToZeroMatrix, value: Array, eps: float) -> Array:
        room = (8 * eps) * torch.sum(torch.abs(value), dim=(-2, -1)) + (value.shape[-1] + value.shape[-2]) * torch.finfo(
            value.dtype
        ).tiny  # a row is rounded at the size of the entries that it came from
        rows, columns = torch.abs(sum_once(value)[..., 0]), torch.abs(sum_once(turned(value))[..., 0])
        return torch.all(rows <= room[..., None], dim=-1) & torch.all(columns <= room[..., None], dim=-1)


def turned(array: Array) -> Array:
    """The last two axes exchanged: columns as rows."""
    return torch.swapaxes(array, -1, -2)
