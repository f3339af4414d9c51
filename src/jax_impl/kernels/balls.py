"""Balls around 0 along the last axis: how far a vector is inside, the way back to raw, and the nearest point.

`whole` is the radius in units of a power of 2 below it, and `scale` what takes v into these units: no square overflows.
"""

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.elementary import atanh, log, shielded, two_sum
from jax_impl.kernels.exact_sums import cumsum_exactly, squares, sum_exactly, two_product
from jax_impl.kernels.links import log_ratio
from jax_impl.kernels.radial import radius_of
from jax_impl.kernels.sphere import unit
from jax_impl.kernels.sums import sum_by_blocks


def room(norm: int, whole: float, scale: float, v: Array) -> Array:
    """whole - |v| (norm 1) or whole^2 - |v|^2 (norm 2), rounded once, also where it cancels; the last axis is kept."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    scaled = v * scale
    scaled = jnp.clip(scaled, -4.0, 4.0)  # outside anyway
    border = jnp.zeros_like(scaled[..., :1]) + shielded(whole, scaled)
    taken = [-jnp.abs(scaled), border] if norm == 1 else [-squares(scaled), squares(border)]
    total, error = sum_exactly(jnp.concatenate(taken, axis=-1))
    return total + error


def ball_inverse(norm: int, link: str, whole: float, scale: float, v: Array) -> Array:
    """The raw of `radius * ball(norm, link, raw)`; nan for v outside."""
    scaled = v * scale
    left = room(norm, whole, scale, v)
    if link == "alg":
        left = jnp.where(left < 0, jnp.nan, left)
        return scaled / (left if norm == 1 else jnp.sqrt(left))
    length = radius_of(norm, scaled)
    near = (length < whole / 2) & (length > 1e-15 * whole)
    inside = jnp.where(near, length / whole, 0.25)
    ratio = jnp.where(near, atanh(inside) / inside, 1.0)
    far = jnp.where(length < whole / 2, whole, length)
    sum_over_room = (whole + far) * (whole + far if norm == 2 else 1.0) / left
    beyond = (log(sum_over_room) / 2) * (scaled / far)
    return jnp.where(length < whole / 2, (scaled / whole) * ratio, beyond)


def stick_inverse(whole: float, scale: float, v: Array) -> Array:
    """The raw of `radius * stick(raw)`; nan for v outside."""
    scaled = v * scale
    first = jnp.zeros_like(scaled[..., :1]) + shielded(whole, scaled)
    left, error = cumsum_exactly(jnp.concatenate([first, -jnp.abs(scaled)], axis=-1))
    left = left + error
    before, behind = left[..., :-1], left[..., 1:]
    above = jnp.where(scaled < 0, behind, before + scaled)
    below = jnp.where(scaled > 0, behind, before - scaled)
    return log_ratio(above, below, scaled, before) / 2


def project_l2_ball(radius: float, whole: float, scale: float, point: Array) -> Array:
    """point, or radius * point/|point| where that is shorter."""
    return jnp.where(room(2, whole, scale, point) < 0, radius * unit(point), point)


def project_l1_ball(radius: float, whole: float, scale: float, point: Array) -> Array:
    """sign(point) max(|point| - t, 0) with t >= 0 such that the sum of the sizes is the radius, or less at t = 0.

    Source: Duchi et al. (2008), "Efficient projections onto the l1-ball for learning in high dimensions", ICML.
    """
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    size = jnp.abs(point)
    largest = lax.stop_gradient(jnp.max(size, axis=-1, keepdims=True))
    below_largest = largest - lax.stop_gradient(size)
    ascending = jnp.sort(below_largest, axis=-1)  # of the sizes, measured from the largest
    counts = jnp.arange(1, point.shape[-1] + 1, dtype=point.dtype)
    kept = jnp.where(ascending < radius, ascending, 0.0)  # an entry one radius below the largest is 0 in the projection
    inside = (ascending < radius) & (ascending * counts < jnp.cumsum(kept, axis=-1) + radius)
    active = below_largest <= jnp.max(jnp.where(inside, ascending, 0.0), axis=-1, keepdims=True)
    for _ in range(2):  # entries near the threshold, seen again to twice the precision
        excess, rest = _above_threshold(radius, size, active)
        active = excess + rest > 0
    excess, rest = _above_threshold(radius, size, active)
    shrunk = jnp.where(excess + rest > 0, excess + rest, 0.0)
    return jnp.where(room(1, whole, scale, point) < 0, jnp.copysign(shrunk, point), point)


def _above_threshold(radius: float, size: Array, active: Array) -> tuple[Array, Array]:
    """size - t, to twice the precision, for the t of the active entries."""
    quarter = 0.25  # of all numbers, so that the sum of the largest ones overflows later
    border = jnp.zeros_like(size[..., :1]) - shielded(quarter * radius, size)
    entries = jnp.concatenate([jnp.where(active, quarter * size, 0.0), border], axis=-1)
    total, error = sum_exactly(entries)
    count = sum_by_blocks(active.astype(size.dtype)) * quarter
    threshold = total / count
    product, lost = two_product(threshold, count)
    difference, rest = two_sum(size, -threshold)
    return difference, rest - (((total - product) - lost) + error) / count
