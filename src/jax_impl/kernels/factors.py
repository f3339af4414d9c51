"""Products x x^T and Cholesky factors to about one rounding, with hand-written derivatives.

# twin: torch computes in float64 freely, JAX inside `enable_x64`, so only where the derivative is written by hand.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from math import log as math_log
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, enable_x64, lax

from isoparam.specs.places import triangle_places
from jax_impl.kernels.derivatives import with_both, with_rule, with_slope
from jax_impl.kernels.elementary import exp, expm1, half_digits, log, power_below, times_power, two_sum
from jax_impl.kernels.links import sigmoid, softplus, softplus_inverse
from jax_impl.kernels.products import gram as exact_gram
from jax_impl.kernels.products import small_gram
from jax_impl.kernels.sums import on_one_grid, sum_once
from jax_impl.kernels.triangles import fill_lower, mirrored, symmetric_part, take_lower

# Sides up to which products and factors are computed with more digits; beyond, at the speed of the libraries.
SMALL_PRODUCT = 32
SMALL_FACTOR = 16

# log 2 as a number of few digits, whose product with a side is exact, and the rest.
_LN2_HALVES = (0.693145751953125, 1.4286068203094173e-06)

LINKS: dict[str, Callable[[Array], Array]] = {"softplus": softplus, "exp": exp}


def diagonal(matrix: Array) -> Array:
    """The diagonal of each matrix along one last axis."""
    return jnp.diagonal(matrix, axis1=-2, axis2=-1)


def with_diagonal(matrix: Array, entries: Array) -> Array:
    """The matrix, of at least as many rows as columns, with other numbers on its diagonal."""
    row, column = (jnp.arange(size) for size in matrix.shape[-2:])
    return jnp.where(row[:, None] == column, entries[..., None, :], matrix)


def filled(raw: Array, side: int, link: str) -> Array:
    """The lower triangular matrix of raw, row by row, with the link on its diagonal."""
    assert raw.shape[-1] == side * (side + 1) // 2
    return _FILLED[link](raw)


def unlinked(y: Array, link: str) -> Array:
    """The raw of a diagonal entry y, a subnormal one too: there both links are the exponential."""
    tiny = float(jnp.finfo(y.dtype).tiny)
    low = y < tiny
    inner = jnp.where(low, 1.0, y)
    lifted = log(times_power(jnp.where(low, y, 1.0), jnp.full_like(y, 1 / tiny))) + math_log(tiny)
    return jnp.where(low, lifted, softplus_inverse(inner) if link == "softplus" else log(inner))


def times(a: Array, b: Array) -> Array:
    """The product of two matrices in the full digits of their dtype."""
    # twin: JAX on a GPU drops digits unless told; torch keeps them unless told otherwise.
    return jnp.matmul(a, b, precision="highest")


def product(x: Array) -> Array:
    """x x^T, symmetric to the last bit."""
    if x.shape[-2] > SMALL_PRODUCT:
        return mirrored(times(x, x.mT))
    if x.dtype == jnp.float64:
        upper, rest = paired_sum(x[..., :, None, :], x[..., None, :, :])
        return mirrored(upper + rest)
    with enable_x64(True):
        return small_gram(jnp.moveaxis(x, (-2, -1), (0, 1)).astype(jnp.float64)).astype(x.dtype)


def paired_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Sum of a * b along the last axis, as an exact part and what little is missing.

    Heads have half the digits, so their products are exact, and so is the sum of what these have on one grid.
    """
    head, other = half_digits(a), half_digits(b)
    upper, lower = on_one_grid(head * other, 4.0 * a.shape[-1])
    rest = lower + (head * (b - other) + (a - head) * b)
    return jnp.sum(upper, axis=-1), jnp.sum(rest, axis=-1)


def _gram_push(x: Array, y: Array, tangent: Array) -> Array:
    change = times(tangent, x.mT)
    return change + change.mT


@with_rule(push=_gram_push, pull=lambda x, y, cotangent: times(cotangent + cotangent.mT, x), keeps_value=False)
def gram(x: Array) -> Array:
    """x x^T, right in float32 also where its entries cancel."""
    return mirrored(exact_gram(x)) if x.dtype == jnp.float32 and x.shape[-2] <= SMALL_PRODUCT else product(x)


