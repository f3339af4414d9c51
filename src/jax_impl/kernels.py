"""The maps behind the scalar and vector rules, with hand-written derivatives; e = exp(-|x|) throughout."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.constants import helmert_like
from jax_impl.derivatives import with_rule, with_slope
from jax_impl.elementary import LN2, atanh, exp, expm1, log, log1p, shielded, tanh, two_sum


def decay(x: Array) -> Array:
    """e = exp(-|x|)."""
    # twin: torch.compile differentiates this body under torch.func, so there it is written without |x|.
    return exp(-lax.abs(x))


def smaller(x: Array) -> Array:
    """sigmoid(-|x|) = e/(1 + e), the smaller of sigmoid(x) and sigmoid(-x)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    e = decay(x)
    return e / (1 + e)


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
    e = decay(x)
    return jnp.where(x < 0, e, 1.0) / (1 + e)


@with_slope(sigmoid)
def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log1p(e)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    tail = log1p(decay(x))
    return jnp.where(x < 0, tail, x + tail)


@with_slope(lambda y: -1 / expm1(-y))
def softplus_inverse(y: Array) -> Array:
    """log(exp(y) - 1), for y > 0.

    Within (0.35, 1.1), around its zero at ln 2, as log1p(2 expm1(y - ln 2)); elsewhere log(expm1(y)); above 40 it is y.
    """
    ln2, ln2_tail = LN2[y.dtype.name]
    near = (y > 0.35) & (y < 1.1)
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
    return jnp.where(near, 2 * atanh(jnp.where(near, half_difference / half_sum, 0.0)), far)


