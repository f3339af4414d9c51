"""Products x x^T and Cholesky factors to about one rounding, with hand-written derivatives.

# twin: torch computes in float64 freely, JAX inside `enable_x64`, so only where the derivative is written by hand.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from math import log as math_log

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule, with_slope
from torch_impl.kernels.elementary import exp, expm1, half_digits, log, power_below, times_power, two_sum
from torch_impl.kernels.links import sigmoid, softplus, softplus_inverse
from torch_impl.kernels.products import gram as exact_gram
from torch_impl.kernels.sums import doubled, in_blocks, in_sight, on_one_grid, sum_once
from torch_impl.kernels.triangles import fill_lower, mirrored, symmetric_part, take_lower

# Sides up to which products and factors are computed with more digits; beyond, at the speed of the libraries.
SMALL_PRODUCT = 32
SMALL_FACTOR = 16
_FEW = 4096  # entries for which fewer operations count more than fewer passes

# log 2 as a number of few digits, whose product with a side is exact, and the rest.
_LN2_HALVES = (0.693145751953125, 1.4286068203094173e-06)

LINKS: dict[str, Callable[[Array], Array]] = {"softplus": softplus, "exp": exp}
SLOPES: dict[str, Callable[[Array], Array]] = {"softplus": sigmoid, "exp": exp}


def diagonal(matrix: Array) -> Array:
    """The diagonal of each matrix along one last axis."""
    return torch.diagonal(matrix, dim1=-2, dim2=-1)


def with_diagonal(matrix: Array, entries: Array) -> Array:
    """The matrix, of at least as many rows as columns, with other numbers on its diagonal."""
    row, column = (torch.arange(size, device=matrix.device) for size in matrix.shape[-2:])
    return torch.where(row[:, None] == column, entries[..., None, :], matrix)


def filled(raw: Array, side: int, link: str) -> Array:
    """The lower triangular matrix of raw, row by row, with the link on its diagonal."""
    return _FILLED[link](raw)


def _fill(link: str, raw: Array) -> Array:
    side = _side(raw)
    if in_sight(raw):
        if raw.numel() <= _FEW:
            return _linked(link, fill_lower(raw, side))
        return _as_matrices(in_blocks(lambda raw: _as_rows(_linked(link, fill_lower(raw, side))), raw), side)
    lower = fill_lower(raw, side)
    return with_diagonal(lower, LINKS[link](diagonal(lower)))


def _linked(link: str, lower: Array) -> Array:
    """The link on the diagonal, in place."""
    entries = lower.diagonal(0, -2, -1)
    if link == "exp":
        entries.exp_()
    else:
        entries.copy_(LINKS[link](entries))
    return lower


def _fill_push(link: str, raw: Array, y: Array, tangent: Array) -> Array:
    return fill_lower(_slopes(link, raw) * tangent, _side(raw))


def _fill_pull(link: str, raw: Array, y: Array, cotangent: Array) -> Array:
    return _slopes(link, raw) * take_lower(cotangent)


def _fill_quick(link: str, raw: Array, y: Array, cotangent: Array) -> Array:
    def pulled(y: Array, cotangent: Array) -> Array:
        change = cotangent.clone()
        change.diagonal(0, -2, -1).mul_(_slope_at(link, y.diagonal(0, -2, -1)))
        return take_lower(change)

    if raw.numel() <= _FEW:
        return pulled(y, cotangent)
    side = _side(raw)
    return in_blocks(lambda y, w: pulled(_as_matrices(y, side), _as_matrices(w, side)), _as_rows(y), _as_rows(cotangent))


def _slope_at(link: str, entry: Array) -> Array:
    """The slope of a link by its value."""
    return entry if link == "exp" else torch.expm1(-entry).neg_()


def unlinked(y: Array, link: str) -> Array:
    """The raw of a diagonal entry y, a subnormal one too: there both links are the exponential."""
    tiny = torch.finfo(y.dtype).tiny
    low = y < tiny
    inner = torch.where(low, 1.0, y)
    lifted = log(times_power(torch.where(low, y, 1.0), torch.full_like(y, 1 / tiny))) + math_log(tiny)
    return torch.where(low, lifted, softplus_inverse(inner) if link == "softplus" else log(inner))


def times(a: Array, b: Array) -> Array:
    """The product of two matrices in the full digits of their dtype."""
    # twin: JAX on a GPU drops digits unless told; torch keeps them unless told otherwise.
    return a @ b


def product(x: Array) -> Array:
    """x x^T, symmetric to the last bit."""
    if x.shape[-2] > SMALL_PRODUCT:
        return mirrored(times(x, x.mT))
    if x.dtype == torch.float64:
        upper, rest = paired_sum(x[..., :, None, :], x[..., None, :, :])
        return mirrored(upper + rest)
    wide = x.double()
    return mirrored(times(wide, wide.mT)).to(x.dtype)


def paired_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Sum of a * b along the last axis, as an exact part and what little is missing.

    Heads have half the digits, so their products are exact, and so is the sum of what these have on one grid.
    """
    head, other = half_digits(a), half_digits(b)
    upper, lower = on_one_grid(head * other, 4.0 * a.shape[-1])
    rest = lower + (head * (b - other) + (a - head) * b)
    return torch.sum(upper, dim=-1), torch.sum(rest, dim=-1)


