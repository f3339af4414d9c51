"""Euclidean projections that are more than a clip, along the last axis."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.elementary import two_sum
from jax_impl.kernels.sums import on_one_grid, sum_once


def project_simplex(point: Array, total: float = 1.0) -> Array:
    """max(point - t, 0) with t such that the entries sum to a positive total.

    Source: Held, Wolfe and Crowder (1974), "Validation of subgradient optimization", Mathematical Programming 6.
    """
    shifted = point - jnp.max(point, axis=-1, keepdims=True)
    descending = -jnp.sort(-shifted, axis=-1)
    counts = jnp.arange(1, point.shape[-1] + 1, dtype=point.dtype)
    kept = jnp.where(descending > -total, descending, 0.0)  # an entry `total` below the largest is 0 in the projection
    inside = (descending > -total) & (descending * counts > jnp.cumsum(kept, axis=-1) - total)
    active = shifted >= jnp.min(jnp.where(inside, descending, 0.0), axis=-1, keepdims=True)
    size = jnp.sum(active, axis=-1, keepdims=True).astype(point.dtype)
    threshold = (sum_once(jnp.where(active, shifted, 0.0)) - total) / size
    return jnp.where(shifted > threshold, shifted - threshold, 0.0)


def project_ordered(point: Array) -> Array:
    """The nearest non-decreasing vector: isotonic regression by pooling adjacent violators, all at once in each round.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions.
    """
    first = jnp.arange(point.shape[-1]) == 0
    starts = jnp.ones(point.shape, bool)

    def merged(starts: Array) -> Array:
        means = _block_means(lax.stop_gradient(point), starts)
        return starts & (first | (jnp.roll(means, 1, axis=-1) <= means))

    def changes(pair: tuple[Array, Array]) -> Array:
        return jnp.any(pair[0] != pair[1])

    # twin: the number of rounds depends on the data; torch loops in Python (so not under compile or vmap), JAX in a while_loop.
    _, starts = lax.while_loop(changes, lambda pair: (pair[1], merged(pair[1])), (starts, merged(starts)))
    return _block_means(point, starts)


def _block_means(point: Array, starts: Array) -> Array:
    """The mean of each block of entries, at every entry of it; a block begins where `starts` is true."""
    block = jnp.cumsum(starts.reshape(-1)) - 1
    head, tail = on_one_grid(point, 4.0 * point.shape[-1])

    def totals(entries: Array) -> Array:
        return jax.ops.segment_sum(entries.reshape(-1), block, num_segments=block.size)

    means = (totals(head) + totals(tail)) / jnp.maximum(totals(jnp.ones_like(point)), 1.0)
    return means[block].reshape(point.shape)


def project_sum_to_zero(point: Array) -> Array:
    """point - mean(point), measured from the first entry: what all entries have in common leaves no rounding."""
    first = point[..., :1]
    offset = point - jnp.where(jnp.abs(first) < jnp.finfo(point.dtype).max / 4, first, 0.0)
    return offset - sum_once(offset) / point.shape[-1]


def project_sum_to_zero_matrix(point: Array) -> Array:
    """point - mean of its row - mean of its column + mean of all.

    Measured from the first row and column, to twice the precision: what a row or a column has in common leaves no rounding.
    """
    rise, rise_tail = two_sum(point, -point[..., :1])
    first, first_tail = rise[..., :1, :], rise_tail[..., :1, :]
    offset, error = two_sum(rise, -first)
    offset = offset + (error + (rise_tail - first_tail))
    offset = jnp.swapaxes(project_sum_to_zero(offset), -1, -2)
    return jnp.swapaxes(project_sum_to_zero(offset), -1, -2)
