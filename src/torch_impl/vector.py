"""Rules of the vector specs: the last axis as a whole."""

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import Ordered, Simplex
from torch_impl.kernels import cumsum, helmert_log, helmert_logsumexp, helmert_softmax, sum_once
from torch_impl.projections import project_ordered, project_simplex
from torch_impl.registry import RULES
from torch_impl.scalar import gap, gap_inverse, gap_log_slope


@RULES.implements(Simplex)
class SimplexRule(Rule[Array]):
    @staticmethod
    def forward(spec: Simplex, raw: Array) -> Array:
        return helmert_softmax(raw)

    @staticmethod
    def inverse(spec: Simplex, value: Array) -> Array:
        return helmert_log(value)

    @staticmethod
    def log_abs_det(spec: Simplex, raw: Array) -> Array:
        n = raw.shape[-1] + 1
        return float(np.log(n)) / 2 - n * helmert_logsumexp(raw)

    @staticmethod
    def project(spec: Simplex, point: Array) -> Array:
        return project_simplex(point)

    @staticmethod
    def contains(spec: Simplex, value: Array, eps: float) -> Array:
        tolerance = 4 * eps + 4 * value.shape[-1] * torch.finfo(value.dtype).eps
        sums_to_one = torch.abs(torch.sum(value, dim=-1) - 1) <= tolerance
        return torch.all(value > 0, dim=-1) & sums_to_one


@RULES.implements(Ordered)
class OrderedRule(Rule[Array]):
    @staticmethod
    def forward(spec: Ordered, raw: Array) -> Array:
        return cumsum(torch.cat([raw[..., :1], gap(spec.link, raw[..., 1:])], dim=-1))

    @staticmethod
    def inverse(spec: Ordered, value: Array) -> Array:
        return torch.cat([value[..., :1], gap_inverse(spec.link, value[..., 1:], value[..., :-1])], dim=-1)

    @staticmethod
    def log_abs_det(spec: Ordered, raw: Array) -> Array:
        return sum_once(gap_log_slope(spec.link, raw[..., 1:]))[..., 0]

    @staticmethod
    def project(spec: Ordered, point: Array) -> Array:
        return project_ordered(point)

    @staticmethod
    def contains(spec: Ordered, value: Array, eps: float) -> Array:
        return torch.all(value[..., 1:] > value[..., :-1], dim=-1) & torch.all(torch.isfinite(value), dim=-1)
