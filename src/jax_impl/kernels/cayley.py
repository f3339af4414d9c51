"""The Cayley transform Q = (I - A/2)^-1 (I + A/2) of a skew matrix A = T - T^T, T strictly lower triangular.

With W = (I - A/2)^-1: Q = 2 W - I, and dQ = Q (W^T dA W), where W^T dA W is skew again. Up to `WIDEST` rows float32 is
computed in float64, and float64 in pairs; beyond that in the dtype itself, where errors grow with the norm of A.
"""

from math import isqrt
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.constants import triangle_like
from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.householder import column_triangle
from jax_impl.kernels.pairs import WIDEST, in_float64, inverse, minors, small_product
from jax_impl.kernels.triangles import fill_strict, take_strict

# The largest norm of A that is told from infinity: below it (I - A/2) is never singular in the arithmetic in use.
_FARTHEST = {"float32": 2.0**18, "float64": 2.0**46}
_FARTHEST_PLAIN = 2.0**27
_STEPS = 2


def skew(raw: Array) -> Array:
    """A = T - T^T, T the strictly lower triangular matrix with the entries of raw row by row."""
    lower = fill_strict(raw, _side(raw))
    return lower - jnp.swapaxes(lower, -1, -2)


@in_float64
def cayley(raw: Array) -> Array:
    """Q, from the entries below the diagonal of A along the last axis."""
    if raw.shape[-1] == 0:
        return jnp.ones((*raw.shape[:-1], 1, 1), dtype=raw.dtype)
    if _side(raw) > WIDEST:
        half = _half(skew(_within(raw, _FARTHEST[raw.dtype.name])))
    elif raw.dtype == jnp.float64:
        return _refined(raw)
    else:
        half = _small_half(skew(_within(raw, _FARTHEST_PLAIN)).astype(jnp.float64))
    return (2 * half - _one(_side(raw), half)).astype(raw.dtype)


def cayley_columns(raw: Array, n: int, k: int) -> Array:
    """The first k columns of Q, for an A with zeros in its lower right block: raw has its entries (i, j), j < min(i, k).

    A = L E^T - E L^T, L the n by k triangle and E the first columns of I. Far from square, Q E = E + U (I - V^T U/2)^-1 V^T E
    with U = [L, -E] and V = [E, L], which solves with 2k rows in place of n.
    """
    lower = column_triangle(raw, n, k)
    if n <= max(WIDEST, 2 * k):
        rest = jnp.broadcast_to(jnp.zeros_like(lower[..., :1]), (*lower.shape[:-1], n - k))
        return cayley(take_strict(jnp.concatenate([lower, rest], axis=-1)))[..., :k]
    size = _excess(raw, n, _FARTHEST[raw.dtype.name])[..., None]
    lower = lower / size
    upper = lower[..., :k, :]
    one = jnp.broadcast_to(_one(k, raw), upper.shape)
    turned = jnp.swapaxes(upper, -1, -2)
    inner = jnp.concatenate(
        [jnp.concatenate([upper, -one], axis=-1), jnp.concatenate([jnp.swapaxes(lower, -1, -2) @ lower, -turned], axis=-1)],
        axis=-2,
    )
    solved = jnp.linalg.solve(_one(2 * k, raw) - inner / 2, jnp.concatenate([one, turned], axis=-2))
    first = _one(n, raw)[:, :k]
    return (first + lower @ solved[..., :k, :]) - first @ solved[..., k:, :]


@in_float64
def log_volume(raw: Array) -> Array:
    """log det (I - A/2), which is half of log det (I - A^2/4): a sum over the singular values of A."""
    if raw.shape[-1] == 0:
        return jnp.sum(raw, axis=-1)
    return _log_volume(raw)


