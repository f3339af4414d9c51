"""The maps behind the scalar rules, with hand-written derivatives; e = exp(-|x|) throughout."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jax_impl.kernels.derivatives import with_slope
from jax_impl.kernels.elementary import FAR, LN2, atanh, decay_times_power, divided, exp, expm1, log, log1p, shielded, tanh

_HIGHEST, _MORE = 126, 8  # the powers of 2 that `decay_times_power` takes, and what is added for the widest intervals


def decay(x: Array) -> Array:
    """e = exp(-|x|), written so that its derivative at 0 is -e: that of |x| there is 0, which is the one of neither side."""
    return exp(jnp.where(x < 0, x, -x))


def smaller(x: Array) -> Array:
    """sigmoid(-|x|) = e/(1 + e), the smaller of sigmoid(x) and sigmoid(-x)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    return lax.logistic(-lax.abs(x))


def _sigmoid_curvature(x: Array) -> Array:
    return -sigmoid_slope(x) * tanh(x / 2)


@with_slope(_sigmoid_curvature)
def sigmoid_slope(x: Array) -> Array:
    """sigmoid'(x) = s(1 - s) with s = sigmoid(-|x|): never falsely zero, unlike the same with sigmoid(x)."""
    s = smaller(x)
    return s - s * s


@with_slope(sigmoid_slope)
def sigmoid(x: Array) -> Array:
    """1/(1 + exp(-x))."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    s = smaller(x)
    return jnp.where(x < 0, s, 1 - s)


@with_slope(sigmoid)
def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log1p(e)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    tail = log1p(decay(x))
    return jnp.where(x < 0, tail, x + tail)


@with_slope(lambda y: -1 / expm1(-y))
def softplus_inverse(y: Array) -> Array:
    """log(exp(y) - 1), for y > 0.

    Around its zero at ln 2, from ln 1.5 to 1.3, as log1p(2 expm1(y - ln 2)); elsewhere log(expm1(y)); above 40 it is y.
    At both seams the two cost the same: each has the smaller error where it is used.
    """
    ln2, ln2_tail = LN2[y.dtype.name]
    near = (y > 0.405465) & (y < 1.3)
    # Under jax.debug_nans a nan of the part not taken would stop the program.
    middle = log1p(2 * expm1((jnp.where(near, y, 1.0) - shielded(ln2, y)) - ln2_tail))
    outer = log(expm1(jnp.minimum(y, 40.0)))
    return jnp.where(y > 40, y, jnp.where(near, middle, outer))


def log_ratio(left: Array, right: Array, half_difference: Array, half_sum: Any) -> Array:
    """log(left/right), accurate where the two are close: there 2 atanh(half_difference/half_sum)."""
    near = (left < 3 * right) & (right < 3 * left)
    quotient = left / right
    whole = (quotient > jnp.finfo(left.dtype).tiny) & (quotient < jnp.inf)
    far = jnp.where(whole, log(jnp.where(whole, quotient, 1.0)), log(left) - log(right))
    return jnp.where(near, 2 * atanh(jnp.where(near, divided(half_difference, half_sum), 0.0)), far)


def _between_curvature(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    return -rate * between_slope(raw, half, rate, steep) * tanh((rate / 2) * raw)


@with_slope(_between_curvature)
def between_slope(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    """d value / d raw of `between`: half 2 rate e/(1 + e)^2."""
    x = rate * raw
    if steep and x.dtype == jnp.float32:
        scaled, part, s = _steep_parts(x, half)
        return (2 * rate * part) * (scaled - scaled * s)  # the width last: twice the slope may overflow
    s = smaller(x)
    double = (2 * rate) * s  # inside of the difference, where no compiler multiplies it with a half that is huge
    slope = half * (double - double * s)
    return _steep(x, half, 2 * rate, slope) if steep else slope


@with_slope(lambda raw, low, high, mid, mid_tail, half, rate, steep, crosses, form: between_slope(raw, half, rate, steep))
def between(
    raw: Array,
    low: Any,
    high: Any,
    mid: Any,
    mid_tail: Any,
    half: Any,
    rate: float,
    steep: bool,
    crosses: bool,
    form: str,
) -> Array:
    """mid + half tanh(x/2) with x = rate raw, measured from low, high or mid, whichever loses no digit (`form`)."""
    x = rate * raw
    if form != "odd" and steep and x.dtype == jnp.float32:  # the exponential is that of the slope
        scaled, part, _ = _steep_parts(x, half)
        gap = (2 * part) * scaled
        return jnp.where(x < 0, low + gap, high - gap)
    # twin: eager torch on the CPU checks the numbers before it takes the short form; traced programs cannot.
    if form == "low" and not _sinks(low, steep):
        return (2 * half) * sigmoid(x) + low
    if form == "high" and not _sinks(high, steep):
        return (-2 * half) * sigmoid(-x) + high
    if form == "odd":
        rise = half * tanh((rate / 2) * raw)
        if steep:  # raw / 2 may underflow where half * raw / 2 does not
            rise = jnp.where((raw > -1e-30) & (raw < 1e-30), (half * (rate / 2)) * raw, rise)
        return rise if rate == 2.0 else shielded(mid, raw) + rise  # tanh(-0.0) is -0.0, this is 0.0
    # twin: around 0 torch measures from mid; JAX from the nearer bound, which is within the bar and has no further function.
    gap = half * smaller(x)
    gap = gap + gap
    gap = _steep(x, half, 2.0, gap) if steep else gap
    return jnp.where(x < 0, low + gap, high - gap)


def _between_inverse_slope(
    value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, unit: float
) -> Array:
    left, right = unit * value - unit * low, unit * high - unit * value
    near, far = jnp.minimum(left, right), jnp.maximum(left, right)
    return ((unit + unit * (near / far)) / near) / rate  # 1/left and 1/right may both be subnormal where their sum is not


@with_slope(_between_inverse_slope)
def between_inverse(value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, unit: float) -> Array:
    """The raw of `between`: log((value - low)/(high - value))/rate; `unit` = 1/2 where high - low may overflow."""
    left, right = unit * value - unit * low, unit * high - unit * value
    # The sum of the two is high - low again, as an array: the reciprocal of a huge constant would be subnormal.
    half_width = left + right if unit == 0.5 else half
    return log_ratio(left, right, (value - shielded(mid, value)) - mid_tail, half_width) / rate


@with_slope(lambda raw, log_peak, log_far, rate: -rate * tanh((rate / 2) * raw))
def between_log_slope(raw: Array, log_peak: Any, log_far: Any, rate: float) -> Array:
    """log of the derivative of `between`: log_peak at 0, log_far - |x| - 2 log1p(e) in the tails, x = rate raw."""
    x = rate * raw
    inner = (x > -2) & (x < 2)
    t = jnp.where(inner, tanh((rate / 2) * raw), 0.0)
    outer = (log_far + jnp.where(x < 0, x, -x)) - 2 * log1p(decay(x))
    return jnp.where(inner, log_peak + log1p(-t * t), outer)


def _steep(x: Array, half: Any, factor: float, near: Array) -> Array:
    """half exp(-|x|) factor in the tails, with half between two roots of the exponential, which underflows before the
    product; `near` elsewhere.
    """
    root = decay(x / 2)
    return jnp.where((x < -40) | (x > 40), (half * root) * (root * factor), near)


def _steep_parts(x: Array, half: Any) -> tuple[Array, Any, Array]:
    """s = sigmoid(-|x|) times a power of 2, half over that power, and s: half is in the exponent of the exponential, which
    underflows before their product. In float32.
    """
    wanted = np.frexp(half)[1] + 2  # 4 half is the largest factor of an exponential
    power = np.clip(wanted, 0, _HIGHEST).astype(np.int32)
    down, part = np.ldexp(np.float32(1), -power), np.ldexp(np.asarray(half, np.float32), -power)
    more = _MORE if np.any(wanted > _HIGHEST) else 0
    decay = decay_times_power(x, power, more)
    if more:
        lower = jnp.where((x < -FAR) | (x > FAR), np.float32(2.0**-more), np.float32(1))
        down, part = down * lower, part * lower  # a subnormal `down` may be 0: there s is no part of 1
    scaled = decay / (1 + decay * down)
    return scaled, part, scaled * down


def _sinks(bound: Any, steep: bool) -> bool:
    """Whether a distance from this bound may be a normal number where the exponential behind it is none."""
    return steep and bool(np.any(np.abs(bound) < 1e-20))
