"""The map of an interval with slope 1 at raw = 0, mid + half tanh(raw/half), with hand-written derivatives.

raw/half is kept to twice the precision: exp(-2 |raw/half|) multiplies its rounding error by |raw/half|.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_impl.kernels.derivatives import with_slope
from jax_impl.kernels.elementary import divided, half_digits, sech2, shielded, tanh
from jax_impl.kernels.links import between_inverse, between_log_slope, smaller

_LOG_4 = 1.3862943611198906


def _curvature(raw: Array, half: Any, half_head: Any, half_rest: Any) -> Array:
    u, _ = _quotient(raw, half, half_head, half_rest)
    return -2 * divided(unit_between_slope(raw, half, half_head, half_rest) * tanh(u), half)


@with_slope(_curvature)
def unit_between_slope(raw: Array, half: Any, half_head: Any, half_rest: Any) -> Array:
    """d value / d raw of `unit_between`: sech^2(raw/half)."""
    u, tail = _quotient(raw, half, half_head, half_rest)
    return sech2(u) * (1 - 2 * tail * tanh(u))  # a difference of the two would lose the second where it is subnormal


@with_slope(
    lambda raw, low, high, mid, mid_tail, half, half_head, half_rest, crosses: unit_between_slope(
        raw, half, half_head, half_rest
    )
)
def unit_between(
    raw: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, half_head: Any, half_rest: Any, crosses: bool
) -> Array:
    """mid + half tanh(raw/half), measured from the nearest of low, mid and high so that no digit is lost."""
    u, tail = _quotient(raw, half, half_head, half_rest)
    share = smaller(2 * u)
    gap = half * (2 * share)
    below = u < 0
    gap = gap - gap * (jnp.where(below, -2.0, 2.0) * tail * (1 - share))
    outer = jnp.where(below, low + gap, high - gap)
    if not crosses:
        return outer
    rise = jnp.where((u > -1e-9) & (u < 1e-9), raw, half * tanh(u))  # there u may underflow
    return jnp.where((u > -0.5) & (u < 0.5), mid + (shielded(mid_tail, raw) + rise), outer)


def unit_between_inverse(value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, unit: float) -> Array:
    """The raw of `unit_between`: half log((value - low)/(high - value))/2; `unit` = 1/2 where high - low may overflow."""
    return half * between_inverse(value, low, high, mid, mid_tail, half, 2.0, unit)


def unit_between_log_slope(raw: Array, half: Any) -> Array:
    """log of the derivative of `unit_between`."""
    return between_log_slope(divided(raw, half), 0.0, _LOG_4, 2.0)


def _quotient(raw: Array, half: Any, half_head: Any, half_rest: Any) -> tuple[Array, Array]:
    """raw/half as a number and its rounding error, which counts for nothing where tanh is 1 and its slope 0."""
    u = divided(raw, half)
    known = (u > -400) & (u < 400)
    inner, numerator = jnp.where(known, u, 0.0), jnp.where(known, raw, 0.0)
    head = half_digits(inner)
    missing = ((numerator - head * half_head) - (inner - head) * half_head) - inner * half_rest
    return u, divided(missing, half)
