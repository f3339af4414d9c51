"""The exponential of a skew matrix A, and the principal logarithm of a rotation.

A small float64 matrix goes through eigenvectors, in more digits than it has; others by squarings.
With A^T A = V D V^T, D = S^2:  exp A = V (cos S + V^T A V sin S / S) V^T. No squaring, so errors do not double with the norm.
The derivative is Q Omega with the skew Omega = integral of exp(-sA) dA exp(sA) over s from 0 to 1, by doubling from A/2^20.
"""

from math import pi

import torch
from torch import Tensor as Array

from torch_impl.kernels.cayley import is_near, skew
from torch_impl.kernels.derivatives import plain_eager, with_rule
from torch_impl.kernels.elementary import half_digits, two_sum
from torch_impl.kernels.pairs import WIDEST, Pair, in_float64, product
from torch_impl.kernels.squaring import series, squared_exp, times, within
from torch_impl.kernels.triangles import take_strict

_DOUBLINGS = 20
_FEW = 2048  # entries for which fewer operations count more than fewer passes


@in_float64
def matrix_exp(raw: Array) -> Array:
    """exp A, A = T - T^T with the entries of raw in the strictly lower triangular T, row by row."""
    if raw.shape[-1] == 0:
        return torch.ones((*raw.shape[:-1], 1, 1), dtype=raw.dtype, device=raw.device)
    if raw.dtype == torch.float32 and 0 < raw.numel() <= _FEW and plain_eager():
        return _few_exp(raw)
    a = skew(raw)
    if a.shape[-1] > WIDEST:
        return squared_exp(a)
    return (_refined_exp(a) if raw.dtype == torch.float64 else squared_exp(a.to(torch.float64))).to(raw.dtype)


def _few_push(raw: Array, value: Array, tangent: Array) -> Array:
    return torch.func.jvp(_wide_exp, (raw,), (tangent,))[1]


def _few_pull(raw: Array, value: Array, cotangent: Array) -> Array:
    return torch.func.vjp(_wide_exp, raw)[1](cotangent)[0]


def _few_quick(raw: Array, value: Array, cotangent: Array) -> Array:
    """The derivative of exp at -A is beside the diagonal of the exponential of a matrix of four blocks."""
    if not is_near(raw):
        return _few_pull(raw, value, cotangent)
    a = skew(raw)
    n = a.shape[-1]
    blocks = torch.zeros((*a.shape[:-2], 2 * n, 2 * n), dtype=torch.float64, device=a.device)
    blocks[..., :n, :n] = blocks[..., n:, n:] = a.mT
    blocks[..., :n, n:] = cotangent
    change = torch.linalg.matrix_exp(blocks)[..., :n, n:]
    return take_strict((change - change.mT).float())


@with_rule(push=_few_push, pull=_few_pull, quick=_few_quick)
def _few_exp(raw: Array) -> Array:
    """exp A of few small matrices: torch's own in float64, which is accurate for float32."""
    if not is_near(raw):
        return _wide_exp(raw)
    return torch.linalg.matrix_exp(skew(raw).double()).float()


def _wide_exp(raw: Array) -> Array:
    return squared_exp(skew(raw).to(torch.float64)).to(raw.dtype)


@in_float64
def matrix_log(value: Array) -> Array:
    """Raw of the A with exp A = value and angles below pi; nan where an angle is pi within the digits of the dtype."""
    if value.shape[-1] == 1:
        return value[..., 0, :0]
    return take_strict(_log(value))


def _push(a: Array, value: Array, tangent: Array) -> Array:
    small, steps = _steps(a)
    change = series(tangent, small, -1.0)
    # twin: torch loops in Python; JAX traces one step of the loop.
    for k in reversed(range(_DOUBLINGS)):
        step = steps[k]
        change = (change + times(_turned(step), times(change, step))) / 2
    return times(value, change)


def _pull(a: Array, value: Array, cotangent: Array) -> Array:
    small, steps = _steps(a)
    moved = times(_turned(value), cotangent)
    along = (moved - _turned(moved)) / 2
    for k in range(_DOUBLINGS):
        step = steps[k]
        along = (along + times(step, times(along, _turned(step)))) / 2
    return series(along, small, 1.0)


