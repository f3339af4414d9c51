"""The Cayley transform Q = (I - A/2)^-1 (I + A/2) of a skew matrix A = T - T^T, T strictly lower triangular.

With W = (I - A/2)^-1: Q = 2 W - I, and dQ = Q (W^T dA W), where W^T dA W is skew again. Up to `WIDEST` rows float32 is
computed in float64, and float64 in pairs; beyond that in the dtype itself, where errors grow with the norm of A.
"""

from math import isqrt
from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.constants import triangle_like
from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.householder import column_triangle
from torch_impl.kernels.pairs import WIDEST, in_float64, inverse, minors, small_product
from torch_impl.kernels.sums import in_sight
from torch_impl.kernels.triangles import fill_strict, take_strict

# The largest norm of A that is told from infinity: below it (I - A/2) is never singular in the arithmetic in use.
_FARTHEST = {torch.float32: 2.0**18, torch.float64: 2.0**46}
_FARTHEST_PLAIN = 2.0**27
_STEPS = 2
_NEAR = 100.0  # |A| is at most WIDEST times as large, and that is how many times W is more than its rounding error


def skew(raw: Array) -> Array:
    """A = T - T^T, T the strictly lower triangular matrix with the entries of raw row by row."""
    lower = fill_strict(raw, _side(raw))
    return lower - torch.transpose(lower, -1, -2)


@in_float64
def cayley(raw: Array) -> Array:
    """Q, from the entries below the diagonal of A along the last axis."""
    if raw.shape[-1] == 0:
        return torch.ones((*raw.shape[:-1], 1, 1), dtype=raw.dtype, device=raw.device)
    if _side(raw) > WIDEST:
        half = _half(raw)
    elif raw.dtype == torch.float64:
        return _refined(raw)
    else:
        return _small(raw)
    return (2 * half - _one(_side(raw), half)).to(raw.dtype)


def cayley_columns(raw: Array, n: int, k: int) -> Array:
    """The first k columns of Q, for an A with zeros in its lower right block: raw has its entries (i, j), j < min(i, k).

    A = L E^T - E L^T, L the n by k triangle and E the first columns of I. Far from square, Q E = E + U (I - V^T U/2)^-1 V^T E
    with U = [L, -E] and V = [E, L], which solves with 2k rows in place of n.
    """
    lower = column_triangle(raw, n, k)
    if n <= max(WIDEST, 2 * k):
        rest = torch.zeros((*lower.shape[:-1], n - k), dtype=raw.dtype, device=raw.device)
        return cayley(take_strict(torch.cat([lower, rest], dim=-1)))[..., :k]
    size = _excess(raw, n, _FARTHEST[raw.dtype])[..., None]
    lower = lower / size
    upper = lower[..., :k, :]
    one = torch.broadcast_to(_one(k, raw), upper.shape)
    turned = torch.transpose(upper, -1, -2)
    inner = torch.cat(
        [torch.cat([upper, -one], dim=-1), torch.cat([torch.transpose(lower, -1, -2) @ lower, -turned], dim=-1)], dim=-2
    )
    solved = torch.linalg.solve_ex(_one(2 * k, raw) - inner / 2, torch.cat([one, turned], dim=-2)).result
    first = torch.eye(n, k, dtype=raw.dtype, device=raw.device)
    return (first + lower @ solved[..., :k, :]) - first @ solved[..., k:, :]


@in_float64
def log_volume(raw: Array) -> Array:
    """log det (I - A/2), which is half of log det (I - A^2/4): a sum over the singular values of A."""
    if raw.shape[-1] == 0:
        return torch.sum(raw, dim=-1)
    return _log_volume(raw)


@in_float64
def uncayley(value: Array, columns: int) -> Array:
    """Raw of the A with a zero lower right block whose first columns of Q are `value`: its last two axes, n by `columns`.

    With Y = (I + X1)^-1, X1 the upper square of X: A1 = 2 (Y^T - Y) and A2 = 2 X2 Y, which is (I - Q)(I + Q)^-1 times -2
    where X is square. It is nan where I + X1 is singular within the digits of the dtype.
    """
    upper = value[..., :columns, :]
    y, y_rest = _from_one(upper)
    far = torch.amax(torch.abs(y), dim=(-1, -2)) > 1 / (4 * torch.finfo(value.dtype).eps)
    turned, turned_rest = torch.transpose(y, -1, -2), torch.transpose(y_rest, -1, -2)
    square = take_strict(2 * ((turned - y) + (turned_rest - y_rest)).to(value.dtype))
    times = small_product if columns <= WIDEST else torch.matmul
    below = (2 * times(value[..., columns:, :].to(y.dtype), y)).to(value.dtype)
    raw = torch.cat([square, below.reshape(*below.shape[:-2], below.shape[-2] * columns)], dim=-1)
    return torch.where(far[..., None], torch.nan, raw)


