"""Products of matrices that are rounded about once, and to twice the precision."""

from math import ceil, log2

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import half_digits, two_sum
from torch_impl.kernels.exact_sums import products, sum_exactly
from torch_impl.kernels.sums import doubled, in_sight

Pair = tuple[Array, Array]

WIDEST = 24
"""The largest side of a matrix whose products are added up exactly; a constant of speed."""


def gram(matrix: Array) -> Array:
    """A A^T, rounded about once even where the entries cancel: each of them exactly up to WIDEST rows."""
    if doubled(matrix):
        return _plain_gram(matrix.double()).to(matrix.dtype)
    if matrix.shape[-1] > WIDEST:
        head, tail = product((matrix, torch.zeros_like(matrix)), (matrix.mT, torch.zeros_like(matrix.mT)))
        return head + tail
    head = half_digits(matrix)
    rest = matrix - head
    left, right = (head[..., :, None, :], rest[..., :, None, :]), (head[..., None, :, :], rest[..., None, :, :])
    total, error = sum_exactly(products(*left, *right))
    return (total + error)[..., 0]


def _plain_gram(matrix: Array) -> Array:
    """`gram` in float64, for numbers that come from float32: their products are exact, and of the sums the errors are kept."""
    total = matrix @ matrix.mT
    # twin: eager torch on the CPU looks whether an entry cancels; traced programs cannot, and here it costs little.
    if in_sight(matrix):
        square = torch.diagonal(total, dim1=-2, dim2=-1)
        if not torch.any(total * total < (square * 2.0**-48)[..., :, None] * square[..., None, :]):
            return total
    head, tail = product((matrix, torch.zeros_like(matrix)), (matrix.mT, torch.zeros_like(matrix.mT)))
    return head + tail


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
    digits = 24 if matrix.dtype == torch.float32 else 53
    kept = (digits - ceil(log2(max(matrix.shape[-1], 2)))) // 2 - 1
    largest = torch.amax(torch.abs(matrix), dim=-1, keepdim=True).detach()
    grid = torch.clamp(largest * 2.0 ** (digits - kept), max=torch.finfo(matrix.dtype).max / 8)
    head = (grid + matrix) - grid
    return head, matrix - head


def _times(a: Array, b: Array) -> Array:
    # twin: JAX is told to multiply float32 in full, which accelerators do not by default.
    return a @ b
