"""Rules of the weights with a norm: slices along axes, and matrices."""

from math import prod

import torch
from torch import Tensor as Array

from isoparam.rules import Rule, absent
from isoparam.specs import MaxNorm, SpectralNorm, UnitNorm, WeightNorm
from isoparam.specs.norms import NormedSpec
from torch_impl.balls import L2BallRule
from torch_impl.kernels.spectral import decomposed, project_spectral, scaled, spectral_unit
from torch_impl.kernels.sphere import log_length, unit, with_length
from torch_impl.registry import RULES


@RULES.implements(UnitNorm)
class UnitNormRule(Rule[Array]):
    @staticmethod
    def forward(spec: UnitNorm, raw: Array) -> Array:
        return whole(spec, unit(slices(spec, raw)), raw)

    @staticmethod
    def inverse(spec: UnitNorm, value: Array) -> Array:
        return value

    @staticmethod
    def log_abs_det(spec: UnitNorm, raw: Array) -> Array:
        rows = slices(spec, raw)
        n = rows.shape[-1]
        return (1 - n) * log_length(rows) if n > 1 else torch.zeros_like(rows[..., 0])

    @staticmethod
    def project(spec: UnitNorm, point: Array) -> Array:
        return whole(spec, unit(slices(spec, point)), point)

    @staticmethod
    def contains(spec: UnitNorm, value: Array, eps: float) -> Array:
        rows = slices(spec, value)
        # Of the square, which misses 1 by twice as much.
        tolerance = 8 * eps + 8 * rows.shape[-1] * torch.finfo(value.dtype).eps
        return torch.abs(torch.sum(rows * rows, dim=-1) - 1) <= tolerance


@RULES.implements(MaxNorm)
class MaxNormRule(Rule[Array]):
    @staticmethod
    def forward(spec: MaxNorm, raw: Array) -> Array:
        return whole(spec, L2BallRule.forward(spec.ball, slices(spec, raw)), raw)

    @staticmethod
    def inverse(spec: MaxNorm, value: Array) -> Array:
        return whole(spec, L2BallRule.inverse(spec.ball, slices(spec, value)), value)

    @staticmethod
    def log_abs_det(spec: MaxNorm, raw: Array) -> Array:
        return L2BallRule.log_abs_det(spec.ball, slices(spec, raw))

    @staticmethod
    def project(spec: MaxNorm, point: Array) -> Array:
        return whole(spec, L2BallRule.project(spec.ball, slices(spec, point)), point)

    @staticmethod
    def contains(spec: MaxNorm, value: Array, eps: float) -> Array:
        return L2BallRule.contains(spec.ball, slices(spec, value), eps)


@RULES.implements(WeightNorm)
class WeightNormRule(Rule[Array]):
    @staticmethod
    def forward(spec: WeightNorm, raw: Array) -> Array:
        return with_length(raw)

    @staticmethod
    def inverse(spec: WeightNorm, value: Array) -> Array:
        long = torch.sum(value * unit(value), dim=-1, keepdim=True)
        return torch.cat([value, long], dim=-1)

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: WeightNorm, point: Array) -> Array:
        return point

    @staticmethod
    def contains(spec: WeightNorm, value: Array, eps: float) -> Array:
        return torch.all(torch.isfinite(value), dim=-1)


@RULES.implements(SpectralNorm)
class SpectralNormRule(Rule[Array]):
    @staticmethod
    def forward(spec: SpectralNorm, raw: Array) -> Array:
        return spec.bound * spectral_unit(raw)

    @staticmethod
    def inverse(spec: SpectralNorm, value: Array) -> Array:
        return value

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: SpectralNorm, point: Array) -> Array:
        return project_spectral(point, spec.bound)

    @staticmethod
    def contains(spec: SpectralNorm, value: Array, eps: float) -> Array:
        u, power, zero = scaled(value)
        short = min(value.shape[-2:])
        tolerance = (4 * eps * short**0.5 + 8 * short * torch.finfo(value.dtype).eps) * spec.bound
        near = torch.abs(decomposed(u)[1][..., 0] * power[..., 0, 0] - spec.bound) <= tolerance
        return near & ~zero[..., 0, 0]


def slices(spec: NormedSpec, array: Array) -> Array:
    """The slices as rows along the last axis."""
    axes = spec.value_axes
    moved = torch.movedim(array, axes, tuple(range(-len(axes), 0)))
    batch = moved.shape[: moved.ndim - len(axes)]
    return moved.reshape(*batch, prod(moved.shape[len(batch) :]))


def whole(spec: NormedSpec, rows: Array, like: Array) -> Array:
    """The rows back as slices of an array of the shape of `like`."""
    axes = spec.value_axes
    moved = rows.reshape(*rows.shape[:-1], *(like.shape[axis] for axis in axes))
    return torch.movedim(moved, tuple(range(-len(axes), 0)), axes)
