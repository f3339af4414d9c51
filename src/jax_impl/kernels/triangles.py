"""Flat lower triangles, row by row, and the square matrices that hold them, with 0 elsewhere."""

import jax.numpy as jnp
from jax import Array

from isoparam.specs.places import triangle_places
from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.sums import after


@with_rule(
    push=lambda x, side, y, tangent: _scattered(tangent, side, 0),
    pull=lambda x, side, y, cotangent: _taken(cotangent, 0),
    keeps_value=False,
)
def _lower(x: Array, side: int) -> Array:
    return _filled(x, side, 0)


@with_rule(
    push=lambda x, side, y, tangent: _scattered(tangent, side, 1),
    pull=lambda x, side, y, cotangent: _taken(cotangent, 1),
    keeps_value=False,
)
def _strict(x: Array, side: int) -> Array:
    return _filled(x, side, 1)


def fill_lower(x: Array, side: int) -> Array:
    """The `side` by `side` matrix with the last axis of x in its lower triangle, diagonal included, and 0 above it."""
    assert x.shape[-1] == side * (side + 1) // 2
    return _lower(x, side)


def fill_strict(x: Array, side: int) -> Array:
    """The `side` by `side` matrix with the last axis of x below its diagonal, and 0 on and above it."""
    assert x.shape[-1] == side * (side - 1) // 2
    return _strict(x, side)


def take_lower(matrix: Array) -> Array:
    """The entries of the lower triangle, diagonal included, along one last axis."""
    return _taken(matrix, 0)


def take_strict(matrix: Array) -> Array:
    """The entries below the diagonal along one last axis."""
    return _taken(matrix, 1)


def below(matrix: Array, offset: int = 0) -> Array:
    """Where a square matrix has its lower triangle: from the diagonal, or (`offset` = 1) from the entries below it."""
    row = jnp.arange(matrix.shape[-1])
    return row[:, None] - offset >= row


def mirrored(lower: Array) -> Array:
    """The symmetric matrix with this lower triangle, whatever stands above the diagonal."""
    return jnp.where(below(lower), lower, lower.mT)


def symmetric_part(matrix: Array) -> Array:
    """(A + A^T)/2, rounded once: halved first only where the sum overflows, since that loses subnormal digits."""
    total = matrix + matrix.mT
    return jnp.where(jnp.isfinite(total), total / 2, matrix / 2 + matrix.mT / 2)


def skew_part(matrix: Array) -> Array:
    """(A - A^T)/2, rounded once."""
    total = matrix - matrix.mT
    return jnp.where(jnp.isfinite(total), total / 2, matrix / 2 - matrix.mT / 2)


def largest_entry(matrix: Array) -> Array:
    """The largest |entry| of each matrix."""
    return jnp.max(jnp.abs(matrix), axis=(-2, -1))


def _filled(x: Array, side: int, below: int) -> Array:
    entry, _ = triangle_places(side, below)
    # twin: a gather by torch's index_select, the fastest of its gathers; JAX's derivative is a scatter, which it transposes.
    return after(x).at[..., entry].get(mode="promise_in_bounds", wrap_negative_indices=False).reshape(*x.shape[:-1], side, side)


def _scattered(x: Array, side: int, below: int) -> Array:
    """`_filled`, as what turns into the gather `_taken` by transposition."""
    _, place = triangle_places(side, below)
    # Made of x, so that zeros lie on the same devices where a program shards its arrays explicitly.
    flat = jnp.broadcast_to(jnp.zeros_like(jnp.sum(x, axis=-1, keepdims=True)), (*x.shape[:-1], side * side))
    flat = flat.at[..., place].set(
        x, mode="promise_in_bounds", wrap_negative_indices=False, unique_indices=True, indices_are_sorted=True
    )
    return flat.reshape(*x.shape[:-1], side, side)


def _taken(matrix: Array, below: int) -> Array:
    _, place = triangle_places(matrix.shape[-1], below)
    flat = matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2)
    return flat.at[..., place].get(
        mode="promise_in_bounds", wrap_negative_indices=False, unique_indices=True, indices_are_sorted=True
    )
