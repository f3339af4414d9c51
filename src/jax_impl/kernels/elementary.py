"""exp, expm1, log, log1p, tanh and atanh to about one ULP: what every map is built from.

# twin: torch's own are within 1 ULP; XLA's exp, expm1, log1p, tanh and atanh on the CPU are off by 1.4 to 126 ULP
# (float64), so these are written here from +, -, *, / and its log, which is within 1 ULP in float32 and 0.52 in float64.
"""

from math import factorial
from math import log as math_log
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, enable_x64, lax

from jax_impl.kernels.derivatives import with_slope

# ln 2 as a rounded number and its tail.
LN2 = {"float32": (0.6931471824645996, -1.904654323148236e-09), "float64": (0.6931471805599453, 2.3190468138462996e-17)}
# The same in two parts; the first has so few bits that k * LN2[0] is exact for every exponent k of the dtype.
_LN2_REDUCING = {
    "float32": (0.693145751953125, 1.4286068203094173e-06),
    "float64": (0.6931471803691238, 1.9082149292705877e-10),
}
_TERMS = {"float32": 8, "float64": 14}
_ATANH_TERMS = {"float32": 11, "float64": 25}
_RANGE = {"float32": 110.0, "float64": 760.0}
_UNDERFLOWS, _OVERFLOWS = -87.336544, 88.722832  # beyond, e^x is no normal number of float32
FAR = 20.0  # beyond, 1 + e^-|x| is 1 in float32
# Sizes of arrays for which XLA's float64 exp is taken: the program that it leaves is so short that no thread is woken for it.
_FEW, _MANY = 32, 128
_HALF_DIGITS = {"float32": (8, 11), "float64": (11, 25)}  # of the exponent, and of the mantissa behind its first
_EXPONENT = {"float32": (jnp.int32, 127, 23), "float64": (jnp.int64, 1023, 52)}


def _exp_slope(x: Array) -> Array:
    return exp(x)


def _tanh_slope(x: Array) -> Array:
    return sech2(x)


def _sech2_slope(x: Array) -> Array:
    return -2 * tanh(x) * sech2(x)


@with_slope(_exp_slope)
def exp(x: Array) -> Array:
    """e^x."""
    if x.dtype == jnp.float32:
        return _exp32(x)
    k, (head, tail) = _reduced(x)
    total, error = two_sum(shielded(1.0, x), head)
    return _scaled(total + (error + tail), k)


@with_slope(_exp_slope)
def expm1(x: Array) -> Array:
    """e^x - 1, without cancellation near 0."""
    k, (head, tail) = _reduced(x)
    # 2^k (1 + q) - 1 = 2^k q + (2^k - 1); above k = 64 the 1 is absorbed and below -64 only it is left.
    within = jnp.clip(k, -64, 64)
    power = _power_of_two(within)
    total, error = two_sum(head * power, power - 1)
    return jnp.where(k > 64, _scaled(1 + (head + tail), k), total + (error + tail * power))


def decay_times_power(x: Array, power: Any, more: int = 0) -> Array:
    """e^-|x| 2^power in float32, for whole powers from 0 to 126, where the exponential alone may underflow; 2^more times
    that where |x| > FAR.
    """
    return _exp_times_power(jnp.where(x < 0, x, -x), power, more)


def log(x: Array) -> Array:
    """The natural logarithm."""
    return lax.log(x)


@with_slope(lambda x: 1 / (1 + x))
def log1p(x: Array) -> Array:
    """log(1 + x), for x > -1: the log of the rounded sum, and the rounding error of the sum put back."""
    total, error = two_sum(shielded(1.0, x), x)
    return lax.log(total) + error / total


@with_slope(_tanh_slope)
def tanh(x: Array) -> Array:
    """tanh x = m/(2 + m) with m = expm1(2|x|), and the sign of x."""
    m = expm1(2 * jnp.minimum(lax.abs(x), 22.0))
    total, error = two_sum(shielded(2.0, x), m)
    ratio = m / total
    return jnp.copysign(ratio - ratio * (error / total), x)


@with_slope(_sech2_slope)
def sech2(x: Array) -> Array:
    """tanh'(x) = 4e/(1 + e)^2 with e = exp(-2|x|)."""
    size = lax.abs(x)
    root = 2 * exp(-size)
    e = exp(-2 * size)
    near = 4 * e / (1 + e * (2 + e))
    return jnp.where(size > 20, root * root, near)  # there 1 + e is 1, and e underflows before 4 e does


@with_slope(lambda x: 1 / ((1 - x) * (1 + x)))
def atanh(x: Array) -> Array:
    """atanh x, for |x| <= 1/2: x + x^3/3 + x^5/5 + ..."""
    square = x * x
    terms = _ATANH_TERMS[x.dtype.name]
    series = jnp.full_like(x, 1 / (2 * terms + 1))
    for n in range(terms - 1, 0, -1):
        series = series * square + 1 / (2 * n + 1)
    return x + x * (square * series)


def shielded(number: Any, like: Array) -> Any:
    """A constant in the dtype of `like` that the compiler may not fold into another constant.

    # twin: XLA rewrites (a + 1) - 1 as a, and (a + c) + d as a + (c + d); torch.compile does not.
    """
    return lax.optimization_barrier(jnp.asarray(number, like.dtype))


def divided(x: Array, constant: Any) -> Array:
    """x / constant, rounded once.

    # twin: XLA multiplies by the rounded reciprocal of a constant, also of a shielded one; torch divides.
    """
    return x / jnp.where(x == x, constant, 1.0)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as a rounded number and its exact rounding error (Knuth). Shield a constant."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def half_digits(x: Array) -> Array:
    """x rounded to half its digits, so that the product of two such numbers is exact; its derivative is 1."""
    # twin: torch cuts by Veltkamp's product, JAX by reduce_precision, which stays itself when JAX transposes it.
    exponent_bits, digits = _HALF_DIGITS[x.dtype.name]
    return lax.reduce_precision(x, exponent_bits, digits)


