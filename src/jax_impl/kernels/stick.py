"""Stick breaking along the last axis: entry k takes the share z_k of what the entries before it have left.

z_k = sigmoid(x_k - log m_k), where m_k = n, ..., 1 counts the entries behind it: written with e = exp(-|x|), no logarithm
of m_k has to be rounded.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, enable_x64, lax

from jax_impl.kernels.derivatives import with_rule, with_slope
from jax_impl.kernels.elementary import divided, exp, expm1, half_digits, log, log1p, two_sum
from jax_impl.kernels.links import decay, log_ratio
from jax_impl.kernels.sums import after, before, on_one_grid, reverse_cumsum

# What is left of the stick is below the smallest number of float64 after exp(-746).
_ALL = 800.0
_FAR = 300.0  # exp(-300) is 0 in float32, and exp(300) times a number of float32 finite in float64


class Broken(NamedTuple):
    """The share that each entry takes and the one that it leaves, without cancellation in either."""

    taken: Array
    left: Array


def _broken(x: Array) -> Broken:
    m = _behind(x)
    e = decay(x)
    me = m * e
    below = x < 0
    whole = jnp.where(below, m + e, 1 + me)
    return Broken(jnp.where(below, e, 1.0) / whole, jnp.where(below, m, me) / whole)


@with_rule(
    push=lambda x, y, tangent: _push(x, y, tangent),
    pull=lambda x, y, cotangent: _pull(x, y, cotangent),
)
def stick_breaking(x: Array) -> Array:
    """z_k prod_{j<k} (1 - z_j): n numbers to n + 1 positive ones that sum to 1; the last takes all that is left.

    The product is the exponential of a sum that is kept to twice the precision, since it may be in the hundreds.
    """
    if x.dtype == jnp.float32:
        with enable_x64(True):
            return _plain_stick(x.astype(jnp.float64)).astype(x.dtype)
    cost, cost_tail = _cost(x)
    head, tail = on_one_grid(jnp.where(cost < _ALL, cost, _ALL), 4.0 * x.shape[-1])
    lower, lower_tail = on_one_grid(tail + cost_tail, 4.0 * x.shape[-1])
    sums, error = two_sum(jnp.cumsum(head, axis=-1), jnp.cumsum(lower, axis=-1))
    rest = error + jnp.cumsum(lower_tail, axis=-1)
    stick = exp(-before(sums)) * (1 - before(rest))
    return jnp.concatenate([_broken(x).taken * stick[..., :-1], stick[..., -1:]], axis=-1)


def _plain_stick(x: Array) -> Array:
    """`stick_breaking` in float64, for numbers that come from float32: z_k/(1 - z_k) is exp(x_k)/m_k."""
    odds = jnp.exp(jnp.clip(x, -_FAR, _FAR)) / _behind(x)
    left = lax.cumprod(1 / (1 + odds), axis=x.ndim - 1)
    return jnp.concatenate([odds * left, left[..., -1:]], axis=-1)


def stick_log(y: Array) -> Array:
    """log(m_k y_k / sum_{j>k} y_j): the inverse of `stick_breaking`, free of the scale of y."""
    m = _behind(y[..., 1:])
    head, tail = on_one_grid(y, 4.0 * y.shape[-1])
    lower, lower_tail = on_one_grid(tail, 4.0 * y.shape[-1])
    sums = [reverse_cumsum(part)[..., 1:] for part in (head, lower, lower_tail)]
    total = sums[0] + (sums[1] + sums[2])
    y = y[..., :-1]
    upper = half_digits(y)  # m * upper is exact
    difference, error = two_sum(m * upper, -sums[0])
    difference = difference + ((m * (y - upper) - sums[1]) + (error - sums[2]))
    share = m * y
    return log_ratio(share, total, difference, share + total)


def stick_log_abs_det(x: Array) -> Array:
    """log |det| of the first n entries for each entry of x, which add up: log z_k + m_k log(1 - z_k)."""
    return _log_slope(x, _behind(x))


@with_slope(lambda x, m: _log_slope_slope(x, m))
def _log_slope(x: Array, m: Array) -> Array:
    e = decay(x)
    below = x < 0
    cost, cost_tail = _cost(x)
    taken = jnp.where(below, x - log(m + e), -log1p(m * jnp.where(below, 1.0, e)))
    return taken - m * (cost + cost_tail)


@with_slope(lambda x, m: -(m + 1) * _broken(x).taken * _broken(x).left)
def _log_slope_slope(x: Array, m: Array) -> Array:
    """1 - (m + 1) z, without cancellation at raw = 0."""
    e = decay(x)
    below = x < 0
    rise = m * expm1(jnp.where(below, x, -x))
    return jnp.where(below, -rise / (m + e), rise / (1 + m * e))


def _cost(x: Array) -> tuple[Array, Array]:
    """-log(1 - z) as a number and its rounding error: log1p(exp(x)/m), or x + log(1/m + exp(-x)) where z is above 1/2."""
    m = _behind(x)
    e = decay(x)
    below = x < 0
    me = m * e
    large = (me <= 1) & ~below
    small = log1p(jnp.where(below, divided(e, m), 1 / jnp.where(large | below, 1.0, me)))
    total, error = two_sum(x, log(divided(1 + jnp.where(large, me, 0.0), m)))
    return jnp.where(large, total, small), jnp.where(large & (x < _ALL), error, 0.0)


def _push(x: Array, y: Array, tangent: Array) -> Array:
    """The derivative, with that of the largest entry as minus the others', so that nothing cancels in its transpose."""
    broken = _broken(x)
    largest = _largest(y)
    own = after(broken.left * tangent)
    change = jnp.where(largest, 0.0, y) * (own - before(jnp.cumsum(broken.taken * tangent, axis=-1)))
    return jnp.where(largest, -jnp.sum(change, axis=-1, keepdims=True), change)


def _pull(x: Array, y: Array, cotangent: Array) -> Array:
    """z_k sum_{j>k} y_j (w_k - w_j), with all w measured from that of the largest entry."""
    largest = _largest(y)
    offset = cotangent - jnp.sum(jnp.where(largest, cotangent, 0.0), axis=-1, keepdims=True)
    weighted = jnp.where(largest, 0.0, y * offset)
    if x.dtype == jnp.float32:  # from the value alone, with z_k = y_k / sum_{j>=k} y_j
        sums = reverse_cumsum(y)
        rest = sums[..., 1:] * offset[..., :-1] - reverse_cumsum(weighted)[..., 1:]
        return y[..., :-1] / jnp.where(sums > 0, sums, 1.0)[..., :-1] * rest
    broken = _broken(x)
    return broken.left * weighted[..., :-1] - broken.taken * reverse_cumsum(weighted)[..., 1:]


def _largest(y: Array) -> Array:
    """Where the first of the largest entries is."""
    return jnp.arange(y.shape[-1]) == jnp.argmax(y, axis=-1, keepdims=True)


def _behind(x: Array) -> Array:
    """How many entries of the value come behind each: n, ..., 1."""
    return jnp.arange(x.shape[-1], 0, -1, dtype=x.dtype)
