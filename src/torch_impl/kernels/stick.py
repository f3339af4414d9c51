"""Stick breaking along the last axis: entry k takes the share z_k of what the entries before it have left.

z_k = sigmoid(x_k - log m_k), where m_k = n, ..., 1 counts the entries behind it: written with e = exp(-|x|), no logarithm
of m_k has to be rounded.
"""

from typing import NamedTuple

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule, with_slope
from torch_impl.kernels.elementary import divided, exp, expm1, half_digits, log, log1p, two_sum
from torch_impl.kernels.links import decay, log_ratio
from torch_impl.kernels.sums import after, before, dots, doubled, in_blocks, on_one_grid, reverse_cumsum

# What is left of the stick is below the smallest number of float64 after exp(-746).
_ALL = 800.0
_LEAST = 1e-300  # far below what numbers of float32 other than 0 add up to
_FEW = 4096  # entries for which fewer operations count more than fewer passes
_FAR = 300.0  # exp(-300) is 0 in float32, and exp(300) times a number of float32 finite in float64


class Broken(NamedTuple):
    """The share that each entry takes and the one that it leaves, without cancellation in either."""

    taken: Array
    left: Array


def _broken(x: Array) -> Broken:
    m = _behind(x)
    e = decay(x)
    me = m * e
    below = x < 0
    whole = torch.where(below, m + e, 1 + me)
    return Broken(torch.where(below, e, 1.0) / whole, torch.where(below, m, me) / whole)


@with_rule(
    push=lambda x, y, tangent: _push(x, y, tangent),
    pull=lambda x, y, cotangent: _pull(x, y, cotangent),
    quick=lambda x, y, cotangent: in_blocks(_plain_pull, y, cotangent) if doubled(y) else _pull(x, y, cotangent),
)
def stick_breaking(x: Array) -> Array:
    """z_k prod_{j<k} (1 - z_j): n numbers to n + 1 positive ones that sum to 1; the last takes all that is left.

    The product is the exponential of a sum that is kept to twice the precision, since it may be in the hundreds.
    """
    if doubled(x):
        return in_blocks(_plain_stick, x)
    cost, cost_tail = _cost(x)
    head, tail = on_one_grid(torch.where(cost < _ALL, cost, _ALL), 4.0 * x.shape[-1])
    lower, lower_tail = on_one_grid(tail + cost_tail, 4.0 * x.shape[-1])
    sums, error = two_sum(torch.cumsum(head, dim=-1), torch.cumsum(lower, dim=-1))
    rest = error + torch.cumsum(lower_tail, dim=-1)
    stick = exp(-before(sums)) * (1 - before(rest))
    return torch.cat([_broken(x).taken * stick[..., :-1], stick[..., -1:]], dim=-1)


def _plain_stick(x: Array) -> Array:
    """`stick_breaking` in float64, for numbers that come from float32: z_k/(1 - z_k) is exp(x_k)/m_k."""
    odds = x.double().clamp_(-_FAR, _FAR).exp_() / _behind(x)
    left = torch.cumprod((1 + odds).reciprocal_(), dim=-1)
    return torch.cat([odds * left, left[..., -1:]], dim=-1)


def _plain_pull(y: Array, cotangent: Array) -> Array:
    """`_pull` in float64, from the value alone: with the sums S_k of the y from the k-th on, z_k is y_k/S_k."""
    y, weighted = (part.flip(-1).double().contiguous() for part in (y, cotangent))
    if y.numel() <= _FEW:
        weighted.sub_(torch.gather(weighted, -1, torch.argmax(y, dim=-1, keepdim=True)))
    else:  # measured from the mean, twice, which is faster: where most of the stick has one cotangent, what is left is exact
        share = torch.matmul(y, y.new_ones(y.shape[-1], 1)).reciprocal_()
        for _ in range(2):
            weighted.sub_(dots(y, weighted).mul_(share))
    weighted.mul_(y)
    left, taken = torch.cumsum(y, dim=-1).view(-1), torch.cumsum(weighted, dim=-1).view(-1)
    # As one long vector, which is several times as fast: the first entry of each vector then is of no use.
    change = weighted.view(-1)[1:]
    change.mul_(left[:-1]).sub_(taken[:-1].mul_(y.view(-1)[1:])).div_(left.clamp_(min=_LEAST)[1:])
    return weighted[..., 1:].flip(-1)


