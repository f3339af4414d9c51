"""Maps of all vectors onto the unit balls, along the last axis, with hand-written derivatives.

A radial map keeps the direction of x and takes its length rho to tanh(rho) ("tanh") or to rho/sqrt(1 + rho^2) and
rho/(1 + rho) ("alg", for norm 2 and 1). With n = grad rho its derivative is

    f (1 - d n^T) + f' d n^T,   d = x/rho,   f = length of the value over rho,   f' = derivative of that length.

In norm 1, n = sign(x) jumps where an entry is 0; there, between the two sides, it is taken as 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, enable_x64

from jax_impl.kernels.derivatives import with_both, with_rule
from jax_impl.kernels.elementary import exp, log, log1p, power_below, sech2, shielded, tanh, times_power, two_sum
from jax_impl.kernels.exact_sums import cumsum_exactly, squares, sum_exactly, two_product
from jax_impl.kernels.hyperbolic import log_less_tanh, log_less_tanh_twice, log_sech2, tanh_fraction
from jax_impl.kernels.logarithms import log_twice
from jax_impl.kernels.sphere import across, first_basis_vector, measured, unit
from jax_impl.kernels.sums import after, before, reverse_cumsum, running_product, sum_behind, sum_once


class Radius(NamedTuple):
    """rho = power * length, which may overflow; 0 where x is 0."""

    rho: Array
    power: Array
    length: Array


def ball(norm: int, link: str, x: Array) -> Array:
    """The point of the open unit ball of a norm."""
    return _BALLS[norm, link](x)


def ball_log_det(norm: int, link: str, x: Array) -> tuple[Array, Array]:
    """log |det| of the derivative of `ball` as a number and, for "alg", its rounding error: a log radius may cancel it."""
    pair = _LOG_DETS[norm, link](x)
    return pair[..., 0], pair[..., 1]


def with_log_radius(log_radius: float, rest: float, n: int, unit: tuple[Array, Array]) -> Array:
    """n (log_radius + rest) more than a pair."""
    head, error = two_product(jnp.zeros_like(unit[0]) + shielded(log_radius, unit[0]), jnp.full_like(unit[0], float(n)))
    total, lost = two_sum(head, unit[0])
    return total + ((lost + error) + (unit[1] + n * rest))


def radius_of(norm: int, x: Array) -> Array:
    """|x| in a norm, along the last axis, which is kept."""
    return _radius(norm, x)[1].rho


def direction(norm: int, x: Array) -> Array:
    """x/|x| in a norm, at any length; the first basis vector where x is 0."""
    if norm == 2:
        return unit(x)
    u, radius = _radius(1, x)
    # u may have lost small entries of a long x, which radius.length >= 1 divides without overflow; a short x is u, exactly.
    long = jnp.where(radius.power > 1, radius.power, 1.0)
    zero = radius.rho == 0
    return times_power(jnp.where(zero, u, x), jnp.where(zero, 1.0, long / radius.power)) / radius.length / long


def _radius(norm: int, x: Array) -> tuple[Array, Radius]:
    """x in units of its power, or the first basis vector where x is 0, and the length of x."""
    if norm == 2:
        m = measured(x)
        return m.u, Radius(jnp.where(m.zero, 0.0, m.power * m.length), m.power, m.length)
    power = power_below(x)
    u = times_power(x, 1 / power)
    zero = jnp.max(jnp.abs(u), axis=-1, keepdims=True) < 1e-18  # the smallest subnormal number gives more
    u, power = jnp.where(zero, first_basis_vector(x), u), jnp.where(zero, 1.0, power)
    length = sum_once(jnp.abs(u))
    return u, Radius(jnp.where(zero, 0.0, power * length), power, length)


def _stretch(norm: int, link: str, r: Radius) -> tuple[Array, Array, Array]:
    """f where rho < 1 (else 1), f rho where rho >= 1 (else 1), and f'."""
    near = r.rho < 1
    rho = jnp.where(near, r.rho, 0.0)
    if link == "tanh":
        inner = 1 / (1 + rho * rho * tanh_fraction(rho * rho))
        return inner, jnp.where(near, 1.0, tanh(jnp.where(near, 1.0, r.rho))), sech2(r.rho)
    unit_length = jnp.where(near, 1.0, 1 / r.power)  # far out all is measured in units of the power
    length = jnp.where(near, 0.0, r.length)
    if norm == 2:
        inner = 1 / jnp.sqrt(1 + rho * rho)
        total = jnp.sqrt(length * length + unit_length * unit_length)
        root = jnp.where(near, inner, unit_length / total)
        return inner, jnp.where(near, 1.0, length / total), root * root * root
    inner = 1 / (1 + rho)
    total = length + unit_length
    root = jnp.where(near, inner, unit_length / total)
    return inner, jnp.where(near, 1.0, length / total), root * root