def _covariance(link: str, raw: Array) -> Array:
    side = _side(raw)
    if side > SMALL_PRODUCT or raw.dtype == jnp.float64:
        return product(filled(raw, side, link))
    with enable_x64(True):
        flat = jnp.moveaxis(raw, -1, 0).astype(jnp.float64)
        entry, place = triangle_places(side, 0)
        ends = np.flatnonzero(_on_diagonal(side))
        # Where each entry of the factor comes from: the triangle, then its diagonal through the link, then a 0.
        source = np.where(entry == len(place), len(place) + side, entry)
        source[:: side + 1] = len(place) + np.arange(side)
        parts = jnp.concatenate([flat, LINKS[link](flat[ends]), jnp.zeros_like(flat[:1])], axis=0)
        return small_gram(parts[source].reshape(side, side, *raw.shape[:-1])).astype(raw.dtype)


def _covariance_push(link: str, raw: Array, y: Array, tangent: Array) -> Array:
    side = _side(raw)
    change = times(fill_lower(_slopes(link, raw) * tangent, side), filled(raw, side, link).mT)
    return change + change.mT


def _covariance_pull(link: str, raw: Array, y: Array, cotangent: Array) -> Array:
    return _slopes(link, raw) * take_lower(times(cotangent + cotangent.mT, filled(raw, _side(raw), link)))


def _roots(link: str, matrix: Array) -> Array:
    small = matrix.shape[-1] <= SMALL_FACTOR
    with enable_x64(True):
        wide = symmetric_part(matrix).astype(jnp.float64)
        head, tail = _paired_factor(wide) if small else _plain_factor(wide)
        raw = take_lower(with_diagonal(head, _unlinked(link, diagonal(head), diagonal(tail))))
        return raw.astype(matrix.dtype)


def _roots_push(link: str, matrix: Array, raw: Array, tangent: Array) -> Array:
    factor = filled(raw, _side(raw), link)
    half = _solved(factor, (tangent + tangent.mT) / 2)
    change = times(factor, _lower_half(_solved(factor, half.mT)))
    return take_lower(change) / _slopes(link, raw)


def _roots_pull(link: str, matrix: Array, raw: Array, cotangent: Array) -> Array:
    side = _side(raw)
    factor = filled(raw, side, link)
    inner = _lower_half(times(factor.mT, fill_lower(cotangent / _slopes(link, raw), side)))
    half = _solved_transposed(factor, inner)
    change = _solved_transposed(factor, half.mT)
    return (change + change.mT) / 2


def _fill(link: str, raw: Array) -> Array:
    return fill_lower(jnp.where(_on_diagonal(_side(raw)), _linked(raw, link), raw), _side(raw))


_FILLED: dict[str, Callable[[Array], Array]] = {
    link: with_both(
        push=lambda raw, y, tangent, link=link: fill_lower(_slopes(link, raw) * tangent, y.shape[-1]),
        pull=lambda raw, y, cotangent, link=link: _slopes(link, raw) * take_lower(cotangent),
    )(partial(_fill, link))
    for link in LINKS
}
# The covariance with a raw triangle, by the link on the diagonal of its factor, and the raw triangle of a covariance.
covariance: dict[str, Callable[[Array], Array]] = {
    link: with_both(push=partial(_covariance_push, link), pull=partial(_covariance_pull, link))(partial(_covariance, link))
    for link in LINKS
}
roots: dict[str, Callable[[Array], Array]] = {
    link: with_rule(push=partial(_roots_push, link), pull=partial(_roots_pull, link))(partial(_roots, link)) for link in LINKS
}


def covariance_log_det(raw: Array, link: str) -> Array:
    """log |det| of `covariance` on its lower triangle, from the raw numbers of the diagonal: the last axis."""
    side = raw.shape[-1]
    # n log 2 + sum_k (n - k + 1) log L_kk + log link'(raw_k), with exact products of log 2 and of the heads of log L_kk
    weights = jnp.arange(side, 0, -1, dtype=raw.dtype)
    logs = raw if link == "exp" else log_softplus(raw)
    slopes = raw if link == "exp" else -softplus(-raw)
    head = half_digits(logs)
    ln2, ln2_tail = (jnp.full_like(raw[..., :1], side * part) for part in _LN2_HALVES)
    terms = (ln2, ln2_tail, weights * head, weights * (logs - head), slopes)
    return sum_once(jnp.concatenate(terms, axis=-1))[..., 0]


@with_slope(lambda x: _log_softplus_slope(x))
def log_softplus(x: Array) -> Array:
    """log(log(1 + exp(x))); below -20 it is x - exp(x)/2 to the last digit that is shown, as softplus underflows."""
    low = x < -20
    return jnp.where(low, x - exp(x) / 2, log(softplus(jnp.where(low, 0.0, x))))


def _log_softplus_slope(x: Array) -> Array:
    low = x < -20
    inner = jnp.where(low, 0.0, x)
    return jnp.where(low, 1 - exp(x) / 2, sigmoid(inner) / softplus(inner))