def _gram_push(x: Array, y: Array, tangent: Array) -> Array:
    change = times(tangent, x.mT)
    return change + change.mT


@with_rule(push=_gram_push, pull=lambda x, y, cotangent: times(cotangent + cotangent.mT, x), keeps_value=False)
def gram(x: Array) -> Array:
    """x x^T, right in float32 also where its entries cancel."""
    return mirrored(exact_gram(x)) if doubled(x) and x.shape[-2] <= SMALL_PRODUCT else product(x)


def _covariance(link: str, raw: Array) -> Array:
    side = _side(raw)
    if side <= SMALL_PRODUCT and doubled(raw) and in_sight(raw):
        if raw.numel() <= _FEW:
            return _as_matrices(_plain_covariance(link, raw), side).float()
        return _as_matrices(in_blocks(partial(_plain_covariance, link), raw), side)
    if side > SMALL_PRODUCT or raw.dtype == torch.float64:
        return product(filled(raw, side, link))
    wide = filled(raw.double(), side, link)
    return mirrored(times(wide, wide.mT)).to(raw.dtype)


def _covariance_push(link: str, raw: Array, y: Array, tangent: Array) -> Array:
    side = _side(raw)
    change = times(fill_lower(_slopes(link, raw) * tangent, side), filled(raw, side, link).mT)
    return change + change.mT


def _covariance_pull(link: str, raw: Array, y: Array, cotangent: Array) -> Array:
    return _slopes(link, raw) * take_lower(times(cotangent + cotangent.mT, filled(raw, _side(raw), link)))


def _plain_covariance(link: str, raw: Array) -> Array:
    wide = _linked(link, fill_lower(raw, _side(raw)).double())
    value = torch.matmul(wide, wide.mT)
    return _as_rows(value.tril() + value.tril(-1).mT)


def _covariance_quick(link: str, raw: Array, y: Array, cotangent: Array) -> Array:
    side = _side(raw)
    if side > SMALL_PRODUCT or not doubled(raw):
        return _covariance_pull(link, raw, y, cotangent)
    if raw.numel() <= _FEW:
        return _pulled_covariance(link, side, raw, cotangent)
    return in_blocks(partial(_plain_covariance_pull, link), raw, _as_rows(cotangent))


def _plain_covariance_pull(link: str, raw: Array, cotangent: Array) -> Array:
    side = _side(raw)
    return _pulled_covariance(link, side, raw, _as_matrices(cotangent, side))


def _pulled_covariance(link: str, side: int, raw: Array, cotangent: Array) -> Array:
    wide = _linked(link, fill_lower(raw, side).double())
    w = cotangent.double()
    change = torch.matmul(w + w.mT, wide)
    change.diagonal(0, -2, -1).mul_(_slope_at(link, wide.diagonal(0, -2, -1)))
    return take_lower(change.float())


def _roots(link: str, matrix: Array) -> Array:
    wide = symmetric_part(matrix).double()
    small = matrix.shape[-1] <= SMALL_FACTOR
    head, tail = _paired_factor(wide) if small else _plain_factor(wide)
    return take_lower(with_diagonal(head, _unlinked(link, diagonal(head), diagonal(tail)))).to(matrix.dtype)


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


# The covariance with a raw triangle, by the link on the diagonal of its factor, and the raw triangle of a covariance.
covariance: dict[str, Callable[[Array], Array]] = {
    link: with_rule(
        push=partial(_covariance_push, link),
        pull=partial(_covariance_pull, link),
        quick=partial(_covariance_quick, link),
        keeps_value=False,
    )(partial(_covariance, link))
    for link in LINKS
}
roots: dict[str, Callable[[Array], Array]] = {
    link: with_rule(push=partial(_roots_push, link), pull=partial(_roots_pull, link))(partial(_roots, link)) for link in LINKS
}


def covariance_log_det(raw: Array, link: str) -> Array:
    """log |det| of `covariance` on its lower triangle, from the raw numbers of the diagonal: the last axis."""
    side = raw.shape[-1]
    # n log 2 + sum_k (n - k + 1) log L_kk + log link'(raw_k), with exact products of log 2 and of the heads of log L_kk
    weights = torch.arange(side, 0, -1, dtype=raw.dtype, device=raw.device)
    logs = raw if link == "exp" else log_softplus(raw)
    slopes = raw if link == "exp" else -softplus(-raw)
    head = half_digits(logs)
    ln2, ln2_tail = (torch.full_like(raw[..., :1], side * part) for part in _LN2_HALVES)
    terms = (ln2, ln2_tail, weights * head, weights * (logs - head), slopes)
    return sum_once(torch.cat(terms, dim=-1))[..., 0]


