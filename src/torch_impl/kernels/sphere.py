"""Directions: x/|x| at any length of x, along the last axis, with hand-written derivatives."""

from typing import NamedTuple

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import (
    LN2,
    exponent_of,
    half_digits,
    log1p,
    number,
    power_below,
    shielded,
    times_power,
    two_sum,
)
from torch_impl.kernels.sums import dots, doubled, in_blocks, in_sight, on_one_grid, spread_by_blocks, sum_by_blocks

# One less the square of the sine of an angle at which what float64 rounds is still far below the digits of float32.
_NEARLY = 1 - 1e-8


class Measured(NamedTuple):
    """x = power * u, the length of u and its square to twice the precision. Where x is 0, u is the first basis vector."""

    u: Array
    power: Array
    zero: Array
    square: Array
    square_tail: Array
    length: Array
    length_tail: Array


def measured(x: Array) -> Measured:
    """The length of x along the last axis, and what it is made of."""
    power = power_below(x)
    u = times_power(x, 1 / power)
    zero = torch.amax(torch.abs(u), dim=-1, keepdim=True) < 1e-18  # the smallest subnormal number gives more
    u, power = torch.where(zero, first_basis_vector(x), u), torch.where(zero, 1.0, power)
    # Heads have half the digits, so their squares are exact; the rest is small and may round.
    head = half_digits(u)
    tail = u - head
    upper, lower = on_one_grid(head * head, 4.0 * x.shape[-1])
    rest = torch.sum(lower + tail * (2 * head + tail), dim=-1, keepdim=True)
    square, square_tail = two_sum(torch.sum(upper, dim=-1, keepdim=True), rest)
    length = torch.sqrt(square)
    head = half_digits(length)
    tail = length - head
    missing = ((square - head * head) - tail * (2 * head + tail)) + square_tail
    return Measured(u, power, zero, square, square_tail, length, missing / (2 * length))


@with_rule(push=lambda x, y, tangent: across(x, tangent), pull=lambda x, y, cotangent: across(x, cotangent), keeps_value=False)
def unit(x: Array) -> Array:
    """x/|x|; the first basis vector where x is 0."""
    if doubled(x):
        return in_blocks(plain_unit, x)
    m = measured(x)
    # u may have lost small entries of a long x, which |u| >= 1 divides without overflow; a short x is u, exactly.
    long = torch.where(m.power > 1, m.power, 1.0)
    quotient = times_power(torch.where(m.zero, m.u, x), long / m.power) / m.length
    return (quotient - quotient * (m.length_tail / m.length)) / long


@with_rule(
    push=lambda x, y, tangent: torch.sum(_over_length(x, unit(x)) * tangent, dim=-1),
    pull=lambda x, y, cotangent: _over_length(x, unit(x)) * cotangent[..., None],
    keeps_value=False,
)
def log_length(x: Array) -> Array:
    """log |x|, without cancellation where |x| is near 1; -inf where x is 0."""
    m = measured(x)
    power = power_below(m.square)
    power = torch.where(m.square > 1.4142135 * power, 2 * power, power)
    near = log1p((m.square / power - 1) + m.square_tail / power)
    k = exponent_of(power) + 2 * exponent_of(m.power) - 3  # |x|^2 = 2^k square/power, and the exponent of 2^k is k + 1
    ln2, ln2_tail = LN2[x.dtype]
    return torch.where(m.zero, -torch.inf, (k * ln2 + (near + k * ln2_tail)) / 2)[..., 0]


def across(x: Array, t: Array) -> Array:
    """(1 - v v^T) t / |x| with v = x/|x|, the derivative of `unit`: symmetric, and accurate where t is nearly along x.

    With p the largest entry and c = x/x_p, offsets o = t - c t_p leave o - c v_p^2 (c . o), where what cancels did so in
    the exact products of o.
    """
    # twin: torch calls this both ways; JAX transposes it for reverse mode, so there it is written transposed.
    if doubled(x):
        return in_blocks(plain_across, x, t)
    m = measured(x)
    # Half of the power before and half after, so that only a result that overflows does, in either direction.
    root = power_below(torch.sqrt(m.power))
    t = t * shielded(1 / root, t)
    at_p = torch.arange(x.shape[-1], device=x.device) == torch.argmax(torch.abs(m.u), dim=-1, keepdim=True)
    c, c_tail = _quotient(m.u, at_p)
    whole = torch.where(at_p, 1.0, c + c_tail)
    weights = whole * torch.sum(torch.where(at_p, m.u / m.length, 0.0), dim=-1, keepdim=True) ** 2
    t_p = torch.sum(torch.where(at_p, t, 0.0), dim=-1, keepdim=True)
    head = half_digits(t_p)
    t = torch.where(at_p, 0.0, (t - c * head) - (c * (t_p - head) + c_tail * t_p))
    t = t - weights * spread_by_blocks(sum_by_blocks(whole * t), t)
    return torch.where(m.zero, 0.0, (t / m.length) * shielded(root / m.power, t))


