"""Directions: x/|x| at any length of x, along the last axis, with hand-written derivatives."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, enable_x64

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import (
    LN2,
    exponent_of,
    half_digits,
    log1p,
    power_below,
    shielded,
    times_power,
    two_sum,
    widened,
)
from jax_impl.kernels.sums import on_one_grid, spread_by_blocks, sum_by_blocks


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
    zero = jnp.max(jnp.abs(u), axis=-1, keepdims=True) < 1e-18  # the smallest subnormal number gives more
    u, power = jnp.where(zero, first_basis_vector(x), u), jnp.where(zero, 1.0, power)
    # Heads have half the digits, so their squares are exact; the rest is small and may round.
    head = half_digits(u)
    tail = u - head
    upper, lower = on_one_grid(head * head, 4.0 * x.shape[-1])
    rest = jnp.sum(lower + tail * (2 * head + tail), axis=-1, keepdims=True)
    square, square_tail = two_sum(jnp.sum(upper, axis=-1, keepdims=True), rest)
    length = jnp.sqrt(square)
    head = half_digits(length)
    tail = length - head
    missing = ((square - head * head) - tail * (2 * head + tail)) + square_tail
    return Measured(u, power, zero, square, square_tail, length, missing / (2 * length))


@with_rule(push=lambda x, y, tangent: across(x, tangent), pull=lambda x, y, cotangent: across(x, cotangent), keeps_value=False)
def unit(x: Array) -> Array:
    """x/|x|; the first basis vector where x is 0."""
    if x.dtype == jnp.float32:
        with enable_x64(True):
            return _plain_unit(widened(x)).astype(x.dtype)
    m = measured(x)
    # u may have lost small entries of a long x, which |u| >= 1 divides without overflow; a short x is u, exactly.
    long = jnp.where(m.power > 1, m.power, 1.0)
    quotient = times_power(jnp.where(m.zero, m.u, x), long / m.power) / m.length
    return (quotient - quotient * (m.length_tail / m.length)) / long


@with_rule(
    push=lambda x, y, tangent: jnp.sum(_over_length(x, unit(x)) * tangent, axis=-1),
    pull=lambda x, y, cotangent: _over_length(x, unit(x)) * cotangent[..., None],
    keeps_value=False,
)
def log_length(x: Array) -> Array:
    """log |x|, without cancellation where |x| is near 1; -inf where x is 0."""
    m = measured(x)
    power = power_below(m.square)
    power = jnp.where(m.square > 1.4142135 * power, 2 * power, power)
    near = log1p((m.square / power - 1) + m.square_tail / power)
    k = exponent_of(power) + 2 * exponent_of(m.power) - 3  # |x|^2 = 2^k square/power, and the exponent of 2^k is k + 1
    ln2, ln2_tail = LN2[x.dtype.name]
    return jnp.where(m.zero, -jnp.inf, (k * ln2 + (near + k * ln2_tail)) / 2)[..., 0]


def across(x: Array, t: Array) -> Array:
    """(1 - v v^T) t / |x| with v = x/|x|, the derivative of `unit`: symmetric, and accurate where t is nearly along x.

    With p the largest entry and c = x/x_p, offsets o = t - c t_p leave o - c v_p^2 (c . o), where what cancels did so in
    the exact products of o. That is what this turns into by transposition, hence its two sums into entry p, of which the
    second, exact one comes last.
    """
    # twin: torch calls this both ways; JAX transposes it for reverse mode, so there it is written transposed.
    if x.dtype == jnp.float32:
        with enable_x64(True):
            return _plain_across(widened(x), t.astype(jnp.float64)).astype(t.dtype)
    m = measured(x)
    # Half of the power before and half after, so that only a result that overflows does, in either direction.
    root = power_below(jnp.sqrt(m.power))
    t = t * shielded(1 / root, t)
    at_p = jnp.arange(x.shape[-1]) == jnp.argmax(jnp.abs(m.u), axis=-1, keepdims=True)
    c, c_tail = _quotient(m.u, at_p)
    whole = jnp.where(at_p, 1.0, c + c_tail)
    weights = whole * jnp.sum(jnp.where(at_p, m.u / m.length, 0.0), axis=-1, keepdims=True) ** 2
    t = t - whole * spread_by_blocks(sum_by_blocks(weights * t), t)
    t = jnp.where(at_p, 0.0, t)
    small = sum_by_blocks(c * t)
    small = (small - half_digits(small)) + sum_by_blocks(c_tail * t)
    large = half_digits(sum_by_blocks(c * t))
    t = t - jnp.where(at_p, large + small, 0.0)
    return jnp.where(m.zero, 0.0, (t / m.length) * shielded(root / m.power, t))


def _plain_length(x: Array) -> tuple[Array, Array]:
    """|x|, or 1 where it is 0, and whether it is 0; for float64 numbers that came from float32."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    zero = square == 0
    return jnp.where(jnp.isinf(square), jnp.nan, jnp.sqrt(jnp.where(zero, 1.0, square))), zero


def _plain_unit(x: Array) -> Array:
    """`unit` in float64, for numbers that come from float32."""
    length, zero = _plain_length(x)
    return jnp.where(zero, first_basis_vector(x), x * (1 / length))


def _plain_across(x: Array, t: Array) -> Array:
    """`across` without the exact products, for numbers that come from float32: what rounding leaves along x is taken away
    again, three times, since results may be 2^-150 of t.
    """
    length, zero = _plain_length(x)
    rate = 1 / length
    v = x * rate
    for _ in range(3):
        t = t - v * jnp.sum(v * t, axis=-1, keepdims=True)
    return t * jnp.where(zero, 0.0, rate)


def _quotient(u: Array, at_p: Array) -> tuple[Array, Array]:
    """u/u_p as a head with half the digits and the rest, 0 at p."""
    u_p = jnp.sum(jnp.where(at_p, u, 0.0), axis=-1, keepdims=True)
    head = half_digits(jnp.where(at_p, 0.0, u / u_p))
    p_head = half_digits(u_p)
    return head, (jnp.where(at_p, 0.0, u - head * p_head) - head * (u_p - p_head)) / u_p


def _over_length(x: Array, t: Array) -> Array:
    """t/|x|; 0 where x is 0."""
    m = measured(x)
    return jnp.where(m.zero, 0.0, (t / m.length) * shielded(1 / m.power, t))


def first_basis_vector(x: Array) -> Array:
    """The first basis vector."""
    return (jnp.arange(x.shape[-1]) == 0).astype(x.dtype)
