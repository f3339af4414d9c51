"""Sums along the last axis that are rounded once."""

import jax.numpy as jnp
from jax import Array, enable_x64, lax

from jax_impl.kernels.derivatives import with_rule

_BLOCK = 16


def on_one_grid(x: Array, size: float) -> tuple[Array, Array]:
    """x as head + tail, exactly. The heads of a vector are multiples of the last digit of size * max|x|, so that
    up to `size` of them add up without rounding, in any order.
    """
    # twin: XLA computes a product anew for head and tail, and may round it in one of them only after the sum: JAX bars that.
    x = jnp.where(x == x, x, jnp.nan)
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0.0))
    grid = jnp.minimum(size * largest, jnp.finfo(x.dtype).max / 8)
    head = (grid + x) - grid
    return head, jnp.where(x == head, 0.0, x - head)  # an infinity is all head


def sum_once(x: Array) -> Array:
    """Sum along the last axis, which is kept, rounded once."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return jnp.sum(head, axis=-1, keepdims=True) + jnp.sum(tail, axis=-1, keepdims=True)


@with_rule(
    push=lambda x, y, tangent: jnp.cumsum(tangent, axis=-1),
    pull=lambda x, y, cotangent: reverse_cumsum(cotangent),
    keeps_value=False,
)
def cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis, each result rounded once."""
    if x.dtype == jnp.float32:
        with enable_x64(True):
            return jnp.cumsum(x.astype(jnp.float64), axis=-1).astype(x.dtype)
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return jnp.cumsum(head, axis=-1) + jnp.cumsum(tail, axis=-1)


def reverse_cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis from its end, rounded at each step."""
    return lax.cumsum(x, axis=x.ndim - 1, reverse=True)


def sum_behind(x: Array) -> Array:
    """For each entry the sum of those behind it, along the last axis."""
    return reverse_cumsum(after(x[..., 1:]))


def running_product(x: Array) -> Array:
    """For each entry the product of those before it, along the last axis."""
    first = jnp.ones_like(x[..., :1])
    return lax.cumprod(jnp.concatenate([first, x[..., :-1]], axis=-1), axis=x.ndim - 1)


def before(x: Array) -> Array:
    """0 in front of x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)])  # unlike concatenated zeros, sharded as x is


def after(x: Array) -> Array:
    """0 behind x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)])


def sum_by_blocks(x: Array) -> Array:
    """Sum along the last axis, which is kept, rounded a few times only; linear, and the transpose of `spread_by_blocks`."""
    # twin: torch adds in pairs; XLA one entry after the other, so JAX adds blocks of entries, then blocks of blocks.
    while x.shape[-1] > _BLOCK:
        n = x.shape[-1]
        blocks = -(-n // _BLOCK)
        padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, blocks * _BLOCK - n)]) if n % _BLOCK else x
        x = jnp.sum(padded.reshape(*x.shape[:-1], blocks, _BLOCK), axis=-1)
    return jnp.sum(x, axis=-1, keepdims=True)


def spread_by_blocks(number: Array, like: Array) -> Array:
    """A number for each vector, of length 1 along the last axis, repeated as often as `like` is long."""
    # twin: torch adds in pairs; XLA one entry after the other, so JAX adds blocks of entries, then blocks of blocks.
    lengths = [like.shape[-1]]
    while lengths[-1] > _BLOCK:
        lengths.append(-(-lengths[-1] // _BLOCK))
    spread = jnp.broadcast_to(number, (*number.shape[:-1], lengths[-1]))
    for length in reversed(lengths[:-1]):
        repeated = jnp.broadcast_to(spread[..., None], (*spread.shape, _BLOCK))
        spread = repeated.reshape(*spread.shape[:-1], spread.shape[-1] * _BLOCK)[..., :length]
    return spread
