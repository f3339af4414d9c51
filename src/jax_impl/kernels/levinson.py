"""Durbin and Levinson's recursion between partial autocorrelations and the coefficients of an autoregression.

`ahead` holds 1, -phi_1, ..., -phi_k and `back` the same from behind. One partial autocorrelation r more makes
ahead - r z back of the one and z back - r ahead of the other, where z moves entries one place up.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import sech2, shielded, tanh, two_sum
from jax_impl.kernels.exact_sums import two_product
from jax_impl.kernels.links import sigmoid

Pair = tuple[Array, Array]


@with_rule(
    push=lambda x, y, tangent: _added(_jacobian(x).mT, tangent),
    pull=lambda x, y, cotangent: _added(_jacobian(x), cotangent),
    keeps_value=False,
)
def levinson(raw: Array) -> Array:
    """The coefficients phi of partial autocorrelations tanh(raw), along the last axis."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    links = jnp.stack([tanh(raw), 2 * sigmoid(-2 * raw), 2 * sigmoid(2 * raw)])
    first = jnp.concatenate([jnp.ones_like(raw[..., :1]), jnp.zeros_like(raw)], axis=-1)

    def step(carry: Any, links: Array) -> Any:
        ahead, back = carry
        return _step(ahead, back, links), None

    (ahead, _), _ = lax.scan(step, (first, first), jnp.moveaxis(links, -1, 0)[..., None])
    return -ahead[..., 1:]


def _jacobian(raw: Array) -> Array:
    """d phi_i / d raw_k, in row k. Going backwards through the steps instead, a slope of (1 - r) or (1 + r) at r near 1 or -1
    would be what is left of numbers near 1.
    """
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    links = jnp.stack([tanh(raw), 2 * sigmoid(-2 * raw), 2 * sigmoid(2 * raw)])
    n = raw.shape[-1]
    rows = jnp.arange(n + 1)[:, None]  # the coefficients, and their derivatives by each r
    corner = (rows == 0) & (jnp.arange(n + 1) == 0)
    first = jnp.where(corner, jnp.ones_like(raw[..., :1, None]), 0.0)

    def step(carry: Any, now: tuple[Array, Array]) -> Any:
        ahead, back = carry
        k, links = now
        whole, moved = ahead[..., :1, :], jnp.concatenate([jnp.zeros_like(back[..., :1, :1]), back[..., :1, :-1]], axis=-1)
        ahead, back = _step(ahead, back, links)
        return (jnp.where(rows == k + 1, -moved, ahead), jnp.where(rows == k + 1, -whole, back)), None

    (ahead, _), _ = lax.scan(step, (first, first), (jnp.arange(n), jnp.moveaxis(links, -1, 0)[..., None, None]))
    return -ahead[..., 1:, 1:] * sech2(raw)[..., None]


def _added(matrix: Array, vector: Array) -> Array:
    """The product of a matrix and a vector, in the dtype of the vector; its entries may cancel."""
    return jnp.sum(matrix * vector[..., None, :], axis=-1)


def levinson_inverse(phi: Array) -> tuple[Array, Array, Array]:
    """The partial autocorrelations r of coefficients, 1 + r and 1 - r; r is of size 1 or more, or not finite, where phi is
    not stationary. To twice the precision, since rounding errors grow with prod 1/(1 - r_k^2).
    """
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    # twin: torch makes the coefficients one shorter at each step; in a scan they keep their length, forwards and backwards.
    ahead = jnp.concatenate([jnp.ones_like(phi[..., :1]), -phi], axis=-1)
    rest = jnp.zeros_like(ahead)

    def step(carry: Any, _: None) -> Any:
        ahead, back, r = _step_back(*carry)
        return (ahead, back), jnp.stack(r)

    start = ((ahead, rest), (jnp.flip(ahead, -1), rest))
    _, found = lax.scan(step, start, None, length=phi.shape[-1], reverse=True)
    r, more, less = jnp.moveaxis(found[..., 0], 0, -1)
    return r, more, less


def _step(ahead: Array, back: Array, links: Array) -> tuple[Array, Array]:
    """One r more. Where r is near 1 or -1, the sum and the difference are multiplied by 1 - r and 1 + r, so that what is
    left of terms that cancel is not lost with the last digits of r.
    """
    moved = jnp.concatenate([jnp.zeros_like(back[..., :1]), back[..., :-1]], axis=-1)
    r, less, more = links
    total, gap = less * (ahead + moved) / 2, more * (ahead - moved) / 2
    far = jnp.abs(r) > 0.96875
    return jnp.where(far, total + gap, ahead - r * moved), jnp.where(far, total - gap, moved - r * ahead)


def _step_back(ahead: Pair, back: Pair) -> tuple[Pair, Pair, tuple[Array, Array, Array]]:
    r = (-back[0][..., :1], -back[1][..., :1])
    one = shielded(1.0, r[0])
    less, more = _plus((one, 0 * one), (-r[0], -r[1])), _plus((one, 0 * one), r)
    room = _times(less, more)
    moved = _over(_plus(back, _times(r, ahead)), room)
    ahead = _over(_plus(ahead, _times(r, back)), room)
    behind = [jnp.concatenate([part[..., 1:], jnp.zeros_like(part[..., :1])], axis=-1) for part in moved]
    return ahead, (behind[0], behind[1]), (r[0], more[0], less[0])


def _plus(a: Pair, b: Pair) -> Pair:
    total, error = two_sum(a[0], b[0])
    rest, last = two_sum(a[1], b[1])
    total, error = two_sum(total, error + rest)
    return two_sum(total, error + last)


def _times(a: Pair, b: Pair) -> Pair:
    total, error = two_product(a[0], b[0])
    return two_sum(total, error + (a[0] * b[1] + a[1] * b[0]))


def _over(a: Pair, b: Pair) -> Pair:
    ratio = a[0] / b[0]
    there, error = two_product(ratio, b[0])
    left = ((a[0] - there) - error) + (a[1] - ratio * b[1])
    return two_sum(ratio, left / b[0])
