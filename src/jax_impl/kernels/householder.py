"""Products of reflections H_1 ... H_r D, in the compact form (I - U T U^T) D, and the vectors of such a product.

u_j = (0, .., 0, 1, half of the entries of column j of raw below the diagonal): no vector can be 0, whatever raw becomes.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.linalg import solve_triangular

from jax_impl.kernels.triangles import fill_strict, take_strict


def column_triangle(raw: Array, n: int, k: int) -> Array:
    """The n by k matrix with the entries (i, j), j < min(i, k), of raw row by row, and 0 on and above the diagonal."""
    square = k * (k - 1) // 2
    upper = fill_strict(raw[..., :square], k)
    return jnp.concatenate([upper, raw[..., square:].reshape(*raw.shape[:-1], n - k, k)], axis=-2)


def take_columns(matrix: Array) -> Array:
    """The entries (i, j), j < min(i, k), of an n by k matrix, row by row."""
    n, k = matrix.shape[-2:]
    below = matrix[..., k:, :].reshape(*matrix.shape[:-2], (n - k) * k)
    return jnp.concatenate([take_strict(matrix[..., :k, :]), below], axis=-1)


def reflected(raw: Array, n: int, k: int) -> Array:
    """The first k columns of H_1 ... H_r D, r = min(k, n - 1); D turns the first r signs, so that raw = 0 gives I."""
    count = min(k, n - 1)
    one = jnp.eye(n, dtype=raw.dtype)
    u = column_triangle(raw, n, k)[..., :count] / 2 + one[:, :count]
    u = u / lax.stop_gradient(jnp.max(jnp.abs(u), axis=-2, keepdims=True))
    u = u / jnp.sqrt(jnp.sum(u * u, axis=-2, keepdims=True))
    between = jnp.swapaxes(u, -1, -2) @ u
    inner = jnp.triu(between, 1) + one[:count, :count] / 2
    ahead = solve_triangular(inner, jnp.swapaxes(u[..., :k, :], -1, -2))
    return (one[:, :k] - u @ ahead) * _signs(count, k, raw)


def unreflected(value: Array) -> Array:
    """Raw of the value: each column gives its vector, whose reflection then clears it. nan where an entry would be infinite.

    # twin: JAX scans over whole matrices with masks, torch loops over what is left of the matrix.
    """
    n, k = value.shape[-2:]
    count = min(k, n - 1)
    rows, columns = np.arange(n), np.arange(k)

    def cleared(rest: Array, j: Array) -> tuple[Array, Array]:
        column = jnp.sum(jnp.where(columns == j, rest, 0.0), axis=-1)
        head, below = jnp.sum(jnp.where(rows == j, column, 0.0), axis=-1, keepdims=True), jnp.where(rows > j, column, 0.0)
        square = jnp.sum(below * below, axis=-1, keepdims=True)
        pivot = _pivot(head, square)
        normal = jnp.where(rows == j, pivot, below)
        along = jnp.sum(normal[..., :, None] * rest, axis=-2) * (2 / (pivot * pivot + square))
        return rest - normal[..., :, None] * along[..., None, :], below / pivot

    vectors = jnp.moveaxis(lax.scan(cleared, value, jnp.arange(count))[1], 0, -1)
    vectors = jnp.concatenate([vectors, jnp.zeros((*vectors.shape[:-1], k - count), value.dtype)], axis=-1)
    raw = 2 * take_columns(vectors)
    far = jnp.any(jnp.abs(raw) > 1 / (4 * jnp.finfo(value.dtype).eps), axis=-1, keepdims=True)
    return jnp.where(far, jnp.nan, raw)


def log_reflected_volume(raw: Array, n: int) -> Array:
    """-sum over the columns of m log(1 + |column|^2/4), m the number of entries of the column."""
    halves = column_triangle(raw, n, n) / 2
    largest = lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(halves), axis=-2, keepdims=True), 1.0))
    squares = jnp.sum((halves / largest) ** 2, axis=-2)
    size = largest[..., 0, :]
    logs = jnp.log1p(squares + (1 / size - 1) * (1 / size + 1)) + 2 * jnp.log(size)
    count = jnp.arange(n - 1, -1, -1, dtype=raw.dtype)
    return -jnp.sum(count * logs, axis=-1)


def _pivot(head: Array, square: Array) -> Array:
    """1 + head, where head^2 + square = 1: near head = -1 the entries below it know it to more digits. nan for 0."""
    pivot = jnp.where(head < -0.5, square / (1 - jnp.minimum(head, -0.5)), 1 + head)
    return jnp.where(pivot == 0, jnp.nan, pivot)


def _signs(count: int, k: int, like: Array) -> Array:
    return jnp.where(jnp.arange(k) < count, -1.0, 1.0).astype(like.dtype)
