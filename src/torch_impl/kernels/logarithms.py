"""Logarithms to twice the precision, for sums of them that cancel."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.specs.logarithms import FINENESS, FIRST
from torch_impl.constants import log_table_like
from torch_impl.kernels.elementary import log, mantissa_and_exponent, two_sum
from torch_impl.kernels.exact_sums import two_product

_ROOT_HALF = 0.7071067811865476


def log_twice(x: Array) -> tuple[Array, Array]:
    """log x as a number and its rounding error; the error is not differentiated, and 0 where x is no positive normal number."""
    head = log(x)
    normal = (x >= torch.finfo(x.dtype).tiny) & (x < torch.inf)
    known, rest = _log_parts(torch.where(normal, x, 1.0).detach())
    return head, torch.where(normal, (known - head.detach()) + rest, 0.0)


def _log_parts(x: Array) -> tuple[Array, Array]:
    """log x = e ln 2 + log c + 2 atanh((m - c)/(m + c)) for x = m 2^e and the number c of the table nearest to m."""
    table = log_table_like(x)
    m, e = mantissa_and_exponent(x)
    low = m < _ROOT_HALF
    m, e = torch.where(low, 2 * m, m), torch.where(low, e - 1, e)
    k = torch.round(m * FINENESS)
    c = k / FINENESS
    place = k.to(torch.int32) - FIRST
    s, s_rest = _quotient(m - c, *two_sum(m, c))
    bend, bend_rest = _bend(s, s_rest)
    total, lost = two_sum(e * table.ln2_first, table.head[place])
    total, error = two_sum(total, e * table.ln2_next)
    total, last = two_sum(total, 2 * s)
    total, least = two_sum(total, 2 * bend)
    small = (e * table.ln2_rest + table.rest[place]) + 2 * (s_rest + bend_rest)
    return two_sum(total, ((lost + error) + (last + least)) + small)


def _bend(s: Array, s_rest: Array) -> tuple[Array, Array]:
    """atanh(s + s_rest) less its argument, for |s| < 2^-11: a number and its rounding error."""
    square, square_rest = two_product(s, s)
    cube, cube_rest = two_product(s, square)
    third, third_rest = _quotient(cube, torch.full_like(s, 3.0), 0.0)
    further = s * (square * square * (1 / 5 + square / 7))
    return third, third_rest + ((cube_rest + s * square_rest) / 3 + (square * s_rest + further))


def _quotient(a: Array, b: Array, b_rest: Any) -> tuple[Array, Array]:
    """a / (b + b_rest) as a number and its rounding error."""
    ratio = a / b
    there, error = two_product(ratio, b)
    return ratio, (((a - there) - error) - ratio * b_rest) / b