@in_float64
def uncayley(value: Array, columns: int) -> Array:
    """Raw of the A with a zero lower right block whose first columns of Q are `value`: its last two axes, n by `columns`.

    With Y = (I + X1)^-1, X1 the upper square of X: A1 = 2 (Y^T - Y) and A2 = 2 X2 Y, which is (I - Q)(I + Q)^-1 times -2
    where X is square. It is nan where I + X1 is singular within the digits of the dtype.
    """
    upper = value[..., :columns, :]
    y, y_rest = _from_one(upper)
    far = jnp.max(jnp.abs(y), axis=(-1, -2)) > 1 / (4 * float(jnp.finfo(value.dtype).eps))
    turned, turned_rest = jnp.swapaxes(y, -1, -2), jnp.swapaxes(y_rest, -1, -2)
    square = take_strict(2 * ((turned - y) + (turned_rest - y_rest)).astype(value.dtype))
    times = small_product if columns <= WIDEST else jnp.matmul
    below = (2 * times(value[..., columns:, :].astype(y.dtype), y)).astype(value.dtype)
    raw = jnp.concatenate([square, below.reshape(*below.shape[:-2], below.shape[-2] * columns)], axis=-1)
    return jnp.where(far[..., None], jnp.nan, raw)


def _push(raw: Array, value: Array, tangent: Array) -> Array:
    return small_product(value, skew(jnp.sum(_minors(raw) * tangent[..., :, None], axis=-2)))


def _pull(raw: Array, value: Array, cotangent: Array) -> Array:
    turned = small_product(jnp.swapaxes(value, -1, -2), cotangent)
    along = take_strict(turned - jnp.swapaxes(turned, -1, -2))
    return jnp.sum(_minors(raw) * along[..., None, :], axis=-1)


@with_rule(push=_push, pull=_pull)
def _refined(raw: Array) -> Array:
    pair = _resolvent(raw)
    return (2 * pair[..., 0, :, :] - _one(_side(raw), pair)) + 2 * pair[..., 1, :, :]


def _minors(raw: Array) -> Array:
    pair = _resolvent(raw)
    return minors(triangle_like(_side(raw), pair), (pair[..., 0, :, :], pair[..., 1, :, :]))


def _pair_push(raw: Array, pair: Array, tangent: Array) -> Array:
    head = pair[..., 0, :, :]
    change = small_product(head, small_product(skew(tangent) / 2, head))
    return jnp.stack([change, jnp.zeros_like(change)], axis=-3)


def _pair_pull(raw: Array, pair: Array, cotangent: Array) -> Array:
    turned = jnp.swapaxes(pair[..., 0, :, :], -1, -2)
    change = small_product(turned, small_product(cotangent[..., 0, :, :] / 2, turned))
    return take_strict(change - jnp.swapaxes(change, -1, -2))


@with_rule(push=_pair_push, pull=_pair_pull)
def _resolvent(raw: Array) -> Array:
    """W as a pair along the third axis from the end."""
    half = skew(_within(raw, _FARTHEST["float64"])) / 2
    head, rest = inverse((_one(_side(raw), raw) - half, jnp.zeros_like(half)), _STEPS)
    return jnp.stack([head, rest], axis=-3)


# twin: torch differentiates W by raw, so that backward keeps nothing but the two; JAX by A, and XLA sees to the memory.
def _half_push(a: Array, half: Array, tangent: Array) -> Array:
    return half @ (tangent / 2) @ half


def _half_pull(a: Array, half: Array, cotangent: Array) -> Array:
    turned = jnp.swapaxes(half, -1, -2)
    return turned @ (cotangent / 2) @ turned


@with_rule(push=_half_push, pull=_half_pull)
def _half(a: Array) -> Array:
    return inverse((_one(a.shape[-1], a) - a / 2, a), 0)[0]


def _small_half_push(a: Array, half: Array, tangent: Array) -> Array:
    # Only the skew part of the tangent is there, and taken in float64 its transpose does not cancel in float32.
    along = (tangent - jnp.swapaxes(tangent, -1, -2)) / 4
    return small_product(half, small_product(along, half))


def _small_half_pull(a: Array, half: Array, cotangent: Array) -> Array:
    turned = jnp.swapaxes(half, -1, -2)
    change = small_product(turned, small_product(cotangent, turned))
    return (change - jnp.swapaxes(change, -1, -2)) / 4


