"""Products of matrices that are rounded about once, and to twice the precision."""

from math import ceil, log2

import jax.numpy as jnp
from jax import Array, enable_x64, lax

from jax_impl.kernels.elementary import half_digits, two_sum
from jax_impl.kernels.exact_sums import products, sum_exactly

Pair = tuple[Array, Array]

WIDEST = 24
"""The largest side of a matrix whose products are added up exactly; a constant of speed."""


def gram(matrix: Array) -> Array:
    """A A^T, rounded about once even where the entries cancel: each of them exactly up to WIDEST rows."""
    if matrix.dtype == jnp.float32:
        with enable_x64(True):
            return _plain_gram(matrix.astype(jnp.float64)).astype(matrix.dtype)
    if matrix.shape[-1] > WIDEST:
        head, tail = product((matrix, jnp.zeros_like(matrix)), (matrix.mT, jnp.zeros_like(matrix.mT)))
        return head + tail
    head = half_digits(matrix)
    rest = matrix - head
    left, right = (head[..., :, None, :], rest[..., :, None, :]), (head[..., None, :, :], rest[..., None, :, :])
    total, error = sum_exactly(products(*left, *right))
    return (total + error)[..., 0]


def _plain_gram(matrix: Array) -> Array:
    """`gram` in float64, for numbers that come from float32: their products are exact, and of the sums the errors are kept."""
    if matrix.shape[-1] > WIDEST:
        head, tail = product((matrix, jnp.zeros_like(matrix)), (matrix.mT, jnp.zeros_like(matrix.mT)))
        return head + tail
    # twin: eager torch on the CPU looks whether an entry cancels; traced programs cannot, and here it costs little.
    matrix = jnp.moveaxis(matrix, (-2, -1), (0, 1))
    total, lost = matrix[:, None, 0] * matrix[None, :, 0], 0.0
    for k in range(1, matrix.shape[1]):
        total, error = two_sum(total, matrix[:, None, k] * matrix[None, :, k])
        lost = lost + error
    return jnp.moveaxis(total + lost, (0, 1), (-2, -1))


def small_gram(matrix: Array) -> Array:
    """A A^T of small matrices along the first two axes, with these as the last two.

    The batch is innermost: XLA has no fast product of many small float64 matrices.
    """
    total = matrix[:, None, 0] * matrix[None, :, 0]
    for k in range(1, matrix.shape[1]):
        total = total + matrix[:, None, k] * matrix[None, :, k]
    return jnp.moveaxis(total, (0, 1), (-2, -1))


def product(a: Pair, b: Pair) -> Pair:
    """A B of matrices as a number and its rounding error each, to twice the digits of the largest entries of their rows
    and columns.
    """
    first, second, rest = _cut_twice(a)
    across, other, left = (part.mT for part in _cut_twice((b[0].mT, b[1].mT)))
    total, error = two_sum(_times(first, other), _times(second, across))
    head, lost = two_sum(_times(first, across), total)
    small = _times(second, other) + (_times(rest, b[0]) + _times(first + second, left))
    return two_sum(head, lost + (error + small))


def _cut_twice(a: Pair) -> tuple[Array, Array, Array]:
    first, rest = _cut(a[0])
    second, rest = _cut(rest)
    return first, second, rest + a[1]


def _cut(matrix: Array) -> tuple[Array, Array]:
    """Rows as head + tail, exactly; heads are multiples of a number so large that sums of their products are exact."""
    # twin: XLA computes a product anew for head and tail, and may round it in one of them only after the sum: JAX bars that.
    matrix = jnp.where(matrix == matrix, matrix, jnp.nan)
    digits = 24 if matrix.dtype == jnp.float32 else 53
    kept = (digits - ceil(log2(max(matrix.shape[-1], 2)))) // 2 - 1
    largest = lax.stop_gradient(jnp.max(jnp.abs(matrix), axis=-1, keepdims=True))
    grid = jnp.minimum(largest * 2.0 ** (digits - kept), jnp.finfo(matrix.dtype).max / 8)
    head = (grid + matrix) - grid
    return head, matrix - head


def _times(a: Array, b: Array) -> Array:
    # twin: JAX is told to multiply float32 in full, which accelerators do not by default.
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
