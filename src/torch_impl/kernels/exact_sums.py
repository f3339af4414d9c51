"""Sums along the last axis to twice the precision and more, for differences that cancel."""

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import half_digits, two_sum
from torch_impl.kernels.sums import on_one_grid

_GRIDS = 4


def sum_exactly(x: Array) -> tuple[Array, Array]:
    """Sum along the last axis, which is kept, as a number and its rounding error: right even where the entries cancel."""
    return _joined([torch.sum(part, dim=-1, keepdim=True) for part in _on_grids(x)])


def cumsum_exactly(x: Array) -> tuple[Array, Array]:
    """Cumulative sum along the last axis, each a number and its rounding error, right even where the entries cancel."""
    return _joined([torch.cumsum(part, dim=-1) for part in _on_grids(x)])


def products(head: Array, rest: Array, factor_head: Array, factor_rest: Array) -> Array:
    """(head + rest) (factor_head + factor_rest) as four exact products one behind the other, for halves of the digits."""
    return torch.cat([head * factor_head, head * factor_rest, rest * factor_head, rest * factor_rest], dim=-1)


def squares(x: Array) -> Array:
    """Entries whose exact sum is that of the squares of x."""
    head = half_digits(x)
    rest = x - head
    return torch.cat([head * head, 2 * head * rest, rest * rest], dim=-1)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b as a number and its rounding error. Only exact products are added, which a fused multiply-add leaves alone."""
    a_head, b_head = half_digits(a), half_digits(b)
    a_rest, b_rest = a - a_head, b - b_head
    total, error = two_sum(a_head * b_head, a_head * b_rest)
    total, last = two_sum(total, a_rest * b_head)
    return total, (error + last) + a_rest * b_rest


def _on_grids(x: Array) -> list[Array]:
    """x in parts that add up to it; the sum of each but the last is exact, in any order."""
    parts = []
    for _ in range(_GRIDS - 1):
        head, x = on_one_grid(x, 4.0 * x.shape[-1])
        parts.append(head)
    return [*parts, x]


def _joined(parts: list[Array]) -> tuple[Array, Array]:
    """The sum of numbers of falling size, as a number and its rounding error."""
    total, error = parts[-1], torch.zeros_like(parts[-1])
    for part in reversed(parts[:-1]):
        total, lost = two_sum(part, total)
        error = error + lost
    return two_sum(total, error)
