"""Eigenvalues of symmetric matrices, found in float64, and the projections and roots made of them."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, enable_x64, lax

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import half_digits, power_below, times_power
from jax_impl.kernels.factors import diagonal, paired_sum, times, with_diagonal
from jax_impl.kernels.triangles import mirrored, symmetric_part

# Sides up to which eigenvectors are refined to twice the digits of float64.
SMALL_SPECTRUM = 24

# Eigenvalues as near as this to the floor, 0, of a matrix with entries near 1, are told apart in a second round.
NEAR = 1e-12


class Spectrum(NamedTuple):
    """The symmetric part of a matrix in float64, divided by a power of 2, and its eigenvalues, which ascend."""

    scaled: Array
    power: Array
    values: Array
    vectors: Array


def _decomposed(matrix: Array) -> Spectrum:
    wide = symmetric_part(matrix).astype(jnp.float64)
    power = power_below(wide.reshape(*wide.shape[:-2], wide.shape[-1] ** 2))[..., None]
    scaled = times_power(wide, 1 / power)
    return Spectrum(scaled, power, *_eigh(scaled))


def _eigh(matrix: Array) -> tuple[Array, Array]:
    # twin: LAPACK refuses what is not finite when torch calls it, and gives nan when JAX does.
    vectors, values = lax.linalg.eigh(matrix, symmetrize_input=False)
    return values, vectors


def spectrum(matrix: Array) -> Array:
    """The eigenvalues of the symmetric part, ascending; an overflow gives the largest number."""
    with enable_x64(True):
        found = _decomposed(matrix)
        return times_power(found.values, found.power[..., 0]).astype(matrix.dtype)


def _projected_push(matrix: Array, rank: int, y: Array, tangent: Array) -> Array:
    """V (S * V^T dM V) V^T, S the divided differences of what becomes of the eigenvalues; nan where the rank cuts a tie."""
    with enable_x64(True):
        found = _decomposed(matrix)
        kept = _kept(found, rank)
        one, other = kept[..., :, None], kept[..., None, :]
        left = jnp.where(kept, found.values, 0.0)
        fall = left[..., :, None] - left[..., None, :]
        apart = found.values[..., :, None] - found.values[..., None, :]
        share = jnp.where(one ^ other, jnp.where(apart == 0, jnp.nan, fall / jnp.where(apart == 0, 1.0, apart)), 0.0)
        share = jnp.where(one & other, 1.0, share).astype(matrix.dtype)
        vectors = found.vectors.astype(matrix.dtype)
    inner = share * times(vectors.mT, times((tangent + tangent.mT) / 2, vectors))
    return times(vectors, times(inner, vectors.mT))


@with_rule(push=_projected_push, pull=_projected_push)
def project_low_rank(matrix: Array, rank: int) -> Array:
    """The nearest symmetric matrix of a rank without negative eigenvalues."""
    full = rank == matrix.shape[-1]
    with enable_x64(True):
        found = _decomposed(matrix)
        if full and rank <= SMALL_SPECTRUM:
            nearest = _above(found, found.values)
        else:
            nearest = _rebuilt(found, jnp.where(_kept(found, rank), found.values, 0.0))
        return times_power(nearest, found.power).astype(matrix.dtype)


def project_semidefinite(matrix: Array) -> Array:
    """The nearest symmetric matrix without negative eigenvalues."""
    return project_low_rank(matrix, matrix.shape[-1])


def _kept(found: Spectrum, rank: int) -> Array:
    """Which eigenvalues are the largest of that number, and positive."""
    side = found.values.shape[-1]
    return (jnp.arange(side) >= side - rank) & (found.values > 0)


def low_rank_root(matrix: Array, rank: int) -> Array:
    """B with B B^T = matrix: orthogonal columns, longest first, the largest entry of each positive."""
    return _root(matrix)[..., :rank]


def _root_push(matrix: Array, root: Array, tangent: Array) -> Array:
    inverse = _unrooted(root)
    change = times((tangent + tangent.mT) / 2, inverse)
    return change - times(root, times(inverse.mT, change)) / 2


def _root_pull(matrix: Array, root: Array, cotangent: Array) -> Array:
    inverse = _unrooted(root)
    change = times(cotangent - times(inverse, times(root.mT, cotangent)) / 2, inverse.mT)
    return (change + change.mT) / 2


@with_rule(push=_root_push, pull=_root_pull)
def _root(matrix: Array) -> Array:
    """All columns: those of eigenvalues that a rounding of the matrix may have made are 0."""
    with enable_x64(True):
        found = _decomposed(matrix)
        eps = float(jnp.finfo(matrix.dtype).eps)
        limit = (4 * matrix.shape[-1] * eps) * jnp.max(jnp.abs(found.values), axis=-1, keepdims=True)
        lengths = jnp.sqrt(jnp.where(found.values > limit, found.values, 0.0))
        root = jnp.flip(found.vectors * (_signs(found.vectors) * lengths)[..., None, :], -1)
        return (root * jnp.sqrt(found.power)).astype(matrix.dtype)


def _signs(vectors: Array) -> Array:
    """The sign of the largest entry of each column."""
    size = jnp.abs(vectors)
    largest = jnp.sum(jnp.where(size == jnp.max(size, axis=-2, keepdims=True), vectors, 0.0), axis=-2)
    return jnp.where(largest < 0, -1.0, jnp.ones_like(largest))


def _unrooted(root: Array) -> Array:
    """B (B^T B)^-1 for orthogonal columns; 0 where a column is."""
    squares = jnp.sum(root * root, axis=-2, keepdims=True)
    return jnp.where(squares > 0, root / jnp.where(squares > 0, squares, 1.0), 0.0)


def _rebuilt(found: Spectrum, values: Array) -> Array:
    return mirrored(times(found.vectors * values[..., None, :], found.vectors.mT))


def _above(found: Spectrum, height: Array) -> Array:
    """What the scaled matrix has above a floor, from the `height` of its eigenvalues above that, and eigenvectors V.

    V misses by a rounding: V^T S V = D + F and V^T V = 1 + G, with F and G found by sums of more digits. The result is
    V f(D) V^T and a correction of first order, in which the eigenvalues near the floor are a matrix of their own.
    """
    v, values = found.vectors, found.values
    rows = v.mT
    unit = with_diagonal(jnp.zeros_like(v), jnp.ones_like(values))

    def spread(entries: Array) -> Array:
        return jnp.broadcast_to(entries, (*v.shape, entries.shape[-1]))

    def joined(*parts: Array) -> Array:
        return jnp.concatenate(parts, axis=-1)

    left = joined(spread(found.scaled[..., :, None, :]), v[..., None])
    right = joined(spread(rows[..., None, :, :]), spread(-values[..., None, :, None]))
    upper, rest = paired_sum(left, right)
    missing = upper + rest
    left = joined(spread(rows[..., :, None, :]), -unit[..., None])
    right = joined(spread(rows[..., None, :, :]), spread(jnp.ones_like(values)[..., None, :, None]))
    upper, rest = paired_sum(left, right)
    gram = upper + rest
    change = times(rows, missing) + (gram * values[..., None, :] - values[..., :, None] * gram) / 2
    change = (change + change.mT) / 2
    near = jnp.abs(height) <= NEAR
    active = (height + diagonal(change) > 0) & ~near
    kept = jnp.where(active, height, 0.0)
    both = near[..., :, None] & near[..., None, :]
    apart = values[..., :, None] - values[..., None, :]
    share = (kept[..., :, None] - kept[..., None, :]) / jnp.where(apart == 0, 1.0, apart)
    share = jnp.where(
        active[..., :, None] & active[..., None, :], 1.0, jnp.where(active[..., :, None] | active[..., None, :], share, 0.0)
    )
    inner_values, inner_vectors = _eigh(jnp.where(both, with_diagonal(change, diagonal(change) + height), 0.0) / NEAR)
    inner = times(inner_vectors * (NEAR * jnp.where(inner_values > 0, inner_values, 0.0))[..., None, :], inner_vectors.mT)
    middle = jnp.where(both, inner, change * share) - (gram * kept[..., None, :] + kept[..., :, None] * gram) / 2
    high, low = _halves(v)
    kept_high, kept_low = (part[..., None, :] for part in _halves(kept))
    scaled = joined(high * kept_high, high * kept_low, low * kept_high, low * kept_low)
    upper, rest = paired_sum(joined(v, v, v, v)[..., :, None, :], scaled[..., None, :, :])
    return mirrored(upper + (rest + times(times(v, middle), rows)))


def _halves(x: Array) -> tuple[Array, Array]:
    head = half_digits(x)
    return head, x - head
