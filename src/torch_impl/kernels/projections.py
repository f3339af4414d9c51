"""Euclidean projections that are more than a clip, along the last axis."""

from operator import index

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import two_sum
from torch_impl.kernels.sums import before, doubled, in_blocks, on_one_grid, sum_once


def project_simplex(point: Array, total: float = 1.0) -> Array:
    """max(point - t, 0) with t such that the entries sum to a positive total.

    Source: Held, Wolfe and Crowder (1974), "Validation of subgradient optimization", Mathematical Programming 6.
    """
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(point):
        return in_blocks(lambda x: project_simplex(x.double(), total), point)
    shifted = point - torch.amax(point, dim=-1, keepdim=True)
    descending = torch.sort(shifted, dim=-1, descending=True).values
    counts = torch.arange(1, point.shape[-1] + 1, dtype=point.dtype, device=point.device)
    kept = torch.where(descending > -total, descending, 0.0)  # an entry `total` below the largest is 0 in the projection
    inside = (descending > -total) & (descending * counts > torch.cumsum(kept, dim=-1) - total)
    active = shifted >= torch.amin(torch.where(inside, descending, 0.0), dim=-1, keepdim=True)
    size = torch.sum(active, dim=-1, keepdim=True).to(point.dtype)
    threshold = (sum_once(torch.where(active, shifted, 0.0)) - total) / size
    return torch.where(shifted > threshold, shifted - threshold, 0.0)


def project_ordered(point: Array) -> Array:
    """The nearest non-decreasing vector: isotonic regression, in as many rounds as n has binary digits.

    Each round joins neighbouring solutions two by two. Of a left and a right one the entries above, or below, a number v are
    pooled to v, where what the left ones give equals what the right ones take: found by sorting both together. The blocks
    that this makes are given their means, rounded once.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions (pooling adjacent
        violators in any order gives the same blocks).
    """
    n = index(point.shape[-1])
    if n == 1:
        return point
    rounds = (n - 1).bit_length()
    fixed = point.detach()
    top = torch.amax(fixed, dim=-1, keepdim=True)  # behind the last entry, no pool takes it
    padded = torch.nn.functional.pad(fixed, (0, 2**rounds - n))
    solved = torch.where(torch.arange(2**rounds, device=point.device) < n, padded, top)
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
    offset, order = torch.sort(pairs - seam, dim=-1)
    right = order >= size
    rights, lefts = torch.where(right, offset, 0.0), torch.where(right, 0.0, offset)
    rights_before = torch.cumsum(right.to(pairs.dtype), dim=-1)
    lefts_behind = size - torch.cumsum((~right).to(pairs.dtype), dim=-1)
    taken = rights_before * offset - torch.cumsum(rights, dim=-1)
    given = (torch.sum(lefts, dim=-1, keepdim=True) - torch.cumsum(lefts, dim=-1)) - lefts_behind * offset
    pooled = torch.where(right, taken < given, taken > given)
    count = torch.sum(pooled.to(pairs.dtype), dim=-1, keepdim=True)
    level = seam + torch.sum(torch.where(pooled, offset, 0.0), dim=-1, keepdim=True) / torch.clamp(count, min=1.0)
    left = torch.arange(2 * size, device=pairs.device) < size
    inside = (count > 0) & torch.where(left, pairs > level, pairs < level)
    return torch.where(inside, level, pairs)


def _block_means(point: Array, starts: Array) -> Array:
    """The mean of each block of entries, at every entry of it; a block begins where `starts` is true."""
    n = point.shape[-1]
    place = torch.arange(n, device=point.device).expand(point.shape)
    first = torch.cummax(torch.where(starts, place, 0), dim=-1).values
    ends = _flagged(starts[..., 1:], 0, 1)
    last = torch.flip(torch.cummin(torch.flip(torch.where(ends, place, n - 1), (-1,)), dim=-1).values, (-1,))
    total = torch.zeros_like(point)
    parts, rest = [], point
    for _ in range(2):  # sums of parts on one grid are exact, and so are the differences of them
        head, rest = on_one_grid(rest, 4.0 * n)
        parts.append(head)
    for part in (rest, *reversed(parts)):
        sums = torch.cumsum(part, dim=-1)
        total = total + (torch.gather(sums, -1, last) - torch.gather(before(sums), -1, first))
    return total / (last - first + 1).to(point.dtype)


def _flagged(flags: Array, front: int, behind: int) -> Array:
    """Flags with so many true ones in front and behind."""
    return torch.nn.functional.pad(flags, (front, behind), value=True)


def project_sum_to_zero(point: Array) -> Array:
    """point - mean(point), measured from the first entry: what all entries have in common leaves no rounding."""
    first = point[..., :1]
    offset = point - torch.where(torch.abs(first) < torch.finfo(point.dtype).max / 4, first, 0.0)
    return offset - sum_once(offset) / point.shape[-1]


def project_sum_to_zero_matrix(point: Array) -> Array:
    """point - mean of its row - mean of its column + mean of all.

    Measured from the first row and column, to twice the precision: what a row or a column has in common leaves no rounding.
    """
    rise, rise_tail = two_sum(point, -point[..., :1])
    first, first_tail = rise[..., :1, :], rise_tail[..., :1, :]
    offset, error = two_sum(rise, -first)
    offset = offset + (error + (rise_tail - first_tail))
    offset = torch.swapaxes(project_sum_to_zero(offset), -1, -2)
    return torch.swapaxes(project_sum_to_zero(offset), -1, -2)
