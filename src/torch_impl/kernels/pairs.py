"""Matrices as unevaluated sums of two: about 100 bits, for small matrices whose results must not feel a condition number."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import half_digits, two_sum
from torch_impl.kernels.sums import on_one_grid

Pair = tuple[Array, Array]

WIDEST = 16
"""The largest side of a matrix that is computed to more digits than its dtype has; a constant of speed, not of accuracy."""

_SLICE = 2.0**29  # leaves 24 bits: products of such numbers have 48, and 16 of them add up without rounding


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function compute in float64 whatever the settings of the program are.

    # twin: JAX forbids float64 in most programs, and allows it for the time of a block; torch always has it.
    """
    return function


def product(a: Pair, b: Pair) -> Pair:
    """a b, to 2^-100 of the largest entries of the rows of a and the columns of b."""
    a_first, a_next, a_rest = _slices(a)
    b_first, b_next, b_rest = (_turned(part) for part in _slices((_turned(b[0]), _turned(b[1]))))
    total, error = two_sum(a_first @ b_next, a_next @ b_first)
    head, lost = two_sum(a_first @ b_first, total)
    rest = a_next @ b_next + (a_rest @ b[0] + (a_first + a_next) @ b_rest)
    return two_sum(head, lost + (error + rest))


def inverse(a: Pair, steps: int) -> Pair:
    """The inverse of a, by that of its head and Newton's iteration X <- X + X (I - a X) with residuals to twice the digits."""
    one = torch.eye(a[0].shape[-1], dtype=a[0].dtype, device=a[0].device)
    head = torch.linalg.inv_ex(a[0]).inverse  # unlike inv it never raises, which code under vmap and compile must not
    rest = torch.zeros_like(head)
    for _ in range(steps):
        there, there_rest = product(a, (head, rest))
        residual = (one - there) - there_rest
        total, lost = two_sum(head, head @ residual)
        head, rest = two_sum(total, lost + rest)
    return head, rest


def minors(rows: tuple[Array, Array], a: Pair) -> Array:
    """The 2 by 2 minors of a, each from the two rows and the two columns of an entry below the diagonal.

    They map the strict lower triangle of a skew matrix Z to that of a Z a^T: what cancels there cancels here, and exactly.
    """
    low, high = rows
    straight = _times(_picked(a, low, low), _picked(a, high, high))
    crossed = _times(_picked(a, low, high), _picked(a, high, low))
    total, lost = two_sum(straight[0], -crossed[0])
    return total + (lost + (straight[1] - crossed[1]))


def small_product(a: Array, b: Array) -> Array:
    """a b in the digits of its dtype."""
    # twin: JAX multiplies entry by entry, which it transposes under any setting of float64; torch calls BLAS.
    return a @ b


def _slices(a: Pair) -> tuple[Array, Array, Array]:
    first, rest = on_one_grid(a[0], _SLICE)
    following, rest = on_one_grid(rest, _SLICE)
    return first, following, rest + a[1]


def _turned(a: Array) -> Array:
    return torch.transpose(a, -1, -2)


def _picked(a: Pair, rows: Array, columns: Array) -> Pair:
    return _at(a[0], rows, columns), _at(a[1], rows, columns)


def _at(a: Array, rows: Array, columns: Array) -> Array:
    return torch.index_select(torch.index_select(a, -2, rows), -1, columns)


def _times(a: Pair, b: Pair) -> Pair:
    """a b entry by entry, as an exact product of halves and the rest."""
    a_head, b_head = half_digits(a[0]), half_digits(b[0])
    a_rest, b_rest = (a[0] - a_head) + a[1], (b[0] - b_head) + b[1]
    return a_head * b_head, a_head * b_rest + a_rest * b_head + a_rest * b_rest