def _forward(norm: int, link: str, x: Array) -> Array:
    _, radius = _radius(norm, x)
    inner, outer, _ = _stretch(norm, link, radius)
    return jnp.where(radius.rho < 1, inner * x, outer * direction(norm, _far(radius, x)))


def _far(radius: Radius, x: Array) -> Array:
    """x where rho >= 1, and a unit vector elsewhere, which no division is afraid of."""
    return jnp.where(radius.rho < 1, first_basis_vector(x), x)


def _push_2(link: str, x: Array, t: Array) -> Array:
    """The derivative in norm 2, which is symmetric. Far out the part across x is by `across`: nothing cancels there."""
    _, radius = _radius(2, x)
    near = radius.rho < 1
    inner, outer, slope = _stretch(2, link, radius)
    short, long = jnp.where(near, x, 0.0), _far(radius, x)
    t_near, t_far = jnp.where(near, t, 0.0), jnp.where(near, 0.0, t)
    rho2 = jnp.where(near, radius.rho * radius.rho, 0.0)
    bend = inner * (tanh_fraction(rho2) - inner) if link == "tanh" else -inner * inner * inner  # (f' - f)/rho^2
    d = unit(long)
    along = bend * (short * jnp.sum(short * t_near, axis=-1, keepdims=True))
    beyond = slope * (d * jnp.sum(d * t_far, axis=-1, keepdims=True))
    return (inner * t_near + along) + (outer * across(long, t_far) + jnp.where(near, 0.0, beyond))


class _Slopes1(NamedTuple):
    """What the derivative in norm 1 is made of: f = factor * unit, d and sign(x), and the largest entry."""

    factor: Array
    unit: Array
    slope: Array
    d: Array
    sign: Array
    others: Array
    at_p: Array


def _slopes_1(link: str, x: Array) -> _Slopes1:
    u, radius = _radius(1, x)
    near = radius.rho < 1
    inner, outer, slope = _stretch(1, link, radius)
    d = u / radius.length
    at_p = jnp.arange(x.shape[-1]) == jnp.argmax(jnp.abs(u), axis=-1, keepdims=True)
    return _Slopes1(
        factor=jnp.where(near, inner, outer / radius.length),
        unit=jnp.where(near, 1.0, 1 / radius.power),
        slope=slope,
        d=d,
        sign=jnp.sign(x),
        others=jnp.where(at_p, 0.0, jnp.abs(d)),
        at_p=at_p,
    )


def _push_1(link: str, x: Array, t: Array) -> Array:
    """The derivative in norm 1; the transpose of `_pull_1`, line by line."""
    s = _slopes_1(link, x)
    flipped = s.sign * t
    total = jnp.sum(flipped, axis=-1, keepdims=True)
    offset = jnp.where(s.at_p, 0.0, flipped - s.others * total)
    across_x = s.sign * (offset - jnp.where(s.at_p, jnp.sum(offset, axis=-1, keepdims=True), 0.0))
    free = jnp.where(s.sign == 0, t, 0.0)
    return s.factor * (free + across_x) * s.unit + s.d * (s.slope * total)


def _pull_1(link: str, x: Array, w: Array) -> Array:
    """(f' - f) s (d . w) + f w, s = sign(x), measured from the entry p of w so that nothing cancels where w is along s."""
    s = _slopes_1(link, x)
    flipped = s.sign * w
    offset = jnp.where(s.at_p, 0.0, flipped - jnp.sum(jnp.where(s.at_p, flipped, 0.0), axis=-1, keepdims=True))
    across_s = s.sign * (offset - jnp.sum(s.others * offset, axis=-1, keepdims=True))
    free = jnp.where(s.sign == 0, w, 0.0)
    return s.factor * (free + across_s) * s.unit + s.sign * (s.slope * jnp.sum(s.d * w, axis=-1, keepdims=True))