def _push(raw: Array, value: Array, tangent: Array) -> Array:
    return small_product(value, skew(torch.sum(_minors(raw) * tangent[..., :, None], dim=-2)))


def _pull(raw: Array, value: Array, cotangent: Array) -> Array:
    turned = small_product(torch.transpose(value, -1, -2), cotangent)
    along = take_strict(turned - torch.transpose(turned, -1, -2))
    return torch.sum(_minors(raw) * along[..., None, :], dim=-1)


@with_rule(push=_push, pull=_pull)
def _refined(raw: Array) -> Array:
    pair = _resolvent(raw)
    return (2 * pair[..., 0, :, :] - _one(_side(raw), pair)) + 2 * pair[..., 1, :, :]


def _small_push(raw: Array, value: Array, tangent: Array) -> Array:
    half, along = _small_half(raw), _skew_within(tangent, raw, _FARTHEST_PLAIN).to(torch.float64)
    return small_product(half, small_product(along, half)).to(raw.dtype)


def _small_pull(raw: Array, value: Array, cotangent: Array) -> Array:
    return _moved(_small_half(raw), cotangent) / _excess(raw, _side(raw), _FARTHEST_PLAIN)


def _small_quick(raw: Array, value: Array, cotangent: Array) -> Array:
    return _moved(_plain_half(raw), cotangent) if is_near(raw) else _small_pull(raw, value, cotangent)


@with_rule(push=_small_push, pull=_small_pull, quick=_small_quick)
def _small(raw: Array) -> Array:
    near = is_near(raw)
    half = _plain_half(raw) if near else _small_half(raw)
    return (half + half - _one(_side(raw), half)).to(raw.dtype)


def is_near(raw: Array) -> bool:
    """Whether all entries can be seen to be so small that plain float64 has more digits than float32 needs."""
    return in_sight(raw) and raw.numel() > 0 and raw.min().item() > -_NEAR and raw.max().item() < _NEAR


def _plain_half(raw: Array) -> Array:
    half = fill_strict(raw, _side(raw)).double() / 2
    # Unlike inv it never raises.
    return torch.linalg.inv_ex(_one(_side(raw), half) - (half - half.mT)).inverse


def _moved(half: Array, cotangent: Array) -> Array:
    """The cotangent of raw where that of Q is W^T (...) W, in the dtype of the cotangent."""
    turned = torch.transpose(half, -1, -2)
    change = small_product(turned, small_product(cotangent.to(torch.float64), turned))
    return take_strict((change - torch.transpose(change, -1, -2)).to(cotangent.dtype))


def _minors(raw: Array) -> Array:
    pair = _resolvent(raw)
    return minors(triangle_like(_side(raw), pair), (pair[..., 0, :, :], pair[..., 1, :, :]))


def _pair_push(raw: Array, pair: Array, tangent: Array) -> Array:
    head = pair[..., 0, :, :]
    change = small_product(head, small_product(skew(tangent) / 2, head))
    return torch.stack([change, torch.zeros_like(change)], dim=-3)


def _pair_pull(raw: Array, pair: Array, cotangent: Array) -> Array:
    turned = torch.transpose(pair[..., 0, :, :], -1, -2)
    change = small_product(turned, small_product(cotangent[..., 0, :, :] / 2, turned))
    return take_strict(change - torch.transpose(change, -1, -2))


@with_rule(push=_pair_push, pull=_pair_pull)
def _resolvent(raw: Array) -> Array:
    """W as a pair along the third axis from the end."""
    half = skew(_within(raw, _FARTHEST[torch.float64])) / 2
    head, rest = inverse((_one(_side(raw), raw) - half, torch.zeros_like(half)), _STEPS)
    return torch.stack([head, rest], dim=-3)


# twin: torch differentiates W by raw, so that backward keeps nothing but the two; JAX by A, and XLA sees to the memory.
def _half_push(raw: Array, half: Array, tangent: Array) -> Array:
    return half @ (_skew_within(tangent, raw, _FARTHEST[raw.dtype]) / 2) @ half


def _half_pull(raw: Array, half: Array, cotangent: Array) -> Array:
    turned = torch.transpose(half, -1, -2)
    return _unskewed(turned @ (cotangent / 2) @ turned, raw, _FARTHEST[raw.dtype])


@with_rule(push=_half_push, pull=_half_pull)
def _half(raw: Array) -> Array:
    a = _skew_within(raw, raw, _FARTHEST[raw.dtype])
    return inverse((_one(a.shape[-1], a) - a / 2, a), 0)[0]


def _small_half_push(raw: Array, half: Array, tangent: Array) -> Array:
    along = _skew_within(tangent, raw, _FARTHEST_PLAIN).to(torch.float64) / 2
    return small_product(half, small_product(along, half))