@with_rule(push=_small_half_push, pull=_small_half_pull)
def _small_half(a: Array) -> Array:
    return inverse((_one(a.shape[-1], a) - a / 2, jnp.zeros_like(a)), 1)[0]


def _volume_slope(raw: Array) -> Array:
    """d log det (I - A/2) / d raw."""
    if _side(raw) <= WIDEST and raw.dtype == jnp.float64:
        pair = _resolvent(raw)
        turned = jnp.swapaxes(pair, -1, -2)
        return take_strict((pair - turned)[..., 0, :, :] + (pair - turned)[..., 1, :, :]) / 2
    if _side(raw) <= WIDEST:
        half = _small_half(skew(_within(raw, _FARTHEST_PLAIN)).astype(jnp.float64))
    else:
        half = _half(skew(_within(raw, _FARTHEST[raw.dtype.name])))
    return take_strict((half - jnp.swapaxes(half, -1, -2)).astype(raw.dtype)) / 2


@in_float64
def _volume_push(raw: Array, total: Array, tangent: Array) -> Array:
    return jnp.sum(_volume_slope(raw) * tangent, axis=-1)


@in_float64
def _volume_pull(raw: Array, total: Array, cotangent: Array) -> Array:
    return _volume_slope(raw) * cotangent[..., None]


@with_rule(push=_volume_push, pull=_volume_pull)
def _log_volume(raw: Array) -> Array:
    wide = raw.astype(jnp.float64) if _side(raw) <= WIDEST else raw
    finite = jnp.all(jnp.isfinite(wide), axis=-1, keepdims=True)
    sizes = jnp.linalg.svd(skew(jnp.where(finite, wide, 0.0)), compute_uv=False) / 2
    far = sizes > 1e8
    near = jnp.log1p(jnp.where(far, 0.0, sizes) ** 2)
    total = jnp.sum(jnp.where(far, 2 * jnp.log(jnp.where(far, sizes, 1.0)), near), axis=-1) / 2
    return jnp.where(finite[..., 0], total, jnp.nan).astype(raw.dtype)


def _from_one(upper: Array) -> tuple[Array, Array]:
    """(I + upper)^-1 as a pair; the second is 0 where the matrix is large."""
    if upper.shape[-1] > WIDEST:
        y = jnp.linalg.inv(_one(upper.shape[-1], upper) + upper)
        return y, jnp.zeros_like(y)
    pair = _inverse_from_one(upper.astype(jnp.float64))
    return pair[..., 0, :, :], pair[..., 1, :, :]


def _inverse_push(x: Array, pair: Array, tangent: Array) -> Array:
    change = -small_product(pair[..., 0, :, :], small_product(tangent, pair[..., 0, :, :]))
    return jnp.stack([change, jnp.zeros_like(change)], axis=-3)


def _inverse_pull(x: Array, pair: Array, cotangent: Array) -> Array:
    turned = jnp.swapaxes(pair[..., 0, :, :], -1, -2)
    return -small_product(turned, small_product(cotangent[..., 0, :, :], turned))


@with_rule(push=_inverse_push, pull=_inverse_pull)
def _inverse_from_one(x: Array) -> Array:
    one = _one(x.shape[-1], x)
    total = one + x
    lost = jnp.where(one > 0, x - (total - one), 0.0)
    return jnp.stack(inverse((total, lost), _STEPS), axis=-3)


def _within(raw: Array, farthest: float) -> Array:
    """Raw, made smaller where A is so far out that its distance from infinity has no digits left."""
    return raw / _excess(raw, _side(raw), farthest)


def _excess(raw: Array, side: int, farthest: float) -> Array:
    """How many times the norm of A is too large, at least 1."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(raw), axis=-1, keepdims=True))
    return jnp.maximum(largest * ((side - 1) / farthest), 1.0)


def _one(side: int, like: Array) -> Array:
    return jnp.eye(side, dtype=like.dtype)


def _side(raw: Any) -> int:
    return (isqrt(8 * int(raw.shape[-1]) + 1) + 1) // 2
