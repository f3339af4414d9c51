"""Euclidean projections that are more than a clip, along the last axis."""

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import two_sum
from torch_impl.kernels.sums import on_one_grid, sum_once


def project_simplex(point: Array, total: float = 1.0) -> Array:
    """max(point - t, 0) with t such that the entries sum to a positive total.

    Source: Held, Wolfe and Crowder (1974), "Validation of subgradient optimization", Mathematical Programming 6.
    """
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
    """The nearest non-decreasing vector: isotonic regression by pooling adjacent violators, all at once in each round.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions.
    """
    first = torch.arange(point.shape[-1], device=point.device) == 0
    starts = torch.ones_like(point, dtype=torch.bool)

    def merged(starts: Array) -> Array:
        means = _block_means(point.detach(), starts)
        return starts & (first | (torch.roll(means, 1, dims=-1) <= means))

    # twin: the number of rounds depends on the data; torch loops in Python (so not under compile or vmap), JAX in a while_loop.
    while not torch.equal(starts, following := merged(starts)):
        starts = following
    return _block_means(point, starts)


def _block_means(point: Array, starts: Array) -> Array:
    """The mean of each block of entries, at every entry of it; a block begins where `starts` is true."""
    block = torch.cumsum(starts.reshape(-1), dim=0) - 1
    head, tail = on_one_grid(point, 4.0 * point.shape[-1])

    def totals(entries: Array) -> Array:
        return torch.zeros_like(entries.reshape(-1)).index_add(0, block, entries.reshape(-1))

    means = (totals(head) + totals(tail)) / torch.clamp(totals(torch.ones_like(point)), min=1.0)
    return means[block].reshape(point.shape)


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
