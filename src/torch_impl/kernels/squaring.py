"""The exponential of a skew matrix A by Taylor's series at A/2^m and m squarings.

exp A - I is what is squared, X -> 2 X + X^2, so that I takes no digits from a small A. m makes the norm of A/2^m at most 1,
for each matrix its own. Plain differentiation of these steps is accurate, and the fastest.
"""

from math import factorial

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import mantissa_and_exponent
from torch_impl.kernels.pairs import WIDEST, small_product

_FARTHEST = 65536.0
_SQUARINGS = 17


def squared_exp(a: Array) -> Array:
    """exp A, nan where A is not finite."""
    finite = torch.isfinite(torch.sum(torch.abs(a), dim=(-1, -2), keepdim=True))
    a = within(torch.where(finite, a, 0.0))
    square = times(a, a)
    # The norm of a skew A is the root of that of A^2, which is at most the largest sum of |entries| of a row of A^2.
    size = torch.amax(torch.sum(torch.abs(square), dim=-1, keepdim=True), dim=-2, keepdim=True).detach()
    size = torch.clamp(torch.sqrt(size), min=0.5)
    mantissa, count = mantissa_and_exponent(size)
    scale = mantissa / size  # a power of 2
    rise = _squared(_rise(a * scale, square * (scale * scale)), count)
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return torch.where(finite, one + rise, torch.nan)


def _squared(rise: Array, count: Array) -> Array:
    """exp A - I of m = count squarings, each matrix its own number of them, from exp(A/2^m) - I."""
    # twin: torch looks how many squarings there are where the numbers can be seen; JAX skips what is too many.
    for k in range(_most(count), 0, -1):
        rise = torch.where(k <= count, 2 * rise + times(rise, rise), rise)
    return rise


def _rise(a: Array, square: Array) -> Array:
    """exp A - I for norms up to 1: to A^13, in float64 to A^19, from few products."""
    fourth = times(square, square)
    sixth = times(fourth, square)
    return _powers(square, fourth, sixth, 0) + times(a, _powers(square, fourth, sixth, 1))


def _powers(square: Array, fourth: Array, sixth: Array, odd: int) -> Array:
    """The sum of A^(2n)/(2n + odd)!, without the term I of the even powers."""
    c = [1 / factorial(2 * n + odd) for n in range(10)]
    one = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
    upper = (c[3] * one + c[4] * square) + c[5] * fourth
    if square.dtype == torch.float64:
        last = ((c[6] * one + c[7] * square) + c[8] * fourth) + c[9] * sixth
        upper = upper + times(sixth, last)
    else:
        upper = upper + c[6] * sixth
    return (odd * one + c[1] * square) + (c[2] * fourth + times(sixth, upper))


def series(change: Array, small: Array, sign: float) -> Array:
    """The sum over k of (sign ad_A)^k change / (k + 1)!, for a skew change and an A of norm up to 1."""
    terms = 22 if change.dtype == torch.float64 else 13
    total, power = change, change
    for k in range(1, terms):
        moved = times(small, power) * (sign / (k + 1))
        power = moved - _turned(moved)
        total = total + power
    return total


def _most(count: Array) -> int:
    """The most squarings that any of the matrices needs."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or count.is_meta:
        return _SQUARINGS
    return int(count.amax()) if count.numel() else 0


def times(a: Array, b: Array) -> Array:
    """a b: entry by entry where float64 is small, as JAX can transpose that."""
    # twin: JAX is told to multiply float32 in full, which accelerators do not by default.
    return small_product(a, b) if a.shape[-1] <= WIDEST else a @ b


def within(a: Array) -> Array:
    """A, made smaller where its norm is above the largest that is told from others."""
    largest = torch.amax(torch.abs(a), dim=(-1, -2), keepdim=True).detach()
    return a / torch.clamp(largest * (a.shape[-1] / _FARTHEST), min=1.0)


def _turned(a: Array) -> Array:
    return torch.transpose(a, -1, -2)