@with_rule(push=_push, pull=_pull)
def _refined_exp(a: Array) -> Array:
    finite = torch.isfinite(torch.sum(torch.abs(a), dim=(-1, -2), keepdim=True))
    a = within(torch.where(finite, a, 0.0))
    # The plain form keeps no digits of a small A, and the other none where A is large.
    near = torch.amax(torch.abs(a), dim=(-1, -2), keepdim=True) < 0.5
    frame, inner, cosine, ratio, less = _refined(a)
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    from_zero = frame @ (cosine + inner @ less) @ _turned(frame)
    whole = frame @ ((cosine + one) + inner @ ratio) @ _turned(frame)
    return torch.where(finite, torch.where(near, one + (a + from_zero), whole), torch.nan)


def _refined(a: Array) -> tuple[Array, ...]:
    """V, V^T A V, and the matrices cos S - 1, sin S/S and that - 1 in the basis V, to more digits than those of A: V made
    orthogonal, and what is left beside the diagonal of D taken into account once.
    """
    zero = torch.zeros_like(a)
    first = torch.linalg.eigh(_turned(a) @ a).eigenvectors
    there, there_rest = product((_turned(first), zero), (first, zero))
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    frame = two_sum(first, first @ ((one - there) - there_rest) / 2)
    inner = product((_turned(frame[0]), _turned(frame[1])), product((a, zero), frame))
    squares, rest = product((-inner[0], -inner[1]), inner)
    d, d_rest = torch.diagonal(squares, dim1=-2, dim2=-1), torch.diagonal(rest, dim1=-2, dim2=-1)
    cosine, ratio, less = _functions(d, d_rest)
    beside = torch.where(one > 0, 0.0, squares)
    cosine_slope, ratio_slope = _slopes(d)
    return (
        frame[0],
        inner[0],
        _diagonal(cosine) + beside * cosine_slope,
        _diagonal(ratio) + beside * ratio_slope,
        _diagonal(less) + beside * ratio_slope,
    )


def _functions(d: Array, d_rest: Array) -> tuple[Array, Array, Array]:
    """cos s - 1, sin s / s, and that - 1, of s = sqrt(d + d_rest)."""
    positive = d > 0
    s = torch.sqrt(torch.where(positive, d, 1.0))
    head = half_digits(s)
    square, lost = head * head, (2 * head) * (s - head) + (s - head) * (s - head)
    s_rest = (((d - square) - lost) + d_rest) / (2 * s)
    s, s_rest = torch.where(positive, s, 0.0), torch.where(positive, s_rest, 0.0)
    half = torch.sin(s / 2) + torch.cos(s / 2) * (s_rest / 2)
    far = s > 0.5
    quotient = (torch.sin(s) + torch.cos(s) * s_rest) / torch.where(far, s, 1.0)
    quotient = quotient - quotient * (s_rest / torch.where(far, s, 1.0))
    series = torch.zeros_like(d)
    small = torch.where(far, 0.0, d)
    for n in range(8, 0, -1):
        series = (series + 1) * small / (-(2 * n) * (2 * n + 1))
    return -2 * half * half, torch.where(far, quotient, 1 + series), torch.where(far, quotient - 1, series)


def _slopes(d: Array) -> Pair:
    """Divided differences of cos sqrt(d) and sin sqrt(d)/sqrt(d), to a few digits: they multiply rounding errors."""
    s = torch.sqrt(torch.clamp(d, min=0.0))
    left, right = s[..., :, None], s[..., None, :]
    cosine = -_sinc((left + right) / 2) * _sinc((left - right) / 2) / 2
    gap = left * left - right * right
    apart = torch.abs(gap) > 1e-3 * (1 + left * left)
    quotient = (_sinc(left) - _sinc(right)) / torch.where(apart, gap, 1.0)
    middle = (left + right) / 2
    far = middle > 0.1
    safe = torch.where(far, middle, 1.0)
    slope = torch.where(far, (torch.cos(safe) - torch.sin(safe) / safe) / (2 * safe * safe), -1 / 6 + middle * middle / 60)
    return cosine, torch.where(apart, quotient, slope)