@with_slope(lambda x: _log_softplus_slope(x))
def log_softplus(x: Array) -> Array:
    """log(log(1 + exp(x))); below -20 it is x - exp(x)/2 to the last digit that is shown, as softplus underflows."""
    low = x < -20
    return torch.where(low, x - exp(x) / 2, log(softplus(torch.where(low, 0.0, x))))


def _log_softplus_slope(x: Array) -> Array:
    low = x < -20
    inner = torch.where(low, 0.0, x)
    return torch.where(low, 1 - exp(x) / 2, sigmoid(inner) / softplus(inner))


_FILLED: dict[str, Callable[[Array], Array]] = {
    link: with_rule(push=partial(_fill_push, link), pull=partial(_fill_pull, link), quick=partial(_fill_quick, link))(
        partial(_fill, link)
    )
    for link in LINKS
}


def _as_rows(matrix: Array) -> Array:
    return matrix.reshape(*matrix.shape[:-2], matrix.shape[-2] * matrix.shape[-1])


def _as_matrices(rows: Array, side: int) -> Array:
    return rows.reshape(*rows.shape[:-1], side, side)


def _side(raw: Array) -> int:
    return (isqrt(8 * raw.shape[-1] + 1) - 1) // 2


def _slopes(link: str, raw: Array) -> Array:
    """d entry / d raw of `filled`, flat: 1 below the diagonal."""
    lower = fill_lower(raw, _side(raw))
    return take_lower(with_diagonal(torch.ones_like(lower), SLOPES[link](diagonal(lower))))


def _solved(factor: Array, right: Array) -> Array:
    return torch.linalg.solve_triangular(factor, right, upper=False)


def _solved_transposed(factor: Array, right: Array) -> Array:
    return torch.linalg.solve_triangular(factor.mT, right, upper=True)


def _lower_half(matrix: Array) -> Array:
    """The lower triangle with its diagonal halved."""
    return with_diagonal(torch.tril(matrix), diagonal(matrix) / 2)


def _unlinked(link: str, y: Array, tail: Array) -> Array:
    """The raw of a diagonal entry y + tail."""
    if link == "exp":
        return log(y) + tail / y
    return softplus_inverse(y) - tail / expm1(-y)


def _plain_factor(matrix: Array) -> tuple[Array, Array]:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where((failed == 0)[..., None, None], factor, torch.nan), torch.zeros_like(factor)


def _paired_factor(matrix: Array) -> tuple[Array, Array]:
    """The Cholesky factor as head + tail, to twice the digits, by columns; nan where a pivot is not positive."""
    # A power of 4 near the largest entry is divided out, so that small matrices do not lose their tails.
    root = power_below(torch.sqrt(power_below(diagonal(matrix))))[..., None]
    left = times_power(times_power(matrix, 1 / root), 1 / root)
    state = (left, torch.zeros_like(left), torch.zeros_like(left), torch.zeros_like(left))
    # twin: a loop in Python here, since the side is small; JAX traces one step of it.
    for k in range(matrix.shape[-1]):
        state = _next_column(k, state)
    _, _, head, tail = state
    inside = torch.all(diagonal(head) > 0, dim=-1) & torch.all(torch.isfinite(diagonal(head)), dim=-1)
    head = torch.where(inside[..., None, None], head, torch.nan)
    return times_power(head, root), times_power(tail, root)


def _next_column(k: int, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
    """Column k of the factor from what is left of the matrix, and what is left then.

    Products are split into four exact ones, which stay exact where a compiler fuses them into sums.
    """
    left, left_tail, head, tail = state
    row = torch.arange(left.shape[-1], device=left.device)
    above, above_tail = left[..., k], left_tail[..., k]
    pivot, pivot_tail = above[..., k, None], above_tail[..., k, None]
    root = torch.sqrt(pivot)
    upper, lower = _halves(root)
    root_tail = ((((pivot - upper * upper) - 2 * upper * lower) - lower * lower) + pivot_tail) / (2 * root)
    entry = above / root
    high, low = _halves(entry)
    missing = (((above - high * upper) - high * lower) - low * upper) - low * lower
    entry_tail = (missing + (above_tail - entry * root_tail)) / root
    entry = torch.where(row == k, root, torch.where(row > k, entry, 0.0))
    entry_tail = torch.where(row == k, root_tail, torch.where(row > k, entry_tail, 0.0))
    entry, entry_tail = two_sum(entry, entry_tail)
    high, low = _halves(entry)
    for a, b in ((high, high), (high, low), (low, high), (low, low)):
        left, error = two_sum(left, -(a[..., :, None] * b[..., None, :]))
        left_tail = left_tail + error
    cross = entry[..., :, None] * entry_tail[..., None, :]
    left, left_tail = two_sum(left, left_tail - (cross + cross.mT))
    here = row == k
    return left, left_tail, torch.where(here, entry[..., None], head), torch.where(here, entry_tail[..., None], tail)


def _halves(x: Array) -> tuple[Array, Array]:
    head = half_digits(x)
    return head, x - head