def _side(raw: Array) -> int:
    return (isqrt(8 * raw.shape[-1] + 1) - 1) // 2


def _slopes(link: str, raw: Array) -> Array:
    """d entry / d raw of `filled`, flat: 1 below the diagonal. From the entries, which XLA then computes once, for both."""
    linked = _linked(raw, link)
    return jnp.where(_on_diagonal(_side(raw)), linked if link == "exp" else -expm1(-linked), 1.0)


def _linked(raw: Array, link: str) -> Array:
    """The flat triangle with the link on its diagonal, and on 0 elsewhere."""
    return LINKS[link](jnp.where(_on_diagonal(_side(raw)), raw, 0.0))


def _on_diagonal(side: int) -> np.ndarray:
    """Which entries of a flat lower triangle stand on the diagonal."""
    return triangle_places(side, 0).place % (side + 1) == 0


def _solved(factor: Array, right: Array) -> Array:
    return lax.linalg.triangular_solve(factor, right, left_side=True, lower=True)


def _solved_transposed(factor: Array, right: Array) -> Array:
    return lax.linalg.triangular_solve(factor, right, left_side=True, lower=True, transpose_a=True)


def _lower_half(matrix: Array) -> Array:
    """The lower triangle with its diagonal halved."""
    return with_diagonal(jnp.tril(matrix), diagonal(matrix) / 2)


def _unlinked(link: str, y: Array, tail: Array) -> Array:
    """The raw of a diagonal entry y + tail."""
    if link == "exp":
        return log(y) + tail / y
    return softplus_inverse(y) - tail / expm1(-y)


def _plain_factor(matrix: Array) -> tuple[Array, Array]:
    factor = lax.linalg.cholesky(matrix, symmetrize_input=False)
    return factor, jnp.zeros_like(factor)


def _paired_factor(matrix: Array) -> tuple[Array, Array]:
    """The Cholesky factor as head + tail, to twice the digits, by columns; nan where a pivot is not positive."""
    # A power of 4 near the largest entry is divided out, so that small matrices do not lose their tails.
    root = power_below(jnp.sqrt(power_below(diagonal(matrix))))[..., None]
    left = times_power(times_power(matrix, 1 / root), 1 / root)
    state = (left, jnp.zeros_like(left), jnp.zeros_like(left), jnp.zeros_like(left))
    # twin: a loop in Python here, since the side is small; JAX traces one step of it.
    _, _, head, tail = lax.fori_loop(0, matrix.shape[-1], _next_column, state)
    inside = jnp.all(diagonal(head) > 0, axis=-1) & jnp.all(jnp.isfinite(diagonal(head)), axis=-1)
    head = jnp.where(inside[..., None, None], head, jnp.nan)
    return times_power(head, root), times_power(tail, root)


def _next_column(k: Any, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
    """Column k of the factor from what is left of the matrix, and what is left then.

    Products are split into four exact ones, which stay exact where a compiler fuses them into sums.
    """
    left, left_tail, head, tail = state
    row = jnp.arange(left.shape[-1])
    above, above_tail = _at(left, k), _at(left_tail, k)
    pivot, pivot_tail = _at(above, k)[..., None], _at(above_tail, k)[..., None]
    root = jnp.sqrt(pivot)
    upper, lower = _halves(root)
    root_tail = ((((pivot - upper * upper) - 2 * upper * lower) - lower * lower) + pivot_tail) / (2 * root)
    entry = above / root
    high, low = _halves(entry)
    missing = (((above - high * upper) - high * lower) - low * upper) - low * lower
    entry_tail = (missing + (above_tail - entry * root_tail)) / root
    entry = jnp.where(row == k, root, jnp.where(row > k, entry, 0.0))
    entry_tail = jnp.where(row == k, root_tail, jnp.where(row > k, entry_tail, 0.0))
    entry, entry_tail = two_sum(entry, entry_tail)
    high, low = _halves(entry)
    for a, b in ((high, high), (high, low), (low, high), (low, low)):
        left, error = two_sum(left, -(a[..., :, None] * b[..., None, :]))
        left_tail = left_tail + error
    cross = entry[..., :, None] * entry_tail[..., None, :]
    left, left_tail = two_sum(left, left_tail - (cross + cross.mT))
    here = row == k
    return left, left_tail, jnp.where(here, entry[..., None], head), jnp.where(here, entry_tail[..., None], tail)


def _halves(x: Array) -> tuple[Array, Array]:
    head = half_digits(x)
    return head, x - head


def _at(array: Array, k: Any) -> Array:
    return lax.dynamic_index_in_dim(array, k, axis=-1, keepdims=False)