def _sinc(x: Array) -> Array:
    safe = torch.where(torch.abs(x) > 1e-8, x, 1.0)
    return torch.where(torch.abs(x) > 1e-8, torch.sin(safe) / safe, 1.0)


def _steps(a: Array) -> tuple[Array, Array]:
    """A/2^20, and exp(A/2), exp(A/4), ..., exp(A/2^20) along the first axis."""
    shrunk = within(a)
    halves = torch.stack([shrunk * 0.5**k for k in range(1, _DOUBLINGS + 1)])
    return halves[-1], _refined_exp(halves)


def _log_push(value: Array, log: Array, tangent: Array) -> Array:
    """dA = ad_A / (1 - exp(-ad_A)) Omega, Omega the skew part of Q^T dQ; ad_A has the eigenvalues i (+-s_j +- s_k)."""
    moved = _turned(value) @ tangent
    return _log_slope(value, (moved - _turned(moved)) / 2, 0.5)


def _log_pull(value: Array, log: Array, cotangent: Array) -> Array:
    change = _log_slope(value, (cotangent - _turned(cotangent)) / 2, -0.5)
    return value @ change


@with_rule(push=_log_push, pull=_log_pull)
def _log(value: Array) -> Array:
    wide = value.to(torch.float64)
    finite = torch.all(torch.isfinite(wide), dim=-1, keepdim=True).all(dim=-2, keepdim=True)
    frame, inner, sine, angle = _angles(torch.where(finite, wide, 0.0))
    half_turn = (angle > pi / 2) & (sine < 4 * torch.finfo(value.dtype).eps)
    ratio = torch.where(sine > 1e-8, angle / torch.where(sine > 1e-8, sine, 1.0), 1.0)
    ratio = torch.where(half_turn, torch.nan, ratio)
    part = (wide - _turned(wide)) / 2
    log = part + (frame @ (inner * (ratio - 1)[..., None, :])) @ _turned(frame)
    log = (log - _turned(log)) / 2
    return torch.where(finite, log, torch.nan).to(value.dtype)


def _angles(value: Array) -> tuple[Array, Array, Array, Array]:
    """V, V^T K V, and sine and size of the angles, K the skew part and V the eigenvectors of the symmetric part."""
    frame = torch.linalg.eigh((value + _turned(value)) / 2).eigenvectors
    inner = _turned(frame) @ ((value - _turned(value)) / 2) @ frame
    sine = torch.sqrt(torch.sum(inner * inner, dim=-2))
    cosine = torch.sum(frame * (value @ frame), dim=-2)
    return frame, inner, sine, torch.atan2(sine, cosine)


def _log_slope(value: Array, change: Array, half: float) -> Array:
    """h(ad_A) change + half [A, change], h the even part of x/(1 - exp(-x)); a first derivative only."""
    frame, inner, sine, angle = _angles(value)
    turn = inner / torch.where(sine > 1e-8, sine, torch.inf)[..., None, :]
    there = _turned(frame) @ change @ frame
    apart, together = _even(angle[..., :, None] - angle[..., None, :]), _even(angle[..., :, None] + angle[..., None, :])
    moved = (apart + together) / 2 * there - (apart - together) / 2 * (turn @ there @ turn)
    scaled = turn * angle[..., None, :]
    return frame @ (moved + half * (scaled @ there - there @ scaled)) @ _turned(frame)


def _even(x: Array) -> Array:
    """(x/2) cot(x/2)."""
    near = torch.abs(x) < 1e-3
    half = torch.where(near, 1.0, x) / 2
    return torch.where(near, 1 - x * x / 12, half * torch.cos(half) / torch.sin(half))


def _turned(a: Array) -> Array:
    return torch.transpose(a, -1, -2)


def _diagonal(entries: Array) -> Array:
    return torch.diag_embed(entries)