def _log_det(norm: int, link: str, x: Array) -> Array:
    """A number and its rounding error, along a last axis of length 2."""
    u, r = _radius(norm, x)
    n = x.shape[-1]
    if link == "tanh":
        near = r.rho < 2
        rho = jnp.where(near, r.rho, 0.0)
        inner = -log1p(rho * rho * tanh_fraction(rho * rho))
        outer = log(tanh(jnp.where(near, 2.0, r.rho))) - _log_rho(r, near)
        whole = log_sech2(r.rho) + (n - 1) * jnp.where(near, inner, outer)
        return _exact(whole)
    near = r.rho < 1
    rho, one = jnp.where(near, r.rho, 0.0), jnp.where(near, 1.0, 1 / r.power)
    scaled = jnp.where(near, x, u)  # far out all is measured in units of the power
    size, border, factor = (squares(scaled), one * one, -(n + 2) / 2) if norm == 2 else (jnp.abs(scaled), one, -(n + 1.0))
    total, error = sum_exactly(jnp.concatenate([size, border], axis=-1))
    head, rest = log_twice(total)
    beyond, beyond_rest = log_twice(jnp.where(near, 1.0, r.power))
    head, lost = two_sum(norm * beyond, head)
    rest = (rest + error / total) + (norm * beyond_rest + lost)
    whole, lost = two_product(head, jnp.full_like(head, factor))
    rest = lost + factor * rest
    tiny = (r.rho < 1e-12) & (norm == 2)  # there the square may be subnormal while factor times it is not
    whole, rest = jnp.where(tiny, factor * rho * rho, whole), jnp.where(tiny, 0.0, rest)
    return jnp.concatenate([whole, rest], axis=-1)


def _log_rho(r: Radius, near: Array) -> Array:
    return log(jnp.where(near, 1.0, r.length)) + log(jnp.where(near, 1.0, r.power))


def _log_det_gradient(norm: int, link: str, x: Array) -> Array:
    """-k(rho) n, where k/rho is smooth at 0."""
    _, r = _radius(norm, x)
    n, near = x.shape[-1], r.rho < 1
    rho, far = jnp.where(near, r.rho, 0.0), jnp.where(near, 1.0, r.rho)
    if link == "tanh":
        fraction = tanh_fraction(rho * rho)
        ratio = 1 / (1 + rho * rho * fraction)
        inner = 2 * ratio + (n - 1) * (ratio - fraction)
        outer = 2 * tanh(far) + (n - 1) * (1 / far - sech2(far) / tanh(far))
    elif norm == 2:
        inner, outer = (n + 2) / (1 + rho * rho), (n + 2) / (far + 1 / far)
    else:
        # twin: k does not vanish with rho in this norm and link, so it has no k/rho.
        k = (n + 1) * jnp.where(near, 1 / (1 + rho), (1 / far) / (1 + 1 / far))
        return -k * jnp.sign(x)
    if norm == 2:
        return -jnp.where(near, inner * x, outer * unit(_far(r, x)))
    return -jnp.where(near, inner * rho, outer) * jnp.sign(x)


def _pushed(norm: int, link: str, x: Array, t: Array) -> Array:
    return _push_2(link, x, t) if norm == 2 else _push_1(link, x, t)


def _pulled(norm: int, link: str, x: Array, w: Array) -> Array:
    return _push_2(link, x, w) if norm == 2 else _pull_1(link, x, w)


def _onto_ball(norm: int, link: str) -> Callable[[Array], Array]:
    @with_rule(
        push=lambda x, y, tangent: _pushed(norm, link, x, tangent),
        pull=lambda x, y, cotangent: _pulled(norm, link, x, cotangent),
        keeps_value=False,
    )
    def onto_ball(x: Array) -> Array:
        return _forward(norm, link, x)

    return onto_ball


def _exact(number: Array) -> Array:
    """A number of which no rounding error is known, as a pair."""
    return jnp.concatenate([number, jnp.zeros_like(number)], axis=-1)


