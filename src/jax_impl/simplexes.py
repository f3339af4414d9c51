"""Rules of the further simplexes, and of ordered vectors between bounds: the last axis as a whole."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import OrderedInterval, SoftmaxSimplex, StickBreakingSimplex
from jax_impl.constants import room_like
from jax_impl.kernels.elementary import log, two_sum
from jax_impl.kernels.helmert import helmert_log, helmert_logsumexp, helmert_softmax
from jax_impl.kernels.projections import project_ordered, project_simplex
from jax_impl.kernels.softmax import log_over_last, softmax, sum_log_softmax
from jax_impl.kernels.stick import stick_breaking, stick_log, stick_log_abs_det
from jax_impl.kernels.sums import after, cumsum, sum_once
from jax_impl.registry import RULES


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
        ends = jnp.zeros_like(value[..., :1])
        rise, error = two_sum(
            jnp.concatenate([value, ends + n.high], axis=-1), -jnp.concatenate([ends + n.low, value], axis=-1)
        )
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
        moved = jnp.where(nearest == packed, point, nearest + n.gaps)
        moved = jnp.where(nearest < n.low, n.low + n.gaps, moved)
        return jnp.where(nearest > n.top, n.top + n.gaps, moved)

    @staticmethod
    def contains(spec: OrderedInterval, value: Array, eps: float) -> Array:
        n = room_like(spec, value)
        ends = jnp.zeros_like(value[..., :1])
        upper, lower = jnp.concatenate([value, ends + n.high], axis=-1), jnp.concatenate([ends + n.low, value], axis=-1)
        return jnp.all(upper - lower > n.min_gap, axis=-1)


def are_weights(value: Array, eps: float) -> Array:
    """Whether vectors are positive and sum to 1, up to the rounding of their entries."""
    tolerance = 4 * eps + 4 * value.shape[-1] * float(jnp.finfo(value.dtype).eps)
    sums_to_one = jnp.abs(jnp.sum(value, axis=-1) - 1) <= tolerance
    return jnp.all(value > 0, axis=-1) & sums_to_one
