"""Rules of the covariance matrices and their factors."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule, absent
from isoparam.specs import CholeskyCovariance, Covariance, LowRankCovariance
from torch_impl.kernels.factors import covariance, covariance_log_det, diagonal, filled, gram, roots, unlinked, with_diagonal
from torch_impl.kernels.spectra import low_rank_root, project_low_rank, project_semidefinite, spectrum
from torch_impl.kernels.sums import sum_once
from torch_impl.kernels.triangles import below, fill_lower, largest_entry, take_lower
from torch_impl.registry import RULES
from torch_impl.scalar import gap_log_slope


@RULES.implements(CholeskyCovariance)
class CholeskyCovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: CholeskyCovariance, raw: Array) -> Array:
        rows, columns = spec.value_shape(tuple(raw.shape))[-2:]
        if rows == columns:
            return filled(raw, columns, spec.link)
        count = columns * (columns + 1) // 2
        rest = raw[..., count:].reshape(*raw.shape[:-1], rows - columns, columns)
        return torch.cat([filled(raw[..., :count], columns, spec.link), rest], dim=-2)

    @staticmethod
    def inverse(spec: CholeskyCovariance, value: Array) -> Array:
        columns = value.shape[-1]
        square = value[..., :columns, :]
        raw = take_lower(with_diagonal(square, unlinked(diagonal(square), spec.link)))
        if value.shape[-2] > columns:
            rest = value[..., columns:, :]
            raw = torch.cat([raw, rest.reshape(*raw.shape[:-1], rest.shape[-2] * columns)], dim=-1)
        zeros = torch.all(torch.all(below(square) | (square == 0), dim=-1), dim=-1)
        return torch.where(zeros[..., None], raw, torch.nan)

    @staticmethod
    def log_abs_det(spec: CholeskyCovariance, raw: Array) -> Array:
        columns = spec.value_shape(tuple(raw.shape))[-1]
        entries = diagonal(fill_lower(raw[..., : columns * (columns + 1) // 2], columns))
        return sum_once(gap_log_slope(spec.link, entries))[..., 0]

    @staticmethod
    def project(spec: CholeskyCovariance, point: Array) -> Array:
        entries = diagonal(point)
        return with_diagonal(torch.tril(point), torch.where(entries < 0, 0.0, entries))

    @staticmethod
    def contains(spec: CholeskyCovariance, value: Array, eps: float) -> Array:
        square = value[..., : value.shape[-1], :]
        inside = torch.all(torch.all(below(square) | (square == 0), dim=-1), dim=-1)
        finite = torch.all(torch.all(torch.isfinite(value), dim=-1), dim=-1)
        return inside & finite & torch.all(diagonal(square) > 0, dim=-1)


@RULES.implements(Covariance)
class CovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: Covariance, raw: Array) -> Array:
        return covariance[spec.link](raw)

    @staticmethod
    def inverse(spec: Covariance, value: Array) -> Array:
        return torch.where(symmetric_enough(value, torch.finfo(value.dtype).eps)[..., None], roots[spec.link](value), torch.nan)

    @staticmethod
    def log_abs_det(spec: Covariance, raw: Array) -> Array:
        side = spec.value_shape(tuple(raw.shape))[-1]
        return covariance_log_det(diagonal(fill_lower(raw, side)), spec.link)

    @staticmethod
    def project(spec: Covariance, point: Array) -> Array:
        return project_semidefinite(point)

    @staticmethod
    def contains(spec: Covariance, value: Array, eps: float) -> Array:
        found = torch.all(torch.isfinite(roots["exp"](value)), dim=-1)
        return symmetric_enough(value, eps) & found


@RULES.implements(LowRankCovariance)
class LowRankCovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: LowRankCovariance, raw: Array) -> Array:
        return gram(raw)

    @staticmethod
    def inverse(spec: LowRankCovariance, value: Array) -> Array:
        inside = LowRankCovarianceRule.contains(spec, value, torch.finfo(value.dtype).eps)
        return torch.where(inside[..., None, None], low_rank_root(value, spec.rank), torch.nan)

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: LowRankCovariance, point: Array) -> Array:
        return project_low_rank(point, spec.rank)

    @staticmethod
    def contains(spec: LowRankCovariance, value: Array, eps: float) -> Array:
        side = value.shape[-1]
        found = spectrum(value)
        tolerance = (4 * side * eps) * torch.amax(torch.abs(found), dim=-1)
        beyond = torch.abs(found[..., : side - spec.rank])
        lowest = torch.all(found >= -tolerance[..., None], dim=-1) & torch.all(beyond <= tolerance[..., None], dim=-1)
        return symmetric_enough(value, side * eps) & lowest


def symmetric_enough(value: Array, eps: float) -> Array:
    """Whether entries across the diagonal differ by 4 eps of the largest entry at most."""
    half = value / 2
    apart = largest_entry(half - half.mT)
    return torch.isfinite(apart) & (apart <= (4 * eps) * largest_entry(half))