def power_below(x: Array) -> Array:
    """The largest |x| along the last axis, which is kept, as a power of 2 below it.

    The power and its reciprocal are normal numbers: for the largest numbers, subnormal ones and 0 the nearest such power.
    """
    # twin: XLA on the CPU takes subnormal numbers for 0 when it compares or multiplies, so JAX reads their bits.
    integer, bias, digits = _EXPONENT[x.dtype.name]
    bits = lax.bitcast_convert_type(lax.stop_gradient(lax.abs(x)), integer)
    exponent = jnp.max(bits, axis=-1, keepdims=True) >> digits
    power = _power_of_two(jnp.clip(exponent, 1, 2 * bias - 1).astype(x.dtype) - bias)
    return jnp.where(exponent > 2 * bias, jnp.nan, power)


def exponent_of(x: Array) -> Array:
    """e of x = m 2^e with 1/2 <= m < 1, for positive normal numbers."""
    integer, bias, digits = _EXPONENT[x.dtype.name]
    return ((lax.bitcast_convert_type(lax.stop_gradient(x), integer) >> digits) - (bias - 1)).astype(x.dtype)


def mantissa_and_exponent(x: Array) -> tuple[Array, Array]:
    """m and e of x = m 2^e with 1/2 <= m < 1, for positive normal numbers; not differentiated."""
    integer, bias, digits = _EXPONENT[x.dtype.name]
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), integer)
    e = (bits >> digits) - (bias - 1)
    return lax.bitcast_convert_type(bits - (e << digits), x.dtype), e.astype(x.dtype)


@with_slope(lambda x, power: power)
def times_power(x: Array, power: Array) -> Array:
    """x * power, for a power of 2; power is not differentiated."""
    # twin: XLA on the CPU takes subnormal numbers for 0 when it compares or multiplies, so JAX reads their bits.
    integer, _, digits = _EXPONENT[x.dtype.name]
    bits = lax.bitcast_convert_type(lax.abs(x), integer)
    tiny = float(jnp.finfo(x.dtype).tiny)
    lifted = jnp.copysign(bits.astype(x.dtype) * 0.5**digits, x)  # x / tiny, where x is subnormal
    return jnp.where(bits >> digits == 0, lifted * (power * tiny), x * power)


def widened(x: Array) -> Array:
    """float32 numbers in float64, where that is allowed; its derivative is 1."""
    # XLA on the CPU takes subnormal numbers for 0 when it converts them.
    wide = x.astype(jnp.float64)
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), jnp.int32)
    digits = bits & 0x7FFFFFFF
    size = digits.astype(jnp.float64) * 2.0**-149
    lost = jnp.where(bits < 0, -size, size) - lax.stop_gradient(wide)
    return wide + jnp.where(digits < 1 << 23, lost, 0.0)


def _reduced(x: Array) -> tuple[Array, tuple[Array, Array]]:
    """x = k ln 2 + r with |r| <= ln 2 / 2, as k and expm1(r) in two parts; infinities become an out-of-range k."""
    name = x.dtype.name
    high, low = _LN2_REDUCING[name]
    x = jnp.clip(x, -_RANGE[name], _RANGE[name])
    k = lax.round(x * (1 / math_log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    head, tail = x - k * high, k * low
    r = head - tail
    lost = (head - r) - tail
    series = jnp.full_like(r, 1 / factorial(_TERMS[name]))
    for n in range(_TERMS[name] - 1, 1, -1):
        series = series * r + 1 / factorial(n)
    return k, (r, lost + r * r * series)


def _exp32(x: Array) -> Array:
    """`exp` in float32, in as few steps as leave it within 1 ULP; numbers below the normal ones are 0."""
    if _FEW <= x.size <= _MANY:
        with enable_x64(True):
            return lax.exp(x.astype(jnp.float64)).astype(x.dtype)
    return jnp.where(x > _OVERFLOWS, jnp.inf, _exp_times_power(x, 0))


def _exp_times_power(x: Array, power: Any, more: int = 0) -> Array:
    """e^x 2^power in float32, for whole powers and results that do not overflow; 2^more times that below -FAR."""
    high, low = _LN2_REDUCING["float32"]
    k = lax.round(x * (1 / math_log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    head, tail = x - k * high, k * low
    r = head - tail
    lost = (head - r) - tail
    series = jnp.full_like(r, 1 / factorial(7))
    for n in range(6, 1, -1):
        series = series * r + 1 / factorial(n)
    total = r + shielded(1.0, r)
    total = total + ((r - (total - 1)) + (lost + r * r * series))
    raised = power + jnp.where(x < -FAR, more, 0) if more else power
    bits = lax.bitcast_convert_type(total, jnp.int32) + ((k.astype(jnp.int32) + raised) << 23)
    within = jnp.where(x == x, lax.bitcast_convert_type(bits, x.dtype), x)  # the bits of nan bear no higher exponent
    return jnp.where(x < np.asarray(_UNDERFLOWS - (power + more) * math_log(2), np.float32), 0.0, within)


def _power_of_two(k: Array) -> Array:
    """2^k for whole k within the normal exponents."""
    integer, bias, digits = _EXPONENT[k.dtype.name]
    return lax.bitcast_convert_type((k.astype(integer) + bias) << digits, k.dtype)


def _scaled(x: Array, k: Array) -> Array:
    """x 2^k in two steps, so that neither factor leaves the exponents while the result is finite."""
    half = lax.floor(k / 2)
    return x * _power_of_two(half) * _power_of_two(k - half)
