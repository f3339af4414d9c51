"""Balls around 0 along the last axis: how far a vector is inside, the way back to raw, and the nearest point.

`whole` is the radius in units of a power of 2 below it, and `scale` what takes v into these units: no square overflows.
"""

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import atanh, log, shielded, two_sum
from torch_impl.kernels.exact_sums import cumsum_exactly, squares, sum_exactly, two_product
from torch_impl.kernels.links import log_ratio
from torch_impl.kernels.projections import project_simplex
from torch_impl.kernels.radial import radius_of
from torch_impl.kernels.sphere import unit
from torch_impl.kernels.sums import doubled, in_blocks, sum_by_blocks, sum_once


def room(norm: int, whole: float, scale: float, v: Array) -> Array:
    """whole - |v| (norm 1) or whole^2 - |v|^2 (norm 2), rounded once, also where it cancels; the last axis is kept."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(v):
        return in_blocks(lambda v: _plain_room(norm, whole, v.double() * scale), v)
    scaled = v * scale
    scaled = torch.clamp(scaled, -4.0, 4.0)  # outside anyway
    border = torch.zeros_like(scaled[..., :1]) + shielded(whole, scaled)
    taken = [-torch.abs(scaled), border] if norm == 1 else [-squares(scaled), squares(border)]
    total, error = sum_exactly(torch.cat(taken, dim=-1))
    return total + error


def ball_inverse(norm: int, link: str, whole: float, scale: float, v: Array) -> Array:
    """The raw of `radius * ball(norm, link, raw)`; nan for v outside."""
    scaled = v * scale
    left = room(norm, whole, scale, v)
    if link == "alg":
        left = torch.where(left < 0, torch.nan, left)
        return scaled / (left if norm == 1 else torch.sqrt(left))
    length = radius_of(norm, scaled)
    near = (length < whole / 2) & (length > 1e-15 * whole)
    inside = torch.where(near, length / whole, 0.25)
    ratio = torch.where(near, atanh(inside) / inside, 1.0)
    far = torch.where(length < whole / 2, whole, length)
    sum_over_room = (whole + far) * (whole + far if norm == 2 else 1.0) / left
    beyond = (log(sum_over_room) / 2) * (scaled / far)
    return torch.where(length < whole / 2, (scaled / whole) * ratio, beyond)


def stick_inverse(whole: float, scale: float, v: Array) -> Array:
    """The raw of `radius * stick(raw)`; nan for v outside."""
    scaled = v * scale
    first = torch.zeros_like(scaled[..., :1]) + shielded(whole, scaled)
    left, error = cumsum_exactly(torch.cat([first, -torch.abs(scaled)], dim=-1))
    left = left + error
    before, behind = left[..., :-1], left[..., 1:]
    above = torch.where(scaled < 0, behind, before + scaled)
    below = torch.where(scaled > 0, behind, before - scaled)
    return log_ratio(above, below, scaled, before) / 2


def project_l2_ball(radius: float, whole: float, scale: float, point: Array) -> Array:
    """point, or radius * point/|point| where that is shorter."""
    return torch.where(room(2, whole, scale, point) < 0, radius * unit(point), point)


def project_l1_ball(radius: float, whole: float, scale: float, point: Array) -> Array:
    """sign(point) max(|point| - t, 0) with t >= 0 such that the sum of the sizes is the radius, or less at t = 0.

    Source: Duchi et al. (2008), "Efficient projections onto the l1-ball for learning in high dimensions", ICML.
    """
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(point):
        return in_blocks(lambda x: _plain_project_l1_ball(radius, x.double()), point)
    size = torch.abs(point)
    largest = torch.amax(size, dim=-1, keepdim=True).detach()
    below_largest = largest - size.detach()
    ascending = torch.sort(below_largest, dim=-1).values  # of the sizes, measured from the largest
    counts = torch.arange(1, point.shape[-1] + 1, dtype=point.dtype, device=point.device)
    kept = torch.where(ascending < radius, ascending, 0.0)  # an entry one radius below the largest is 0 in the projection
    inside = (ascending < radius) & (ascending * counts < torch.cumsum(kept, dim=-1) + radius)
    active = below_largest <= torch.amax(torch.where(inside, ascending, 0.0), dim=-1, keepdim=True)
    for _ in range(2):  # entries near the threshold, seen again to twice the precision
        excess, rest = _above_threshold(radius, size, active)
        active = excess + rest > 0
    excess, rest = _above_threshold(radius, size, active)
    shrunk = torch.where(excess + rest > 0, excess + rest, 0.0)
    return torch.where(room(1, whole, scale, point) < 0, torch.copysign(shrunk, point), point)


def _above_threshold(radius: float, size: Array, active: Array) -> tuple[Array, Array]:
    """size - t, to twice the precision, for the t of the active entries."""
    quarter = 0.25  # of all numbers, so that the sum of the largest ones overflows later
    border = torch.zeros_like(size[..., :1]) - shielded(quarter * radius, size)
    entries = torch.cat([torch.where(active, quarter * size, 0.0), border], dim=-1)
    total, error = sum_exactly(entries)
    count = sum_by_blocks(active.to(size.dtype)) * quarter
    threshold = total / count
    product, lost = two_product(threshold, count)
    difference, rest = two_sum(size, -threshold)
    return difference, rest - (((total - product) - lost) + error) / count


def _plain_room(norm: int, whole: float, scaled: Array) -> Array:
    """`room` in float64, for numbers that come from float32: their squares are exact."""
    taken = -torch.abs(scaled) if norm == 1 else -scaled * scaled
    border = torch.full_like(scaled[..., :1], whole if norm == 1 else whole * whole)
    return sum_once(torch.cat([taken, border], dim=-1))


def _plain_project_l1_ball(radius: float, point: Array) -> Array:
    """`project_l1_ball` in float64, for numbers that come from float32."""
    size = torch.abs(point)
    outside = torch.sum(size, dim=-1, keepdim=True) > radius
    return torch.copysign(torch.where(outside, project_simplex(size, radius), size), point)
