"""Sums along the last axis that are rounded once."""

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.derivatives import with_rule


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
    pull=lambda x, y, cotangent: reverse_cumsum(cotangent),
)
def cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis, each result rounded once."""
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return jnp.cumsum(head, axis=-1) + jnp.cumsum(tail, axis=-1)


def reverse_cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis from its end, rounded at each step."""
    return lax.cumsum(x, axis=x.ndim - 1, reverse=True)


def before(x: Array) -> Array:
    """0 in front of x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)])  # unlike concatenated zeros, sharded as x is


def after(x: Array) -> Array:
    """0 behind x."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)])
