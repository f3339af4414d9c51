"""Products of reflections H_1 ... H_r D, in the compact form (I - U T U^T) D, and the vectors of such a product.

u_j = (0, .., 0, 1, half of the entries of column j of raw below the diagonal): no vector can be 0, whatever raw becomes.
"""

import jax.numpy as jnp
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
    """Raw of the value: I - Q D = L R without row exchanges, where L has the vectors. nan where an entry would be infinite."""
    n, k = value.shape[-2:]
    count = min(k, n - 1)
    one = jnp.eye(n, dtype=value.dtype)
    rest = one[:, :k] - value * _signs(count, k, value)
    vectors = []
    for j in range(count):
        pivot = rest[..., j : j + 1, j]
        vectors.append(rest[..., j] / jnp.where(pivot == 0, jnp.nan, pivot))
        rest = rest - vectors[-1][..., :, None] * rest[..., None, j, :]
    vectors.extend([jnp.zeros_like(value[..., 0])] * (k - count))
    raw = 2 * take_columns(jnp.stack(vectors, axis=-1))
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


def _signs(count: int, k: int, like: Array) -> Array:
    return jnp.where(jnp.arange(k) < count, -1.0, 1.0).astype(like.dtype)