def _log_det_of(norm: int, link: str) -> Callable[[Array], Array]:
    @with_rule(
        push=lambda x, y, tangent: _exact(jnp.sum(_log_det_gradient(norm, link, x) * tangent, axis=-1, keepdims=True)),
        pull=lambda x, y, cotangent: _log_det_gradient(norm, link, x) * cotangent[..., :1],
        keeps_value=False,
    )
    def log_det(x: Array) -> Array:
        return _log_det(norm, link, x)

    return log_det


_KINDS = ((1, "tanh"), (1, "alg"), (2, "tanh"), (2, "alg"))
_BALLS: Any = {kind: _onto_ball(*kind) for kind in _KINDS}
_LOG_DETS: Any = {kind: _log_det_of(*kind) for kind in _KINDS}


def stick(x: Array) -> Array:
    """tanh(x_k) times what the entries before leave of the unit ball in norm 1: prod_{j<k} (1 - |tanh x_j|)."""
    if x.dtype == jnp.float32:
        return _plain_stick(x)
    return _twice_stick(x)


@with_rule(
    push=lambda x, y, tangent: _stick_push(x, y, tangent),
    pull=lambda x, y, cotangent: _stick_pull(x, y, cotangent),
)
def _twice_stick(x: Array) -> Array:
    return tanh(x) * _left_before(x)


@with_both(
    push=lambda x, y, tangent: _plain_stick_push(x, y, tangent),
    pull=lambda x, y, cotangent: _plain_stick_pull(x, y, cotangent),
)
def _plain_stick(x: Array) -> Array:
    """`stick` in float64, whose products lose nothing that float32 shows."""
    with enable_x64(True):
        _, left = _plain_left(x)
        return (jnp.tanh(x.astype(jnp.float64)) * left).astype(x.dtype)


def _plain_left(x: Array) -> tuple[Array, Array]:
    """1 - |tanh x| and its product over the entries before each, for float32 numbers in float64."""
    e = jnp.exp(-2 * _size(x).astype(jnp.float64))
    rest = 2 * e / (1 + e)
    return rest, running_product(rest)


def _plain_stick_slopes(x: Array) -> tuple[Array, Array]:
    with enable_x64(True):
        rest, left = _plain_left(x)
        own, taken = rest * (2 - rest) * left, jnp.sign(x).astype(rest.dtype) * (2 - rest)
        return own.astype(x.dtype), taken.astype(x.dtype)


def _plain_stick_push(x: Array, y: Array, t: Array) -> Array:
    own, taken = _plain_stick_slopes(x)
    return own * t - y * before(jnp.cumsum(taken * t, axis=-1)[..., :-1])


def _plain_stick_pull(x: Array, y: Array, w: Array) -> Array:
    own, taken = _plain_stick_slopes(x)
    return own * w - taken * sum_behind(y * w)


def _size(x: Array) -> Array:
    """|x|, with the derivative sign(x), which is 0 at 0 in both frameworks."""
    return x * jnp.sign(x)


def _left_before(x: Array) -> Array:
    """What the entries before leave of the unit ball: prod_{j<k} (1 - |tanh x_j|), by the exact sum of the logarithms."""
    logs, rest = log_less_tanh_twice(_size(x[..., :-1]))
    total, error = cumsum_exactly(before(logs))
    return exp(total) * (1 + (error + jnp.cumsum(before(rest), axis=-1)))


def _stick_slopes(x: Array) -> tuple[Array, Array]:
    """dy_k/dx_k, and -d log(1 - |tanh x_j|)/dx_j."""
    return sech2(x) * _left_before(x), jnp.sign(x) * (1 + jnp.abs(tanh(x)))


def _stick_push(x: Array, y: Array, t: Array) -> Array:
    own, taken = _stick_slopes(x)
    return own * t - y * before(jnp.cumsum(taken * t, axis=-1)[..., :-1])


def _stick_pull(x: Array, y: Array, w: Array) -> Array:
    own, taken = _stick_slopes(x)
    return own * w - taken * after(reverse_cumsum(y * w)[..., 1:])


def stick_log_det(x: Array) -> tuple[Array, Array]:
    """log |det| of the derivative of `stick` as a number and the rounding error of its sum."""
    n = x.shape[-1]
    behind = jnp.arange(n - 1, -1, -1, dtype=x.dtype)
    total, error = sum_exactly(jnp.concatenate([log_sech2(x), behind * log_less_tanh(_size(x))], axis=-1))
    return total[..., 0], error[..., 0]