def _between_curvature(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    return -rate * between_slope(raw, half, rate, steep) * tanh((rate / 2) * raw)


@with_slope(_between_curvature)
def between_slope(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    """d value / d raw of `between`: half 2 rate e/(1 + e)^2."""
    x = rate * raw
    e = decay(x)
    if steep:
        return _steep(x, half, (2 * rate) / (1 + e * (2 + e)))
    return (2 * rate * half * e) / (1 + e * (2 + e))


@with_slope(lambda raw, low, high, mid, mid_tail, half, rate, steep, crosses: between_slope(raw, half, rate, steep))
def between(
    raw: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, steep: bool, crosses: bool
) -> Array:
    """mid + half tanh(x/2) with x = rate raw, measured from the nearest of low, mid and high so that no digit is lost."""
    x = rate * raw
    gap = _steep(x, half, 2 / (1 + decay(x))) if steep else (2 * half) * smaller(x)
    outer = jnp.where(x < 0, low + gap, high - gap)
    if not crosses:
        return outer
    rise = half * tanh((rate / 2) * raw)
    if steep:  # raw / 2 may underflow where half * raw / 2 does not
        rise = jnp.where((raw > -1e-30) & (raw < 1e-30), (half * (rate / 2)) * raw, rise)
    return jnp.where((x > -1) & (x < 1), mid + (shielded(mid_tail, raw) + rise), outer)


def _between_inverse_slope(
    value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, unit: float
) -> Array:
    left, right = unit * value - unit * low, unit * high - unit * value
    return (unit / left + unit / right) / rate


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


def _steep(x: Array, half: Any, factor: Array) -> Array:
    """half exp(-|x|) factor, with half between two roots of the exponential where that underflows before the product."""
    root = decay(x / 2)
    return jnp.where((x < -40) | (x > 40), (half * root) * (root * factor), half * (decay(x) * factor))


def on_one_grid(x: Array, size: float) -> tuple[Array, Array]:
    """x as head + tail, exactly. The heads of a vector are multiples of the last digit of size * max|x|, so that
    up to `size` of them add up without rounding, in any order.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0.0))
    grid = jnp.minimum(size * largest, jnp.finfo(x.dtype).max / 8)
    head = (grid + x) - grid
    return head, jnp.where(x == head, 0.0, x - head)  # an infinity is all head


def sum_once(x: Array) -> Array:
    """Sum along the last axis, which is kept, rounded once."""
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return jnp.sum(head, axis=-1, keepdims=True) + jnp.sum(tail, axis=-1, keepdims=True)


@with_rule(
    push=lambda x, y, tangent: jnp.cumsum(tangent, axis=-1),
    pull=lambda x, y, cotangent: _reverse_cumsum(cotangent),
)
def cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis, each result rounded once."""
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return jnp.cumsum(head, axis=-1) + jnp.cumsum(tail, axis=-1)


@with_rule(
    push=lambda x, y, tangent: _softmax_derivative(y, _helmert_transposed(tangent)),
    pull=lambda x, y, cotangent: _helmert_pull(_softmax_derivative(y, cotangent)),
)
def helmert_softmax(x: Array) -> Array:
    """softmax(H^T x) along the last axis: n numbers to n + 1 positive ones that sum to 1."""
    _, exponent, rest = _helmert_exponents(x)
    weights = exp(exponent) * (1 + rest)  # not weights + weights * rest, whose product may underflow
    return weights / sum_once(weights)


@with_rule(
    push=lambda x, y, tangent: _softmax_derivative(helmert_softmax(x), _helmert_transposed(tangent)),
    pull=lambda x, y, cotangent: _helmert_pull(_softmax_derivative(helmert_softmax(x), cotangent)),
)
def helmert_softmax_centred(x: Array) -> Array:
    """softmax(H^T x) - 1/(n + 1), without cancellation where the weights are nearly equal."""
    _, exponent, rest = _helmert_exponents(x)
    excess = expm1(exponent)
    excess = excess + (excess + 1) * rest
    n = excess.shape[-1]
    total = sum_once(excess)
    return (excess - total / n) / (n + total)


@with_rule(
    push=lambda x, y, tangent: jnp.sum(helmert_softmax_centred(x) * _helmert_transposed(tangent), axis=-1),
    pull=lambda x, y, cotangent: _helmert_pull(helmert_softmax_centred(x)) * cotangent[..., None],
)
def helmert_logsumexp(x: Array) -> Array:
    """log sum exp(H^T x) along the last axis, which is -sum_k log(weight_k)/(n + 1), since H^T x sums to 0."""
    peak, exponent, rest = _helmert_exponents(x)
    weights = exp(exponent)
    return (peak + log(sum_once(weights + weights * rest)))[..., 0]


def helmert_log(y: Array) -> Array:
    """H log y: the inverse of `helmert_softmax`, free of the scale of y."""
    top = jnp.max(y, axis=-1, keepdims=True)
    logs = log_ratio(y, top, y - top, y + top)
    return _helmert(logs, cumsum(logs))


def _helmert_exponents(x: Array) -> tuple[Array, Array, Array]:
    """max z, z - max z and its rounding error for z = H^T x, to twice the precision: |z| may be in the hundreds."""
    matrix = helmert_like(x)
    head, tail = on_one_grid(x, matrix.half_digits)
    # Heads have half the digits, so head * matrix.ahead is exact; the rest is small and may round.
    upper, lower = on_one_grid(head * matrix.ahead, 4.0 * x.shape[-1])
    lower = lower + (tail * matrix.ahead + x * matrix.ahead_rest)
    sums, sums_tail = _after(_reverse_cumsum(upper)), _after(_reverse_cumsum(lower))
    z, error = two_sum(sums, -_before(head * matrix.behind))
    z_tail = error + (sums_tail - _before(tail * matrix.behind + x * matrix.behind_rest))
    peak = jnp.max(z, axis=-1, keepdims=True)
    gap, error = two_sum(z, -peak)
    z_tail = z_tail + error
    exponent = gap + z_tail
    return peak, exponent, z_tail - (exponent - gap)


def _softmax_derivative(y: Array, tangent: Array) -> Array:
    """(diag y - y y^T) tangent, measured from the largest weight so that nothing cancels at a vertex. Symmetric."""
    largest = jnp.arange(y.shape[-1]) == jnp.argmax(y, axis=-1, keepdims=True)
    others = jnp.where(largest, 0.0, y)
    offset = tangent - jnp.sum(jnp.where(largest, tangent, 0.0), axis=-1, keepdims=True)
    change = others * (offset - jnp.sum(others * offset, axis=-1, keepdims=True))
    return jnp.where(largest, -jnp.sum(change, axis=-1, keepdims=True), change)


def _helmert(u: Array, sums: Array) -> Array:
    """H u, N numbers to N - 1, given the cumulative sums of u: row j is (u_1 + ... + u_j - j u_(j+1))/sqrt(j (j+1))."""
    matrix = helmert_like(u[..., 1:])
    rows = jnp.arange(1, u.shape[-1], dtype=u.dtype)
    return (matrix.ahead + matrix.ahead_rest) * (sums[..., :-1] - rows * u[..., 1:])


def _helmert_pull(u: Array) -> Array:
    return _helmert(u, jnp.cumsum(u, axis=-1))


def _helmert_transposed(t: Array) -> Array:
    """H^T t: N - 1 numbers to N."""
    matrix = helmert_like(t)
    return _after(_reverse_cumsum((matrix.ahead + matrix.ahead_rest) * t)) - _before((matrix.behind + matrix.behind_rest) * t)


def _reverse_cumsum(x: Array) -> Array:
    return lax.cumsum(x, axis=x.ndim - 1, reverse=True)


def _before(x: Array) -> Array:
    """0 in front of x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)])  # unlike concatenated zeros, sharded as x is


def _after(x: Array) -> Array:
    """0 behind x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)])
