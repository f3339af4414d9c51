"""The nearest correlation matrix, by Newton's method on the dual problem (Qi and Sun 2006; Borsdorf and Higham 2010).

X = (G + diag(y))_+ with the y for which X has the diagonal 1: the minimum of |(G + diag(y))_+|^2/2 - sum(y). All is divided
by the size of G, so that the diagonal is `level` = 1/size, to which the search goes down from 1. The last steps know y and the
positive part to twice the digits, since the part that is left is `level` times smaller than what it is computed from.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import power_below, two_sum
from jax_impl.kernels.pairs import in_float64
from jax_impl.kernels.products import product
from jax_impl.kernels.triangles import symmetric_part

_STEPS = 40
_FALL = 4.0
"""By how much the level falls where the search is as near to it as that; then 20 to 35 steps lead to the smallest."""
_POLISHING = 3
_DENSE = 32
"""The largest side whose matrix of slopes is formed, in N^4 operations; beyond, conjugate gradients, of N^3 each."""
_GRADIENTS = 200
_SMALLEST_LEVEL = 2.0**-30
_SMALLEST_GAP = 1e-11
_CLOSE = 1e-6


class _Search(NamedTuple):
    """Where the search stands: the level asked for at present, the point y, the function there, the direction from it, the
    slope along it, the step, and whether what the diagonal misses at y is rounding.
    """

    level: Array
    y: Array
    height: Array
    direction: Array
    slope: Array
    step: Array
    settled: Array


@in_float64
def nearest_correlation(point: Array) -> Array:
    """The correlation matrix nearest to the symmetric part in the Frobenius norm; nan where an entry is not finite."""
    return _nearest(point)


@in_float64
def _moved(point: Array, change: Array) -> Array:
    """The derivative of the projection, which is symmetric: that of the positive part, along y too as the diagonal stays."""
    _, matrix, level = _scaled(point)
    values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(_found(point)))
    wide = change.astype(jnp.float64)
    wide = (wide + wide.mT) / 2
    moved = _part_moved(values, vectors, wide)
    missing = jnp.sum(moved - _with_diagonal(moved, 0.0), axis=-1)
    wide = wide - _diagonal_of(_solved_at_once(values, vectors, missing, level))
    return _with_diagonal(_part_moved(values, vectors, wide) * level[..., None], 0.0).astype(change.dtype)


@with_rule(push=lambda x, y, tangent: _moved(x, tangent), pull=lambda x, y, cotangent: _moved(x, cotangent))
@in_float64
def _nearest(point: Array) -> Array:
    finite, matrix, level = _scaled(point)
    y, rest = _found(point), jnp.zeros_like(matrix[..., 0])
    for _ in range(_POLISHING):
        values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(y))
        part = _positive_part(matrix, (y, rest), values, vectors)
        missing = jnp.diagonal(part, axis1=-2, axis2=-1) - level
        y, lost = two_sum(y, -_solved(values, vectors, missing, level))
        y, rest = two_sum(y, lost + rest)
    values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(y))
    part = _positive_part(matrix, (y, rest), values, vectors)
    found = jnp.all(jnp.abs(jnp.diagonal(part, axis1=-2, axis2=-1) - level) <= _CLOSE * level, axis=-1)[..., None, None]
    # The diagonal is 1 to rounding, and is made so.
    root = jnp.sqrt(jnp.diagonal(part, axis1=-2, axis2=-1))
    part = jnp.clip(part / (root[..., None] * root[..., None, :]), -1.0, 1.0)
    return jnp.where(finite & found, _with_diagonal(part, 1.0), jnp.nan).astype(point.dtype)


def _scaled(point: Array) -> tuple[Array, Array, Array]:
    """Whether a matrix is finite, its symmetric part without the diagonal, divided by its size, and the level."""
    matrix = symmetric_part(point.astype(jnp.float64))
    finite = jnp.all(jnp.all(jnp.isfinite(matrix), axis=-1), axis=-1)[..., None, None]
    matrix = jnp.where(finite, _with_diagonal(matrix, 0.0), 0.0)
    size = jnp.maximum(power_below(matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2)), 1.0)
    return finite, matrix / size[..., None], jnp.maximum(1 / size, _SMALLEST_LEVEL)


@in_float64
def _found_push(point: Array, y: Array, tangent: Array) -> Array:
    """What keeps the diagonal of the positive part while the matrix moves."""
    _, matrix, level = _scaled(point)
    values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(y))
    wide = tangent.astype(jnp.float64)
    wide = _with_diagonal((wide + wide.mT) / 2, 0.0) * level[..., None]
    moved = _part_moved(values, vectors, wide)
    return -_solved_at_once(values, vectors, jnp.sum(moved - _with_diagonal(moved, 0.0), axis=-1), level)


@in_float64
def _found_pull(point: Array, y: Array, cotangent: Array) -> Array:
    _, matrix, level = _scaled(point)
    values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(y))
    moved = _part_moved(values, vectors, _diagonal_of(_solved_at_once(values, vectors, cotangent, level)))
    return (-_with_diagonal(moved, 0.0) * level[..., None]).astype(point.dtype)


@with_rule(push=_found_push, pull=_found_pull)
@in_float64
def _found(point: Array) -> Array:
    """y to the precision of float64."""
    _, matrix, level = _scaled(point)
    one, zero = jnp.ones_like(level), jnp.zeros_like(level)
    y = jnp.broadcast_to(one, matrix.shape[:-1])
    search = _Search(one, y, zero + jnp.inf, jnp.zeros_like(y), zero, zero, zero > 0)

    def step(state: tuple[Array, _Search]) -> tuple[Array, _Search]:
        return state[0] + 1, _stepped(matrix, level, state[1])

    # twin: a Python loop in torch, of a fixed number of steps where vmap and compile want it; a loop of XLA in JAX.
    return lax.while_loop(lambda state: (state[0] < _STEPS) & ~jnp.all(state[1].settled), step, (jnp.int32(0), search))[1].y


def _stepped(matrix: Array, level: Array, search: _Search) -> _Search:
    """Try the step: take it where the function falls enough, and halve it elsewhere; a settled search stays as it is.

    Newton's method finds the way from one level to the next lower one, not from 1 to a small level at once.
    """
    y = search.y + search.step * search.direction
    values, vectors = jnp.linalg.eigh(matrix + _diagonal_of(y))
    positive = jnp.maximum(values, 0.0)
    square, total = jnp.sum(positive**2, axis=-1, keepdims=True), jnp.sum(y, axis=-1, keepdims=True)
    height = square / 2 - search.level * total
    slack = 1e-15 * (jnp.abs(height) + square)
    taken = ~search.settled & (height <= search.height + 1e-4 * search.step * search.slope + slack)
    held = jnp.sum(vectors**2 * positive[..., None, :], axis=-1)
    near = jnp.max(jnp.abs(held - search.level), axis=-1, keepdims=True) <= search.level / _FALL
    following = jnp.where(near, jnp.maximum(search.level / _FALL, level), search.level)
    missing = held - following
    direction = -_solved(values, vectors, missing, following)
    rounding = 1e-16 * matrix.shape[-1] * jnp.max(jnp.abs(values), axis=-1, keepdims=True)
    settled = taken & (following == level) & (jnp.max(jnp.abs(missing), axis=-1, keepdims=True) <= rounding)
    return _Search(
        jnp.where(taken, following, search.level),
        jnp.where(taken, y, search.y),
        jnp.where(taken, square / 2 - following * total, search.height),
        jnp.where(taken, direction, search.direction),
        jnp.where(taken, jnp.sum(direction * missing, axis=-1, keepdims=True), search.slope),
        jnp.where(taken, 1.0, search.step / 2),
        search.settled | settled,
    )


def _weights(values: Array) -> Array:
    """The divided differences of max(value, 0) between any two eigenvalues."""
    positive = jnp.maximum(values, 0.0)
    up, across = values[..., :, None] > 0, values[..., None, :] > 0
    size = jnp.abs(values)[..., :, None] + jnp.abs(values)[..., None, :]
    mixed = jnp.maximum(positive[..., :, None], positive[..., None, :]) / jnp.where(size > 0, size, 1.0)
    return jnp.where(up & across, 1.0, jnp.where(up | across, mixed, 0.0))


def _slopes(values: Array, vectors: Array) -> Array:
    """The derivative of the diagonal of the positive part with respect to y."""
    pairs = vectors[..., :, :, None] * vectors[..., :, None, :]
    flat = pairs.reshape(*pairs.shape[:-2], pairs.shape[-1] ** 2)
    weights = _weights(values)
    return (flat * weights.reshape(*weights.shape[:-2], 1, weights.shape[-1] ** 2)) @ flat.mT


def _part_moved(values: Array, vectors: Array, change: Array) -> Array:
    """The derivative of the positive part along a symmetric change."""
    inner = _small_product(_small_product(vectors.mT, change), vectors)
    return _small_product(_small_product(vectors, _weights(values) * inner), vectors.mT)


def _small_product(a: Array, b: Array) -> Array:
    """a b in the digits of its dtype."""
    # twin: JAX multiplies entry by entry, which it transposes under any setting of float64; torch calls BLAS.
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def _solved(values: Array, vectors: Array, missing: Array, level: Array) -> Array:
    """slopes^-1 missing; a little is added to the diagonal, for slopes that are singular far from the solution."""
    if values.shape[-1] > _DENSE:
        # twin: JAX transposes the derivative, which a loop of open end forbids: it forms the slopes there.
        return _by_gradients(values, vectors, missing, 1e-12 * level)
    return _solved_at_once(values, vectors, missing, level)


def _solved_at_once(values: Array, vectors: Array, missing: Array, level: Array) -> Array:
    one = jnp.eye(values.shape[-1], dtype=values.dtype)
    inverse = jnp.linalg.inv(_slopes(values, vectors) + 1e-12 * level[..., None] * one)
    return jnp.sum(inverse * missing[..., None, :], axis=-1)


def _by_gradients(values: Array, vectors: Array, missing: Array, damping: Array) -> Array:
    """`_solved` by conjugate gradients, for as many steps as the slowest matrix of the batch takes."""
    weights, squares = _weights(values), vectors**2
    scale = jnp.sum((squares @ weights) * squares, axis=-1) + damping  # the diagonal of the slopes

    def slopes_times(h: Array) -> Array:
        inner = weights * (vectors.mT @ (h[..., None] * vectors))
        return jnp.sum((vectors @ inner) * vectors, axis=-1) + damping * h

    along = missing / scale
    size = jnp.sum(missing * along, axis=-1, keepdims=True)
    enough = 1e-24 * size

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, x, left, along, before = state
        image = slopes_times(along)
        bend = jnp.sum(along * image, axis=-1, keepdims=True)
        step = jnp.where((before > enough) & (bend > 0), before / jnp.where(bend > 0, bend, 1.0), 0.0)
        x, left = x + step * along, left - step * image
        size = jnp.sum(left * left / scale, axis=-1, keepdims=True)
        along = left / scale + (size / jnp.where(before > 0, before, 1.0)) * along
        return k + 1, x, left, along, size

    # twin: a Python loop in torch, of a fixed number of steps where vmap and compile want it; a loop of XLA in JAX.
    first = (jnp.int32(0), jnp.zeros_like(missing), missing, along, size)
    return lax.while_loop(lambda state: (state[0] < _GRADIENTS) & ~jnp.all(state[4] <= enough), step, first)[1]


def _positive_part(matrix: Array, y: tuple[Array, Array], values: Array, vectors: Array) -> Array:
    """(matrix + diag(y))_+ from rounded eigenvectors Q, with the subspaces of either sign corrected once: Q + Q E.

    S = Q^T A Q and R = 1 - Q^T Q come to twice the digits, so that what E leaves is of second order (Ogita and Aishima 2018).
    """
    zero = jnp.zeros_like(vectors)
    whole = (matrix + _diagonal_of(y[0]), _diagonal_of(y[1]))
    head, tail = product((vectors.mT, zero), product(whole, (vectors, zero)))
    turned = head + tail
    head, tail = product((vectors.mT, zero), (vectors, zero))
    apart = (jnp.eye(vectors.shape[-1], dtype=vectors.dtype) - head) - tail
    up = values > 0
    same = up[..., :, None] == up[..., None, :]
    gap = values[..., None, :] - values[..., :, None]
    wide = ~same & (jnp.abs(gap) > _SMALLEST_GAP)
    change = jnp.where(wide, (turned + values[..., None, :] * apart) / jnp.where(wide, gap, 1.0), apart / 2)
    kept = up[..., None, :]
    change, turned_change = jnp.where(kept, change, 0.0), turned @ jnp.where(kept, change, 0.0)
    inner = turned + (turned_change + turned_change.mT) + change.mT @ turned_change
    inner = jnp.where(up[..., :, None] & kept, inner, 0.0)
    frame = jnp.where(kept, vectors, 0.0)
    moved = vectors @ change
    mixed = moved @ inner @ frame.mT
    part = frame @ inner @ frame.mT + (mixed + mixed.mT)
    return (part + part.mT) / 2


def _diagonal_of(y: Array) -> Array:
    return y[..., None] * jnp.eye(y.shape[-1], dtype=y.dtype)


def _with_diagonal(matrix: Array, entry: float) -> Array:
    row = jnp.arange(matrix.shape[-1])
    return jnp.where(row[:, None] == row, entry, matrix)