def _small_half_pull(raw: Array, half: Array, cotangent: Array) -> Array:
    # The skew part is taken in float64, where it does not cancel.
    turned = torch.transpose(half, -1, -2)
    return _unskewed(small_product(turned, small_product(cotangent / 2, turned)), raw, _FARTHEST_PLAIN).to(raw.dtype)


@with_rule(push=_small_half_push, pull=_small_half_pull)
def _small_half(raw: Array) -> Array:
    a = _skew_within(raw, raw, _FARTHEST_PLAIN).to(torch.float64)
    return inverse((_one(a.shape[-1], a) - a / 2, torch.zeros_like(a)), 1)[0]


def _skew_within(change: Array, raw: Array, farthest: float) -> Array:
    """The skew matrix of a change of raw, or of raw itself, made smaller as raw is."""
    return skew(change / _excess(raw, _side(raw), farthest))


def _unskewed(matrix: Array, raw: Array, farthest: float) -> Array:
    """The transpose of `_skew_within`."""
    return take_strict(matrix - torch.transpose(matrix, -1, -2)) / _excess(raw, _side(raw), farthest)


def _volume_slope(raw: Array) -> Array:
    """d log det (I - A/2) / d raw."""
    if _side(raw) <= WIDEST and raw.dtype == torch.float64:
        pair = _resolvent(raw)
        turned = torch.transpose(pair, -1, -2)
        return take_strict((pair - turned)[..., 0, :, :] + (pair - turned)[..., 1, :, :]) / 2
    half = _small_half(raw) if _side(raw) <= WIDEST else _half(raw)
    return take_strict((half - torch.transpose(half, -1, -2)).to(raw.dtype)) / 2


@in_float64
def _volume_push(raw: Array, total: Array, tangent: Array) -> Array:
    return torch.sum(_volume_slope(raw) * tangent, dim=-1)


@in_float64
def _volume_pull(raw: Array, total: Array, cotangent: Array) -> Array:
    return _volume_slope(raw) * cotangent[..., None]


@with_rule(push=_volume_push, pull=_volume_pull)
def _log_volume(raw: Array) -> Array:
    wide = raw.to(torch.float64) if _side(raw) <= WIDEST else raw
    finite = torch.all(torch.isfinite(wide), dim=-1, keepdim=True)
    sizes = torch.linalg.svdvals(skew(torch.where(finite, wide, 0.0))) / 2
    far = sizes > 1e8
    near = torch.log1p(torch.where(far, 0.0, sizes) ** 2)
    total = torch.sum(torch.where(far, 2 * torch.log(torch.where(far, sizes, 1.0)), near), dim=-1) / 2
    return torch.where(finite[..., 0], total, torch.nan).to(raw.dtype)


def _from_one(upper: Array) -> tuple[Array, Array]:
    """(I + upper)^-1 as a pair; the second is 0 where the matrix is large."""
    if upper.shape[-1] > WIDEST:
        y = torch.linalg.inv_ex(_one(upper.shape[-1], upper) + upper).inverse
        return y, torch.zeros_like(y)
    pair = _inverse_from_one(upper.to(torch.float64))
    return pair[..., 0, :, :], pair[..., 1, :, :]


def _inverse_push(x: Array, pair: Array, tangent: Array) -> Array:
    change = -small_product(pair[..., 0, :, :], small_product(tangent, pair[..., 0, :, :]))
    return torch.stack([change, torch.zeros_like(change)], dim=-3)


def _inverse_pull(x: Array, pair: Array, cotangent: Array) -> Array:
    turned = torch.transpose(pair[..., 0, :, :], -1, -2)
    return -small_product(turned, small_product(cotangent[..., 0, :, :], turned))


@with_rule(push=_inverse_push, pull=_inverse_pull)
def _inverse_from_one(x: Array) -> Array:
    one = _one(x.shape[-1], x)
    total = one + x
    lost = torch.where(one > 0, x - (total - one), 0.0)
    return torch.stack(inverse((total, lost), _STEPS), dim=-3)


def _within(raw: Array, farthest: float) -> Array:
    """Raw, made smaller where A is so far out that its distance from infinity has no digits left."""
    return raw / _excess(raw, _side(raw), farthest)


def _excess(raw: Array, side: int, farthest: float) -> Array:
    """How many times the norm of A is too large, at least 1."""
    largest = torch.amax(torch.abs(raw), dim=-1, keepdim=True).detach()
    return torch.clamp(largest * ((side - 1) / farthest), min=1.0)


def _one(side: int, like: Array) -> Array:
    return torch.eye(side, dtype=like.dtype, device=like.device)


def _side(raw: Any) -> int:
    return (isqrt(8 * int(raw.shape[-1]) + 1) + 1) // 2
