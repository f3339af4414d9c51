"""log(1 - tanh), log(sech^2), atanh and tanh(x)/x without cancellation or false zeros."""

import jax.numpy as jnp
from jax import Array

from jax_impl.kernels.derivatives import with_slope
from jax_impl.kernels.elementary import LN2, exp, log1p, shielded, tanh, two_sum
from jax_impl.kernels.links import between_log_slope, log_ratio, sigmoid, softplus

_LOG_4 = 1.3862943611198906
_FRACTIONS = 12


def log_sech2(x: Array) -> Array:
    """log(1 - tanh(x)^2)."""
    return between_log_slope(x, 0.0, _LOG_4, 2.0)


@with_slope(lambda x: -2 * sigmoid(2 * x))
def log_less_tanh(x: Array) -> Array:
    """log(1 - tanh x) = log 2 - softplus(2x)."""
    near = (x > -1) & (x < 1)
    inner = log1p(-tanh(jnp.where(near, x, 0.0)))
    ln2, ln2_tail = LN2[x.dtype.name]
    return jnp.where(near, inner, (shielded(ln2, x) - softplus(2 * x)) + ln2_tail)


def log_less_tanh_twice(x: Array) -> tuple[Array, Array]:
    """log(1 - tanh x) = log 2 - 2x - log1p(exp(-2x)) for x >= 0, as a number and its rounding error."""
    near = x < 1
    inner = log1p(-tanh(jnp.where(near, x, 0.0)))
    ln2, ln2_tail = LN2[x.dtype.name]
    gap, error = two_sum(shielded(ln2, x), -2 * x)
    total, last = two_sum(gap, -log1p(exp(-2 * x)))
    return jnp.where(near, inner, total), jnp.where(near, 0.0, (error + last) + ln2_tail)


def far_atanh(half_width: Array, x: Array, left: Array, right: Array) -> Array:
    """atanh(x / half_width), where left = half_width + x and right = half_width - x are given to full relative precision."""
    return log_ratio(left, right, x, half_width) / 2


def tanh_fraction(square: Array) -> Array:
    """c of tanh(x)/x = 1/(1 + x^2 c), from x^2 <= 4: the continued fraction 1/(3 + x^2/(5 + x^2/(7 + ...))), all positive."""
    denominator = square * 0 + (2.0 * _FRACTIONS + 3)
    for n in range(_FRACTIONS, 0, -1):
        denominator = (2.0 * n + 1) + square / denominator
    return 1 / denominator
