"""Rules of the scalar specs: every entry by itself."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import Affine, Box, GreaterThan, Interval, LessThan, Positive, Real, UnitInterval
from jax_impl.constants import affine_like, bound_like, numbers_like, parts_like
from jax_impl.kernels.elementary import divided, exp, expm1, log, shielded, two_sum
from jax_impl.kernels.links import between, between_inverse, between_log_slope, sigmoid, softplus, softplus_inverse
from jax_impl.kernels.unit_slope import unit_between, unit_between_inverse, unit_between_log_slope
from jax_impl.registry import RULES


@RULES.implements(Real)
class RealRule(Rule[Array]):
    @staticmethod
    def forward(spec: Real, raw: Array) -> Array:
        return raw

    @staticmethod
    def inverse(spec: Real, value: Array) -> Array:
        return value

    @staticmethod
    def log_abs_det(spec: Real, raw: Array) -> Array:
        return jnp.zeros_like(raw)

    @staticmethod
    def project(spec: Real, point: Array) -> Array:
        return point

    @staticmethod
    def contains(spec: Real, value: Array, eps: float) -> Array:
        return jnp.isfinite(value)


@RULES.implements(Affine)
class AffineRule(Rule[Array]):
    @staticmethod
    def forward(spec: Affine, raw: Array) -> Array:
        n = affine_like(spec, raw)
        return n.loc + n.scale * raw

    @staticmethod
    def inverse(spec: Affine, value: Array) -> Array:
        n = affine_like(spec, value)
        return divided(value - n.loc, n.scale)

    @staticmethod
    def log_abs_det(spec: Affine, raw: Array) -> Array:
        return jnp.zeros_like(raw) + affine_like(spec, raw).log_scale

    @staticmethod
    def project(spec: Affine, point: Array) -> Array:
        return point

    @staticmethod
    def contains(spec: Affine, value: Array, eps: float) -> Array:
        return jnp.isfinite(AffineRule.inverse(spec, value))


@RULES.implements(Positive)
class PositiveRule(Rule[Array]):
    @staticmethod
    def forward(spec: Positive, raw: Array) -> Array:
        return gap(spec.link, raw)

    @staticmethod
    def inverse(spec: Positive, value: Array) -> Array:
        return softplus_inverse(value) if spec.link == "softplus" else log(value)

    @staticmethod
    def log_abs_det(spec: Positive, raw: Array) -> Array:
        return gap_log_slope(spec.link, raw)

    @staticmethod
    def project(spec: Positive, point: Array) -> Array:
        return jnp.where(point < 0, 0.0, point)

    @staticmethod
    def contains(spec: Positive, value: Array, eps: float) -> Array:
        return (value > 0) & jnp.isfinite(value)


@RULES.implements(GreaterThan)
class GreaterThanRule(Rule[Array]):
    @staticmethod
    def forward(spec: GreaterThan, raw: Array) -> Array:
        return bound_like(spec, raw) + gap(spec.link, raw)

    @staticmethod
    def inverse(spec: GreaterThan, value: Array) -> Array:
        return gap_inverse(spec.link, value, shielded(bound_like(spec, value), value))

    @staticmethod
    def log_abs_det(spec: GreaterThan, raw: Array) -> Array:
        return gap_log_slope(spec.link, raw)

    @staticmethod
    def project(spec: GreaterThan, point: Array) -> Array:
        bound = bound_like(spec, point)
        return jnp.where(point < bound, bound, point)

    @staticmethod
    def contains(spec: GreaterThan, value: Array, eps: float) -> Array:
        return (value > bound_like(spec, value)) & jnp.isfinite(value)


@RULES.implements(LessThan)
class LessThanRule(Rule[Array]):
    @staticmethod
    def forward(spec: LessThan, raw: Array) -> Array:
        return bound_like(spec, raw) - gap(spec.link, mirrored(spec, raw))

    @staticmethod
    def inverse(spec: LessThan, value: Array) -> Array:
        return mirrored(spec, gap_inverse(spec.link, shielded(bound_like(spec, value), value), value))

    @staticmethod
    def log_abs_det(spec: LessThan, raw: Array) -> Array:
        return gap_log_slope(spec.link, mirrored(spec, raw))

    @staticmethod
    def project(spec: LessThan, point: Array) -> Array:
        bound = bound_like(spec, point)
        return jnp.where(point > bound, bound, point)

    @staticmethod
    def contains(spec: LessThan, value: Array, eps: float) -> Array:
        return (value < bound_like(spec, value)) & jnp.isfinite(value)


@RULES.implements(Interval)
class IntervalRule(Rule[Array]):
    @staticmethod
    def forward(spec: Interval, raw: Array) -> Array:
        n = numbers_like(spec, raw)
        if spec.link == "unit":
            return unit_between(raw, n.low, n.high, n.mid, n.mid_tail, n.half, n.half_head, n.half_rest, n.crosses)
        return between(raw, n.low, n.high, n.mid, n.mid_tail, n.half, n.rate, n.steep, n.crosses, n.form)

    @staticmethod
    def inverse(spec: Interval, value: Array) -> Array:
        n = numbers_like(spec, value)
        unit = 0.5 if n.huge else 1.0
        if spec.link == "unit":
            return unit_between_inverse(value, n.low, n.high, n.mid, n.mid_tail, n.half, unit)
        return between_inverse(value, n.low, n.high, n.mid, n.mid_tail, n.half, n.rate, unit)

    @staticmethod
    def log_abs_det(spec: Interval, raw: Array) -> Array:
        n = numbers_like(spec, raw)
        if spec.link == "unit":
            return unit_between_log_slope(raw, n.half)
        return between_log_slope(raw, n.log_peak, n.log_far, n.rate)

    @staticmethod
    def project(spec: Interval, point: Array) -> Array:
        n = numbers_like(spec, point)
        return jnp.where(point < n.low, n.low, jnp.where(point > n.high, n.high, point))

    @staticmethod
    def contains(spec: Interval, value: Array, eps: float) -> Array:
        n = numbers_like(spec, value)
        return (value > n.low) & (value < n.high)


@RULES.implements(UnitInterval)
class UnitIntervalRule(Rule[Array]):
    @staticmethod
    def forward(spec: UnitInterval, raw: Array) -> Array:
        return sigmoid(raw)

    @staticmethod
    def inverse(spec: UnitInterval, value: Array) -> Array:
        return between_inverse(value, 0.0, 1.0, 0.5, 0.0, 0.5, 1.0, 1.0)

    @staticmethod
    def log_abs_det(spec: UnitInterval, raw: Array) -> Array:
        return between_log_slope(raw, float(np.log(0.25)), 0.0, 1.0)

    @staticmethod
    def project(spec: UnitInterval, point: Array) -> Array:
        return jnp.where(point < 0, 0.0, jnp.where(point > 1, 1.0, point))

    @staticmethod
    def contains(spec: UnitInterval, value: Array, eps: float) -> Array:
        return (value > 0) & (value < 1)


@RULES.implements(Box)
class BoxRule(Rule[Array]):
    @staticmethod
    def forward(spec: Box, raw: Array) -> Array:
        return part_by_part(spec, raw, lambda part, raw: RULES[type(part)].forward(part, raw), lambda inside: 0.0)

    @staticmethod
    def inverse(spec: Box, value: Array) -> Array:
        return part_by_part(spec, value, lambda part, value: RULES[type(part)].inverse(part, value))

    @staticmethod
    def log_abs_det(spec: Box, raw: Array) -> Array:
        return part_by_part(spec, raw, lambda part, raw: RULES[type(part)].log_abs_det(part, raw), lambda inside: 0.0)

    @staticmethod
    def project(spec: Box, point: Array) -> Array:
        return part_by_part(spec, point, lambda part, point: RULES[type(part)].project(part, point))

    @staticmethod
    def contains(spec: Box, value: Array, eps: float) -> Array:
        return part_by_part(spec, value, lambda part, value: RULES[type(part)].contains(part, value, eps))


def part_by_part(
    spec: Box,
    array: Array,
    verb: Callable[[Any, Array], Array],
    elsewhere: Callable[[float], float] = lambda inside: inside,
) -> Array:
    """A verb of each kind of entry of a box, each asked about all entries: with a harmless number in place of the others,
    so that neither the results nor the derivatives that are not taken are nan.
    """
    result = None
    for part, here, inside in parts_like(spec, array):
        if here is None:
            return verb(part, array)
        mine = verb(part, jnp.where(here, array, elsewhere(inside)))
        result = mine if result is None else jnp.where(here, mine, result)
    assert result is not None
    return result


def gap(link: str, raw: Array) -> Array:
    """A positive number from any number, by "softplus" or "exp"."""
    return softplus(raw) if link == "softplus" else exp(raw)


def gap_inverse(link: str, upper: Any, lower: Any) -> Array:
    """The number whose gap is upper - lower; the rounding error of the difference is put back to first order."""
    difference, error = two_sum(upper, -lower)
    slope = -1 / expm1(-difference) if link == "softplus" else 1 / difference
    raw = softplus_inverse(difference) if link == "softplus" else log(difference)
    return jnp.where(jnp.abs(error) > 0, raw + error * slope, raw)  # at a border or at infinity there is no error to put back


def gap_log_slope(link: str, raw: Array) -> Array:
    """log d gap / d raw."""
    return -softplus(-raw) if link == "softplus" else raw


def mirrored(spec: LessThan, raw: Array) -> Array:
    """The argument of the gap under an upper bound: softplus increases with raw, exp decreases as in Stan."""
    return -raw if spec.link == "softplus" else raw
