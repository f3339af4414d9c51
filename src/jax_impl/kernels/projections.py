"""Euclidean projections that are more than a clip, along the last axis."""

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.elementary import two_sum
from jax_impl.kernels.sums import before, on_one_grid, sum_once


def project_simplex(point: Array, total: float = 1.0) -> Array:
    """max(point - t, 0) with t such that the entries sum to a positive total.

    Source: Held, Wolfe and Crowder (1974), "Validation of subgradient optimization", Mathematical Programming 6.
    """
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
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
    """The nearest non-decreasing vector: isotonic regression, in as many rounds as n has binary digits.

    Each round joins neighbouring solutions two by two. Of a left and a right one the entries above, or below, a number v are
    pooled to v, where what the left ones give equals what the right ones take: found by sorting both together. The blocks
    that this makes are given their means, rounded once.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions (pooling adjacent
        violators in any order gives the same blocks).
    """
    n = point.shape[-1]
    if n == 1:
        return point
    rounds = (n - 1).bit_length()
    fixed = lax.stop_gradient(point)
    top = jnp.max(fixed, axis=-1, keepdims=True)  # behind the last entry, no pool takes it
    padding = [(0, 0)] * (point.ndim - 1) + [(0, 2**rounds - n)]
    solved = jnp.where(jnp.arange(2**rounds) < n, jnp.pad(fixed, padding), top)
    for k in range(1, rounds + 1):
        pairs = _joined(solved.reshape(*point.shape[:-1], 2 ** (rounds - k), 2**k))
        solved = pairs.reshape(*point.shape[:-1], 2**rounds)
    solved = solved[..., :n]
    starts = _flagged(solved[..., 1:] != solved[..., :-1], 1, 0)
    means = _block_means(fixed, starts)  # where rounding left a violation, the pool is one block larger
    starts = starts & _flagged(means[..., 1:] >= means[..., :-1], 1, 0)
    return _block_means(point, starts)


def _joined(pairs: Array) -> Array:
    """The solution for each row of `pairs`, whose two halves are solved already."""
    size = pairs.shape[-1] // 2
    seam = pairs[..., size - 1 : size]
    order = lax.broadcasted_iota(jnp.int32, pairs.shape, pairs.ndim - 1)
    offset, order = lax.sort((pairs - seam, order), dimension=pairs.ndim - 1, num_keys=1)
    right = order >= size
    rights, lefts = jnp.where(right, offset, 0.0), jnp.where(right, 0.0, offset)
    rights_before = jnp.cumsum(right.astype(pairs.dtype), axis=-1)
    lefts_behind = size - jnp.cumsum((~right).astype(pairs.dtype), axis=-1)
    taken = rights_before * offset - jnp.cumsum(rights, axis=-1)
    given = (jnp.sum(lefts, axis=-1, keepdims=True) - jnp.cumsum(lefts, axis=-1)) - lefts_behind * offset
    pooled = jnp.where(right, taken < given, taken > given)
    count = jnp.sum(pooled.astype(pairs.dtype), axis=-1, keepdims=True)
    level = seam + jnp.sum(jnp.where(pooled, offset, 0.0), axis=-1, keepdims=True) / jnp.maximum(count, 1.0)
    left = jnp.arange(2 * size) < size
    inside = (count > 0) & jnp.where(left, pairs > level, pairs < level)
    return jnp.where(inside, level, pairs)


def _block_means(point: Array, starts: Array) -> Array:
    """The mean of each block of entries, at every entry of it; a block begins where `starts` is true."""
    n = point.shape[-1]
    place = lax.broadcasted_iota(jnp.int32, point.shape, point.ndim - 1)
    first = lax.cummax(jnp.where(starts, place, 0), axis=point.ndim - 1)
    ends = _flagged(starts[..., 1:], 0, 1)
    last = lax.cummin(jnp.where(ends, place, n - 1), axis=point.ndim - 1, reverse=True)
    total = jnp.zeros_like(point)
    parts, rest = [], point
    for _ in range(2):  # sums of parts on one grid are exact, and so are the differences of them
        head, rest = on_one_grid(rest, 4.0 * n)
        parts.append(head)
    for part in (rest, *reversed(parts)):
        sums = jnp.cumsum(part, axis=-1)
        total = total + (jnp.take_along_axis(sums, last, axis=-1) - jnp.take_along_axis(before(sums), first, axis=-1))
    return total / (last - first + 1).astype(point.dtype)


def _flagged(flags: Array, front: int, behind: int) -> Array:
    """Flags with so many true ones in front and behind."""
    return jnp.pad(flags, [(0, 0)] * (flags.ndim - 1) + [(front, behind)], constant_values=True)


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
