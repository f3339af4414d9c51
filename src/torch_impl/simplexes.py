"""Rules of the further simplexes, and of ordered vectors between bounds: the last axis as a whole."""

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import OrderedInterval, SoftmaxSimplex, StickBreakingSimplex
from torch_impl.constants import room_like
from torch_impl.kernels.elementary import log, two_sum
from torch_impl.kernels.helmert import helmert_log, helmert_logsumexp, helmert_softmax
from torch_impl.kernels.projections import project_ordered, project_simplex
from torch_impl.kernels.softmax import log_over_last, softmax, sum_log_softmax
from torch_impl.kernels.stick import stick_breaking, stick_log, stick_log_abs_det
from torch_impl.kernels.sums import after, cumsum, sum_once
from torch_impl.registry import RULES


@RULES.implements(StickBreakingSimplex)
class StickBreakingSimplexRule(Rule[Array]):
    @staticmethod
    def forward(spec: StickBreakingSimplex, raw: Array) -> Array:
        return stick_breaking(raw)

    @staticmethod
    def inverse(spec: StickBreakingSimplex, value: Array) -> Array:
        return stick_log(value)

    @staticmethod
    def log_abs_det(spec: StickBreakingSimplex, raw: Array) -> Array:
        return sum_once(stick_log_abs_det(raw))[..., 0]

    @staticmethod
    def project(spec: StickBreakingSimplex, point: Array) -> Array:
        return project_simplex(point)

    @staticmethod
    def contains(spec: StickBreakingSimplex, value: Array, eps: float) -> Array:
        return are_weights(value, eps)


@RULES.implements(SoftmaxSimplex)
class SoftmaxSimplexRule(Rule[Array]):
    @staticmethod
    def forward(spec: SoftmaxSimplex, raw: Array) -> Array:
        return softmax(raw if spec.reference is None else after(raw))

    @staticmethod
    def inverse(spec: SoftmaxSimplex, value: Array) -> Array:
        return log(value) if spec.reference is None else log_over_last(value)

    @staticmethod
    def log_abs_det(spec: SoftmaxSimplex, raw: Array) -> Array:
        return sum_log_softmax(after(raw))

    @staticmethod
    def project(spec: SoftmaxSimplex, point: Array) -> Array:
        return project_simplex(point)

    @staticmethod
    def contains(spec: SoftmaxSimplex, value: Array, eps: float) -> Array:
        return are_weights(value, eps)


@RULES.implements(OrderedInterval)
class OrderedIntervalRule(Rule[Array]):
    @staticmethod
    def forward(spec: OrderedInterval, raw: Array) -> Array:
        n = room_like(spec, raw)
        return n.low + (n.gaps + n.room * cumsum(helmert_softmax(raw))[..., :-1])

    @staticmethod
    def inverse(spec: OrderedInterval, value: Array) -> Array:
        n = room_like(spec, value)
        ends = torch.zeros_like(value[..., :1])
        rise, error = two_sum(torch.cat([value, ends + n.high], dim=-1), -torch.cat([ends + n.low, value], dim=-1))
        rise, second = two_sum(rise, ends - n.min_gap)
        rise, tail = two_sum(rise, error + second)
        return helmert_log(rise, tail)

    @staticmethod
    def log_abs_det(spec: OrderedInterval, raw: Array) -> Array:
        n, count = room_like(spec, raw), raw.shape[-1]
        return (count * n.log_room + float(np.log(count + 1)) / 2) - (count + 1) * helmert_logsumexp(raw)

    @staticmethod
    def project(spec: OrderedInterval, point: Array) -> Array:
        # Without its smallest gaps the set is the cone of isotonic regression cut by a box, and the nearest point of that
        # is the nearest one of the cone, clipped: a block of equal entries that the box moves stays one block.
        n = room_like(spec, point)
        packed = point - n.gaps
        nearest = project_ordered(packed)
        moved = torch.where(nearest == packed, point, nearest + n.gaps)
        moved = torch.where(nearest < n.low, n.low + n.gaps, moved)
        return torch.where(nearest > n.top, n.top + n.gaps, moved)

    @staticmethod
    def contains(spec: OrderedInterval, value: Array, eps: float) -> Array:
        n = room_like(spec, value)
        ends = torch.zeros_like(value[..., :1])
        upper, lower = torch.cat([value, ends + n.high], dim=-1), torch.cat([ends + n.low, value], dim=-1)
        return torch.all(upper - lower > n.min_gap, dim=-1)


def are_weights(value: Array, eps: float) -> Array:
    """Whether vectors are positive and sum to 1, up to the rounding of their entries."""
    tolerance = 4 * eps + 4 * value.shape[-1] * torch.finfo(value.dtype).eps
    sums_to_one = torch.abs(torch.sum(value, dim=-1) - 1) <= tolerance
    return torch.all(value > 0, dim=-1) & sums_to_one
