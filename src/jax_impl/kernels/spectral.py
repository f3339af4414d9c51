"""The largest singular value of matrices, along the last two axes, at any scale, with hand-written derivatives."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import power_below, shielded, times_power
from jax_impl.kernels.sphere import unit


class Scaled(NamedTuple):
    """x = power * u, with the largest entry of u from 1 to 2. Where x is 0, u is 1 in the first entry and 0 elsewhere."""

    u: Array
    power: Array
    zero: Array


def scaled(x: Array) -> Scaled:
    """Matrices in a size whose squares are ordinary numbers."""
    power = power_below(_row(x))[..., None]
    u = times_power(x, 1 / power)
    zero = jnp.max(jnp.abs(_row(u)), axis=-1)[..., None, None] < 1e-18  # the smallest subnormal number gives more
    return Scaled(jnp.where(zero, _first(x), u), jnp.where(zero, 1.0, power), zero)


def decomposed(u: Array) -> tuple[Array, Array, Array]:
    """Left singular vectors as columns, falling singular values, right singular vectors as rows; values of nan for nan."""
    # twin: torch's decomposition raises an error at nan, JAX's gives nan.
    finite = jnp.isfinite(jnp.sum(_row(u), axis=-1))[..., None]
    left, sizes, right = jnp.linalg.svd(jnp.where(finite[..., None], u, 0.0), full_matrices=False)
    return left, jnp.where(finite, sizes, jnp.nan), right


@with_rule(
    push=lambda u, y, tangent: jnp.sum(_row(peak(u) * tangent), axis=-1),
    pull=lambda u, y, cotangent: peak(u) * cotangent[..., None, None],
    keeps_value=False,
)
def largest(u: Array) -> Array:
    """The largest singular value, one number for each matrix."""
    # twin: torch lets nobody differentiate forwards on a view that was made inside of an autograd Function, so it copies.
    return decomposed(u)[1][..., 0]


@with_rule(push=lambda u, y, tangent: _turn(u, tangent), pull=lambda u, y, cotangent: _turn(u, cotangent), keeps_value=False)
def peak(u: Array) -> Array:
    """The derivative of `largest`: u_1 v_1^T, or the mean of u_i v_i^T over the singular values that are the largest."""
    left, sizes, right = decomposed(u)
    return (left * _weights(sizes)[..., None, :]) @ right


def spectral_unit(x: Array) -> Array:
    """x divided by its largest singular value; 1 in the first entry and 0 elsewhere where x is 0."""
    return unit(_row(x)).reshape(x.shape) if 1 in x.shape[-2:] else _over_largest(x)


@with_rule(push=lambda x, y, tangent: _across(x, y, tangent), pull=lambda x, y, cotangent: _back_across(x, y, cotangent))
def _over_largest(x: Array) -> Array:
    u = scaled(x).u
    return u / largest(u)[..., None, None]


def project_spectral(x: Array, bound: float) -> Array:
    """The nearest matrix whose largest singular value is the bound: larger ones become the bound, and the first does.

    Source: Mirsky (1960), "Symmetric gauge functions and unitarily invariant norms", Quarterly Journal of Mathematics 11.
    """
    u, power, zero = scaled(x)
    left, sizes, right = decomposed(u)
    first = jnp.arange(sizes.shape[-1]) == 0
    sizes = jnp.where(zero[..., 0], 0.0, times_power(sizes, power[..., 0]))
    lowered = (left * jnp.where(first | (sizes > bound), bound, sizes)[..., None, :]) @ right
    raised = x + (left[..., :1] * (bound - sizes[..., None, :1])) @ right[..., :1, :]
    return jnp.where(sizes[..., :1, None] > bound, lowered, raised)


def _across(x: Array, y: Array, t: Array) -> Array:
    """The derivative of `_over_largest` along t: (t - y <peak, t>) / largest.

    Before that t loses x t_p/x_p, p being the place of the largest entry: the derivative along x is 0, which is so without
    rounding if there is one entry only. In JAX this turns into `_back_across` by transposition.
    """
    (u, power, zero), root = scaled(x), _root(x)
    t = t * shielded(1 / root, t)
    at_p, c = _largest_entry(u)
    t = t - c * jnp.sum(_row(jnp.where(at_p, t, 0.0)), axis=-1)[..., None, None]
    t = t - y * jnp.sum(_row(peak(u) * t), axis=-1)[..., None, None]
    return jnp.where(zero, 0.0, (t / largest(u)[..., None, None]) * shielded(root / power, t))


def _back_across(x: Array, y: Array, t: Array) -> Array:
    """The transpose of `_across`: (t - peak <y, t>) / largest, and what has to be 0 along x taken off entry p."""
    (u, power, zero), root = scaled(x), _root(x)
    t = t * shielded(1 / root, t)
    at_p, c = _largest_entry(u)
    t = t - peak(u) * jnp.sum(_row(y * t), axis=-1)[..., None, None]
    t = t - jnp.where(at_p, jnp.sum(_row(c * t), axis=-1)[..., None, None], 0.0)
    return jnp.where(zero, 0.0, (t / largest(u)[..., None, None]) * shielded(root / power, t))


def _turn(u: Array, t: Array) -> Array:
    """The derivative of `peak` along t, which is its own transpose.

    With P = L^T t R for the singular vectors L and R: u_i moves by (s_i P_ji + s_j P_ij)/(s_i^2 - s_j^2) along u_j, v_i by
    (s_i P_ij + s_j P_ji)/(s_i^2 - s_j^2) along v_j, and each by what of t lies outside of L and R, over s_i.
    """
    left, sizes, right = decomposed(u)
    weights = _weights(sizes)
    row, column = sizes[..., :, None], sizes[..., None, :]
    apart = (weights[..., :, None] > 0) & (weights[..., None, :] == 0)
    gaps = jnp.where(apart, (row - column) * (row + column), 1.0)
    rates = jnp.where(apart, weights[..., :, None] / gaps, 0.0)
    there = left.mT @ t @ right.mT
    turned = rates * (row * there + column * there.mT)
    moved = (rates * (row * there.mT + column * there)).mT
    change = left @ (turned + moved) @ right
    over = weights / jnp.where(weights > 0, sizes, 1.0)
    if u.shape[-2] > u.shape[-1]:
        beside = t - left @ (left.mT @ t)
        change = change + (beside @ right.mT * over[..., None, :]) @ right
    if u.shape[-1] > u.shape[-2]:
        beside = t - (t @ right.mT) @ right
        change = change + (left * over[..., None, :]) @ (left.mT @ beside)
    return change


def _weights(sizes: Array) -> Array:
    """1 for the largest singular value, or equal parts of 1 for those that are the largest to 16 eps; 0 for the others."""
    tied = (sizes >= (1 - 16 * float(jnp.finfo(sizes.dtype).eps)) * sizes[..., :1]).astype(sizes.dtype)
    return tied / jnp.sum(tied, axis=-1, keepdims=True)


def _largest_entry(u: Array) -> tuple[Array, Array]:
    """Where the entry of the largest size stands, as a mask, and u divided by it."""
    row = _row(u)
    at_p = jnp.arange(row.shape[-1]) == jnp.argmax(jnp.abs(row), axis=-1, keepdims=True)
    at_p = at_p.reshape(u.shape)
    return at_p, u / jnp.sum(_row(jnp.where(at_p, u, 0.0)), axis=-1)[..., None, None]


def _root(x: Array) -> Array:
    """About the root of the size of x, a power of 2: half is divided by before and half after, so that nothing overflows."""
    return power_below(jnp.sqrt(scaled(x).power))


def _row(x: Array) -> Array:
    """The entries of matrices as rows."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _first(x: Array) -> Array:
    """1 in the first entry, 0 elsewhere."""
    return (jnp.arange(x.shape[-2] * x.shape[-1]) == 0).astype(x.dtype).reshape(x.shape[-2:])