def stick_log(y: Array) -> Array:
    """log(m_k y_k / sum_{j>k} y_j): the inverse of `stick_breaking`, free of the scale of y."""
    m = _behind(y[..., 1:])
    head, tail = on_one_grid(y, 4.0 * y.shape[-1])
    lower, lower_tail = on_one_grid(tail, 4.0 * y.shape[-1])
    sums = [reverse_cumsum(part)[..., 1:] for part in (head, lower, lower_tail)]
    total = sums[0] + (sums[1] + sums[2])
    y = y[..., :-1]
    upper = half_digits(y)  # m * upper is exact
    difference, error = two_sum(m * upper, -sums[0])
    difference = difference + ((m * (y - upper) - sums[1]) + (error - sums[2]))
    share = m * y
    return log_ratio(share, total, difference, share + total)


def stick_log_abs_det(x: Array) -> Array:
    """log |det| of the first n entries for each entry of x, which add up: log z_k + m_k log(1 - z_k)."""
    return _log_slope(x, _behind(x))


@with_slope(lambda x, m: _log_slope_slope(x, m))
def _log_slope(x: Array, m: Array) -> Array:
    e = decay(x)
    below = x < 0
    cost, cost_tail = _cost(x)
    taken = torch.where(below, x - log(m + e), -log1p(m * torch.where(below, 1.0, e)))
    return taken - m * (cost + cost_tail)


@with_slope(lambda x, m: -(m + 1) * _broken(x).taken * _broken(x).left)
def _log_slope_slope(x: Array, m: Array) -> Array:
    """1 - (m + 1) z, without cancellation at raw = 0."""
    e = decay(x)
    below = x < 0
    rise = m * expm1(torch.where(below, x, -x))
    return torch.where(below, -rise / (m + e), rise / (1 + m * e))


def _cost(x: Array) -> tuple[Array, Array]:
    """-log(1 - z) as a number and its rounding error: log1p(exp(x)/m), or x + log(1/m + exp(-x)) where z is above 1/2."""
    m = _behind(x)
    e = decay(x)
    below = x < 0
    me = m * e
    large = (me <= 1) & ~below
    small = log1p(torch.where(below, divided(e, m), 1 / torch.where(large | below, 1.0, me)))
    total, error = two_sum(x, log(divided(1 + torch.where(large, me, 0.0), m)))
    return torch.where(large, total, small), torch.where(large & (x < _ALL), error, 0.0)


def _push(x: Array, y: Array, tangent: Array) -> Array:
    """The derivative, with that of the largest entry as minus the others', so that nothing cancels in its transpose."""
    broken = _broken(x)
    largest = _largest(y)
    own = after(broken.left * tangent)
    change = torch.where(largest, 0.0, y) * (own - before(torch.cumsum(broken.taken * tangent, dim=-1)))
    return torch.where(largest, -torch.sum(change, dim=-1, keepdim=True), change)


def _pull(x: Array, y: Array, cotangent: Array) -> Array:
    """z_k sum_{j>k} y_j (w_k - w_j), with all w measured from that of the largest entry."""
    broken = _broken(x)
    largest = _largest(y)
    offset = cotangent - torch.sum(torch.where(largest, cotangent, 0.0), dim=-1, keepdim=True)
    weighted = torch.where(largest, 0.0, y * offset)
    return broken.left * weighted[..., :-1] - broken.taken * reverse_cumsum(weighted)[..., 1:]


def _largest(y: Array) -> Array:
    """Where the first of the largest entries is."""
    return torch.arange(y.shape[-1], device=y.device) == torch.argmax(y, dim=-1, keepdim=True)


def _behind(x: Array) -> Array:
    """How many entries of the value come behind each: n, ..., 1."""
    return torch.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device)