def plain_unit(x: Array, length: Array | None = None) -> Array:
    """`unit` in float64, for numbers that come from float32, whose squares neither overflow nor underflow there; or a
    vector of another length.
    """
    x = x.double()
    square = dots(x, x)
    if _usual(square):
        scale = torch.rsqrt(square)
        return x * (scale if length is None else scale.mul_(length))
    square, zero = _plain_square(square)
    direction = torch.where(zero, first_basis_vector(x), x * torch.rsqrt(square))
    return direction if length is None else direction * length


def plain_across(x: Array, t: Array) -> Array:
    """`across` without the exact products, for numbers that come from float32: what rounding leaves along x is taken away
    again, twice where a vector is nearly along x, since results may be 2^-150 of t.
    """
    x, t = x.double(), t.double()
    square, along = dots(x, x), dots(x, t)
    change = _change(x, t, square, along)
    if change is not None:
        return change.mul_(torch.rsqrt(square))
    square, zero = _plain_square(square)
    change = t - x * (along / square)
    for _ in range(2):
        change = change - x * (dots(x, change) / square)
    return change * (~zero * torch.rsqrt(square))


def _change(x: Array, t: Array, square: Array, along: Array) -> Array | None:
    """t less its part along x, where it can be seen that no vector is 0 or nearly along x; else None."""
    if not (in_sight(along) and _usual(square)):
        return None
    part = along / -square
    # By Pythagoras the square of the sine of the angle to x, times that of t.
    if torch.addcmul(dots(t, t) * number(_NEARLY, x.dtype), along, part).min().item() < 0:
        return None
    return torch.addcmul(t, x, part)


def _weights_push(x: Array, y: Array, tangent: Array) -> Array:
    v, t = x[..., :-1], tangent[..., :-1]
    return x[..., -1:] * across(v, t) + unit(v) * tangent[..., -1:]


def _weights_pull(x: Array, y: Array, cotangent: Array) -> Array:
    v = x[..., :-1]
    return torch.cat([x[..., -1:] * across(v, cotangent), torch.sum(unit(v) * cotangent, dim=-1, keepdim=True)], dim=-1)


@with_rule(
    push=_weights_push,
    pull=_weights_pull,
    quick=lambda x, y, cotangent: (
        in_blocks(_plain_weights_pull, x, cotangent) if doubled(x) else _weights_pull(x, y, cotangent)
    ),
)
def with_length(x: Array) -> Array:
    """The last entry of each vector times the direction of the others."""
    if doubled(x):
        return in_blocks(lambda x: plain_unit(x[..., :-1], x[..., -1:]), x)
    return x[..., -1:] * unit(x[..., :-1])


def _plain_weights_pull(x: Array, cotangent: Array) -> Array:
    v, t = x[..., :-1].double(), cotangent.double()
    square, along = dots(v, v), dots(v, t)
    change = _change(v, t, square, along)
    if change is None:
        return _weights_pull(x, x, cotangent)
    scale = torch.rsqrt(square)
    result = torch.empty_like(x, dtype=torch.float64)
    torch.mul(change, scale * x[..., -1:], out=result[..., :-1])
    torch.mul(along, scale, out=result[..., -1:])
    return result


def _usual(square: Array) -> bool:
    """Whether no square is 0, infinite or nan, where that can be seen."""
    if not in_sight(square) or square.numel() == 0:
        return False
    low, high = torch.aminmax(square)
    return low.item() > 0 and high.item() < torch.inf


def _plain_square(square: Array) -> tuple[Array, Array]:
    """|x|^2, but 1 where it is 0 and nan where it is infinite; and whether it is 0."""
    zero = square == 0
    return torch.where(torch.isinf(square), torch.nan, torch.where(zero, 1.0, square)), zero


def _quotient(u: Array, at_p: Array) -> tuple[Array, Array]:
    """u/u_p as a head with half the digits and the rest, 0 at p."""
    u_p = torch.sum(torch.where(at_p, u, 0.0), dim=-1, keepdim=True)
    head = half_digits(torch.where(at_p, 0.0, u / u_p))
    p_head = half_digits(u_p)
    return head, (torch.where(at_p, 0.0, u - head * p_head) - head * (u_p - p_head)) / u_p


def _over_length(x: Array, t: Array) -> Array:
    """t/|x|; 0 where x is 0."""
    m = measured(x)
    return torch.where(m.zero, 0.0, (t / m.length) * shielded(1 / m.power, t))


def first_basis_vector(x: Array) -> Array:
    """The first basis vector."""
    return (torch.arange(x.shape[-1], device=x.device) == 0).to(x.dtype)
