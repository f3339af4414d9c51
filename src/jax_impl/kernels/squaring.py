"""The exponential of a skew matrix A by Taylor's series at A/2^m and m squarings.

exp A - I is what is squared, X -> 2 X + X^2, so that I takes no digits from a small A. m makes the norm of A/2^m at most 1,
for each matrix its own. Plain differentiation of these steps is accurate, and the fastest.
"""

from math import factorial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.elementary import mantissa_and_exponent
from jax_impl.kernels.pairs import WIDEST, small_product

_FARTHEST = 65536.0
_SQUARINGS = 17
_FEW = 5  # squarings that are written out


def squared_exp(a: Array) -> Array:
    """exp A, nan where A is not finite."""
    finite = jnp.isfinite(jnp.sum(jnp.abs(lax.stop_gradient(a)), axis=(-1, -2), keepdims=True))
    a = within(jnp.where(finite, a, 0.0))
    square = times(a, a)
    # The norm of a skew A is the root of that of A^2, which is at most the largest sum of |entries| of a row of A^2.
    size = jnp.max(jnp.sum(jnp.abs(lax.stop_gradient(square)), axis=-1, keepdims=True), axis=-2, keepdims=True)
    size = jnp.maximum(jnp.sqrt(size), 0.5)
    mantissa, count = mantissa_and_exponent(size)
    scale = mantissa / size  # a power of 2
    rise = _squared(_rise(a * scale, square * (scale * scale)), count)
    one = jnp.eye(a.shape[-1], dtype=a.dtype)
    return jnp.where(finite, one + rise, jnp.nan)


def _squared(rise: Array, count: Array) -> Array:
    """exp A - I of m = count squarings, each matrix its own number of them, from exp(A/2^m) - I."""
    # twin: torch looks how many squarings there are where the numbers can be seen; JAX skips what is too many.
    most = jnp.max(count, initial=0.0)

    def squared(rise: Array, k: Any) -> tuple[Array, None]:
        following = lambda rise: jnp.where(k <= count, 2 * rise + times(rise, rise), rise)  # noqa: E731
        return lax.cond(k <= most, following, lambda rise: rise, rise), None

    def from_far(rise: Array) -> Array:
        return lax.scan(squared, rise, jnp.arange(_SQUARINGS, _FEW, -1, dtype=rise.dtype))[0]

    rise = lax.cond(most > _FEW, from_far, lambda rise: rise, rise)
    for k in range(_FEW, 0, -1):  # one by one: a loop would keep every step for its derivative
        rise, _ = squared(rise, k)
    return rise


def _rise(a: Array, square: Array) -> Array:
    """exp A - I for norms up to 1: to A^13, in float64 to A^19, from few products."""
    fourth = times(square, square)
    sixth = times(fourth, square)
    return _powers(square, fourth, sixth, 0) + times(a, _powers(square, fourth, sixth, 1))


def _powers(square: Array, fourth: Array, sixth: Array, odd: int) -> Array:
    """The sum of A^(2n)/(2n + odd)!, without the term I of the even powers."""
    c = [1 / factorial(2 * n + odd) for n in range(10)]
    one = jnp.eye(square.shape[-1], dtype=square.dtype)
    upper = (c[3] * one + c[4] * square) + c[5] * fourth
    if square.dtype == jnp.float64:
        last = ((c[6] * one + c[7] * square) + c[8] * fourth) + c[9] * sixth
        upper = upper + times(sixth, last)
    else:
        upper = upper + c[6] * sixth
    return (odd * one + c[1] * square) + (c[2] * fourth + times(sixth, upper))


def series(change: Array, small: Array, sign: float) -> Array:
    """The sum over k of (sign ad_A)^k change / (k + 1)!, for a skew change and an A of norm up to 1."""
    terms = 22 if change.dtype == jnp.float64 else 13
    factors = jnp.asarray([sign / (k + 1) for k in range(1, terms)], dtype=change.dtype)

    def following(carry: tuple[Array, Array], factor: Array) -> tuple[tuple[Array, Array], None]:
        total, power = carry
        moved = times(small, power) * factor
        power = moved - _turned(moved)
        return (total + power, power), None

    return lax.scan(following, (change, change), factors)[0][0]


def times(a: Array, b: Array) -> Array:
    """a b: entry by entry where float64 is small, as JAX can transpose that."""
    # twin: JAX is told to multiply float32 in full, which accelerators do not by default.
    return small_product(a, b) if a.shape[-1] <= WIDEST else jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def within(a: Array) -> Array:
    """A, made smaller where its norm is above the largest that is told from others."""
    largest = jnp.max(jnp.abs(lax.stop_gradient(a)), axis=(-1, -2), keepdims=True)
    return a / jnp.maximum(largest * (a.shape[-1] / _FARTHEST), 1.0)


def _turned(a: Array) -> Array:
    return jnp.swapaxes(a, -1, -2)
