"""Rules of the vector specs: the last axis as a whole."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import Ordered, PositiveOrdered, Simplex, SumToZero, UnitVector
from jax_impl.kernels.helmert import helmert_gather, helmert_log, helmert_logsumexp, helmert_softmax, helmert_spread
from jax_impl.kernels.projections import project_ordered, project_simplex, project_sum_to_zero
from jax_impl.kernels.sphere import log_length, unit
from jax_impl.kernels.sums import before, cumsum, sum_once
from jax_impl.registry import RULES
from jax_impl.scalar import gap, gap_inverse, gap_log_slope


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
        tolerance = 4 * eps + 4 * value.shape[-1] * float(jnp.finfo(value.dtype).eps)
        sums_to_one = jnp.abs(jnp.sum(value, axis=-1) - 1) <= tolerance
        return jnp.all(value > 0, axis=-1) & sums_to_one


@RULES.implements(Ordered)
class OrderedRule(Rule[Array]):
    @staticmethod
    def forward(spec: Ordered, raw: Array) -> Array:
        return cumsum(jnp.concatenate([raw[..., :1], gap(spec.link, raw[..., 1:])], axis=-1))

    @staticmethod
    def inverse(spec: Ordered, value: Array) -> Array:
        return jnp.concatenate([value[..., :1], gap_inverse(spec.link, value[..., 1:], value[..., :-1])], axis=-1)

    @staticmethod
    def log_abs_det(spec: Ordered, raw: Array) -> Array:
        return sum_once(gap_log_slope(spec.link, raw[..., 1:]))[..., 0]

    @staticmethod
    def project(spec: Ordered, point: Array) -> Array:
        return project_ordered(point)

    @staticmethod
    def contains(spec: Ordered, value: Array, eps: float) -> Array:
        return jnp.all(value[..., 1:] > value[..., :-1], axis=-1) & jnp.all(jnp.isfinite(value), axis=-1)


@RULES.implements(PositiveOrdered)
class PositiveOrderedRule(Rule[Array]):
    @staticmethod
    def forward(spec: PositiveOrdered, raw: Array) -> Array:
        return cumsum(gap(spec.link, raw))

    @staticmethod
    def inverse(spec: PositiveOrdered, value: Array) -> Array:
        return gap_inverse(spec.link, value, before(value[..., :-1]))

    @staticmethod
    def log_abs_det(spec: PositiveOrdered, raw: Array) -> Array:
        return sum_once(gap_log_slope(spec.link, raw))[..., 0]

    @staticmethod
    def project(spec: PositiveOrdered, point: Array) -> Array:
        nearest = project_ordered(point)
        return jnp.where(nearest < 0, 0.0, nearest)

    @staticmethod
    def contains(spec: PositiveOrdered, value: Array, eps: float) -> Array:
        return jnp.all(value > before(value[..., :-1]), axis=-1) & jnp.all(jnp.isfinite(value), axis=-1)


@RULES.implements(SumToZero)
class SumToZeroRule(Rule[Array]):
    @staticmethod
    def forward(spec: SumToZero, raw: Array) -> Array:
        return helmert_spread(raw)

    @staticmethod
    def inverse(spec: SumToZero, value: Array) -> Array:
        return helmert_gather(value)

    @staticmethod
    def log_abs_det(spec: SumToZero, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=-1))

    @staticmethod
    def project(spec: SumToZero, point: Array) -> Array:
        return project_sum_to_zero(point)

    @staticmethod
    def contains(spec: SumToZero, value: Array, eps: float) -> Array:
        size = jnp.sum(jnp.abs(value), axis=-1)
        tolerance = (4 * eps) * size + value.shape[-1] * float(
            jnp.finfo(value.dtype).tiny
        )  # entries below the normal numbers are rounded in these
        return jnp.abs(sum_once(value)[..., 0]) <= tolerance


@RULES.implements(UnitVector)
class UnitVectorRule(Rule[Array]):
    @staticmethod
    def forward(spec: UnitVector, raw: Array) -> Array:
        return unit(raw)

    @staticmethod
    def inverse(spec: UnitVector, value: Array) -> Array:
        return value

    @staticmethod
    def log_abs_det(spec: UnitVector, raw: Array) -> Array:
        n = raw.shape[-1]
        return (1 - n) * log_length(raw) if n > 1 else jnp.zeros_like(raw[..., 0])

    @staticmethod
    def project(spec: UnitVector, point: Array) -> Array:
        return unit(point)

    @staticmethod
    def contains(spec: UnitVector, value: Array, eps: float) -> Array:
        tolerance = 8 * eps + 8 * value.shape[-1] * float(
            jnp.finfo(value.dtype).eps
        )  # of the square, which misses 1 by twice as much
        return jnp.abs(jnp.sum(value * value, axis=-1) - 1) <= tolerance
