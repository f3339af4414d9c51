"""Rules of correlation matrices and their Cholesky factors."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import CholeskyCorrelation, Correlation
from torch_impl.kernels.correlation import (
    angle_logs,
    by_angles,
    correlation,
    over_diagonal,
    row_logs,
    rows_by_angles,
    rows_by_length,
    to_angles,
    with_ones,
)
from torch_impl.kernels.nearest import nearest_correlation
from torch_impl.kernels.sphere import unit
from torch_impl.kernels.triangles import below, fill_strict, largest_entry, take_strict
from torch_impl.registry import RULES


@RULES.implements(CholeskyCorrelation)
class CholeskyCorrelationRule(Rule[Array]):
    @staticmethod
    def forward(spec: CholeskyCorrelation, raw: Array) -> Array:
        side = spec.value_shape(tuple(raw.shape))[-1]
        return rows_by_length(raw, side) if spec.link == "row" else rows_by_angles(raw, side)

    @staticmethod
    def inverse(spec: CholeskyCorrelation, value: Array) -> Array:
        inside = CholeskyCorrelationRule.contains(spec, value, 4 * torch.finfo(value.dtype).eps)
        raw = take_strict(over_diagonal(value) if spec.link == "row" else to_angles(value))
        return torch.where(inside[..., None], raw, torch.nan)

    @staticmethod
    def log_abs_det(spec: CholeskyCorrelation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        row = torch.arange(strict.shape[-1], dtype=raw.dtype, device=raw.device)
        if spec.link == "row":
            return -torch.sum((row + 2) * row_logs(strict), dim=-1)
        return angle_logs(strict, 1 + (row[:, None] - 1 - row) / 2)

    @staticmethod
    def project(spec: CholeskyCorrelation, point: Array) -> Array:
        diagonal = below(point) & ~below(point, 1)
        return unit(torch.where(diagonal & (point < 0), 0.0, torch.where(below(point), point, 0.0)))

    @staticmethod
    def contains(spec: CholeskyCorrelation, value: Array, eps: float) -> Array:
        tolerance = (
            8 * eps + 8 * value.shape[-1] * torch.finfo(value.dtype).eps
        )  # of the square, which misses 1 by twice as much
        unit_rows = torch.abs(torch.sum(value * value, dim=-1) - 1) <= tolerance
        lower = torch.all(below(value) | (value == 0), dim=-1)
        return torch.all(unit_rows & lower & (torch.diagonal(value, dim1=-2, dim2=-1) > 0), dim=-1)


@RULES.implements(Correlation)
class CorrelationRule(Rule[Array]):
    @staticmethod
    def forward(spec: Correlation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        return correlation(with_ones(strict) if spec.link == "row" else by_angles(strict))

    @staticmethod
    def inverse(spec: Correlation, value: Array) -> Array:
        inside = CorrelationRule.contains(spec, value, torch.finfo(value.dtype).eps)
        factor = _factor(value)
        raw = take_strict(over_diagonal(factor) if spec.link == "row" else to_angles(factor))
        return torch.where(inside[..., None], raw, torch.nan)

    @staticmethod
    def log_abs_det(spec: Correlation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        side = strict.shape[-1]
        if spec.link == "row":
            return -(side + 1) * torch.sum(row_logs(strict), dim=-1)
        row = torch.arange(side, dtype=raw.dtype, device=raw.device)
        return angle_logs(strict, ((side - row) / 2).expand(side, side))

    @staticmethod
    def project(spec: Correlation, point: Array) -> Array:
        return nearest_correlation(point)

    @staticmethod
    def contains(spec: Correlation, value: Array, eps: float) -> Array:
        apart = largest_entry(value - value.mT)
        missing = torch.amax(torch.abs(torch.diagonal(value, dim1=-2, dim2=-1) - 1), dim=-1)
        definite = torch.all(torch.diagonal(_factor(value), dim1=-2, dim2=-1) > 0, dim=-1)
        return (apart <= 4 * eps) & (missing <= 4 * eps) & definite


def _factor(value: Array) -> Array:
    """The Cholesky factor; nan where there is none."""
    # twin: LAPACK's factor through torch.linalg needs its flag read; JAX gives nan by itself.
    finite = torch.all(torch.all(torch.isfinite(value), dim=-1), dim=-1)
    one = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
    factor, failed = torch.linalg.cholesky_ex(torch.where(finite[..., None, None], value, one))
    return torch.where((finite & (failed == 0))[..., None, None], factor, torch.nan)
