"""Maps through the Helmert matrix H, whose orthonormal rows sum to 0, along the last axis."""

from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.constants import helmert_like, helmert_matrix_like
from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import exp, expm1, log, two_sum
from torch_impl.kernels.logarithms import log_twice
from torch_impl.kernels.softmax import softmax_derivative, weights_derivative
from torch_impl.kernels.sums import (
    after,
    before,
    doubled,
    in_blocks,
    in_sight,
    on_one_grid,
    parted,
    reverse_cumsum,
    sum_once,
    turned,
)

DENSE = 32
"""The most rows of H that are multiplied as a matrix; beyond, cumulative sums are faster."""


def _softmax_push(x: Array, y: Array, tangent: Array) -> Array:
    # twin: torch computes float32 through float64 where the device has it; JAX transposes this, which float64 forbids.
    if doubled(x):
        return weights_derivative(y.double(), _helmert_transposed(tangent.double())).to(y.dtype)
    return softmax_derivative(y, _helmert_transposed(tangent))


def _softmax_pull(x: Array, y: Array, cotangent: Array) -> Array:
    if doubled(x):
        return in_blocks(lambda y, t: _helmert_pull(weights_derivative(y.double(), t.double())), y, cotangent)
    return _helmert_pull(softmax_derivative(y, cotangent))


def _softmax_quick(x: Array, y: Array, cotangent: Array) -> Array:
    return in_blocks(_turned_pull, y, cotangent) if doubled(x) and x.shape[-1] < DENSE else _softmax_pull(x, y, cotangent)


@with_rule(push=_softmax_push, pull=_softmax_pull, quick=_softmax_quick)
def helmert_softmax(x: Array) -> Array:
    """softmax(H^T x) along the last axis: n numbers to n + 1 positive ones that sum to 1."""
    if doubled(x):
        return in_blocks(_plain_softmax, x)
    _, exponent, rest = _helmert_exponents(x)
    weights = exp(exponent) * (1 + rest)  # not weights + weights * rest, whose product may underflow
    return weights / sum_once(weights)


@with_rule(
    push=lambda x, y, tangent: softmax_derivative(helmert_softmax(x), _helmert_transposed(tangent)),
    pull=lambda x, y, cotangent: _helmert_pull(softmax_derivative(helmert_softmax(x), cotangent)),
    keeps_value=False,
)
def helmert_softmax_centred(x: Array) -> Array:
    """softmax(H^T x) - 1/(n + 1), without cancellation where the weights are nearly equal."""
    _, exponent, rest = _helmert_exponents(x)
    excess = expm1(exponent)
    excess = excess + (excess + 1) * rest
    n = excess.shape[-1]
    total = sum_once(excess)
    return (excess - total / n) / (n + total)


@with_rule(
    push=lambda x, y, tangent: torch.sum(_weights(x) * _helmert_transposed(tangent), dim=-1),
    pull=lambda x, y, cotangent: _helmert_pull(_weights(x)) * cotangent[..., None],
    keeps_value=False,
)
def helmert_logsumexp(x: Array) -> Array:
    """log sum exp(H^T x) along the last axis, which is -sum_k log(weight_k)/(n + 1), since H^T x sums to 0."""
    peak, exponent, rest = _helmert_exponents(x)
    weights = exp(exponent)
    return (peak + log(sum_once(weights + weights * rest)))[..., 0]


def helmert_log(y: Array, tail: Any = 0.0) -> Array:
    """H log(y + tail): the inverse of `helmert_softmax`, free of the scale of y; `tail` is the rounding error of y."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(y):
        return in_blocks(_plain_log, y, *([tail] if isinstance(tail, Array) else []))
    logs, rest = log_twice(y)
    rest = rest + tail / y
    top = torch.argmax(y, dim=-1, keepdim=True)
    largest = torch.arange(y.shape[-1], device=y.device) == top
    logs, lost = two_sum(logs, -torch.sum(torch.where(largest, logs, 0.0), dim=-1, keepdim=True))
    rest = torch.where(
        torch.isfinite(logs), (rest - torch.sum(torch.where(largest, rest, 0.0), dim=-1, keepdim=True)) + lost, 0.0
    )
    return _helmert_twice(logs, rest)


@with_rule(
    push=lambda x, y, tangent: _helmert_transposed(tangent),
    pull=lambda x, y, cotangent: _helmert_pull(cotangent),
    keeps_value=False,
)
def helmert_spread(x: Array) -> Array:
    """H^T x along the last axis: n numbers to n + 1 that sum to 0, each rounded once."""
    if doubled(x):
        return in_blocks(lambda x: _helmert_transposed(x.double()), x)
    z, z_tail = _helmert_transposed_twice(x)
    return z + z_tail


@with_rule(
    push=lambda x, y, tangent: _helmert_pull(tangent),
    pull=lambda x, y, cotangent: _helmert_transposed(cotangent),
    keeps_value=False,
)
def helmert_gather(x: Array) -> Array:
    """H x along the last axis: the inverse of `helmert_spread`."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(x):
        return in_blocks(lambda x: _plain_helmert(x.double()), x)
    return _helmert_twice(x, torch.zeros_like(x))


def _weights(x: Array) -> Array:
    """softmax(H^T x) but for a constant, which H takes away: centred where nearly equal, whole where that loses small ones."""
    excess = helmert_softmax_centred(x)
    largest = torch.amax(excess, dim=-1, keepdim=True)
    return torch.where(largest * excess.shape[-1] > 1, helmert_softmax(x), excess)


def _plain_softmax(x: Array) -> Array:
    """`helmert_softmax` of numbers that float64 holds twice."""
    if x.shape[-1] < DENSE and in_sight(x) and x.ndim == 2:
        wide = x.double()
        z = torch.mm(helmert_matrix_like(wide).t(), wide.t())
        weights = z.sub_(torch.amax(z, dim=0)).exp_()
        return weights.mul_(torch.sum(weights, dim=0).reciprocal_()).t()
    z = _helmert_transposed(x.double())
    weights = torch.exp(z - torch.amax(z, dim=-1, keepdim=True).detach())
    return weights / torch.sum(weights, dim=-1, keepdim=True)


def _turned_pull(y: Array, cotangent: Array) -> Array:
    """`weights_derivative` and then H, with the vectors as columns."""
    y, t = turned(y), turned(cotangent)
    y.mul_(torch.sum(y, dim=0).reciprocal_())
    change = t.sub_(torch.sum(y * t, dim=0)).mul_(y)
    change = change.sub_(y.mul_(torch.sum(change, dim=0)))
    return torch.mm(helmert_matrix_like(y[1:].t()), change).t()


def _plain_log(y: Array, *tail: Array) -> Array:
    """`helmert_log` in float64, for numbers that come from float32, by logarithms of quotients with the largest."""
    wide = y.double() + tail[0] if tail else y.double()
    top = torch.amax(wide, dim=-1, keepdim=True).detach()
    near = wide > top / 2
    logs = torch.log1p(torch.where(near, (wide - top) / top, 0.0))
    return _plain_helmert(torch.where(near, logs, torch.log(torch.where(near, 1.0, wide / top))))


def _plain_helmert(u: Array) -> Array:
    """H u by running sums, in which small entries in front of a large one keep their digits."""
    return _helmert(u, torch.cumsum(u, dim=-1))


def _helmert_exponents(x: Array) -> tuple[Array, Array, Array]:
    """max z, z - max z and its rounding error for z = H^T x, to twice the precision: |z| may be in the hundreds."""
    z, z_tail = _helmert_transposed_twice(x)
    peak = torch.amax(z, dim=-1, keepdim=True)
    gap, error = two_sum(z, -peak)
    z_tail = z_tail + error
    exponent = gap + z_tail
    return peak, exponent, z_tail - (exponent - gap)


def _helmert_transposed_twice(x: Array) -> tuple[Array, Array]:
    """H^T x as a number and its rounding error, to twice the precision."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(x):
        return parted(_helmert_transposed(x.double()), x.dtype)
    matrix = helmert_like(x)
    head, tail = on_one_grid(x, matrix.half_digits)
    # Heads have half the digits, so head * matrix.ahead is exact; the rest is small and may round.
    upper, lower = on_one_grid(head * matrix.ahead, 4.0 * x.shape[-1])
    lower = lower + (tail * matrix.ahead + x * matrix.ahead_rest)
    sums, sums_tail = after(reverse_cumsum(upper)), after(reverse_cumsum(lower))
    z, error = two_sum(sums, -before(head * matrix.behind))
    return z, error + (sums_tail - before(tail * matrix.behind + x * matrix.behind_rest))


def _helmert(u: Array, sums: Array) -> Array:
    """H u, N numbers to N - 1, given the cumulative sums of u: row j is (u_1 + ... + u_j - j u_(j+1))/sqrt(j (j+1))."""
    matrix = helmert_like(u[..., 1:])
    rows = torch.arange(1, u.shape[-1], dtype=u.dtype, device=u.device)
    return (matrix.ahead + matrix.ahead_rest) * (sums[..., :-1] - rows * u[..., 1:])


def _helmert_twice(u: Array, u_rest: Array) -> Array:
    """H (u + u_rest), right also where the sums cancel: those of the two larger parts are exact."""
    first, rest = on_one_grid(u, 4.0 * u.shape[-1])
    following, rest = on_one_grid(rest + u_rest, 4.0 * u.shape[-1])
    matrix = helmert_like(u[..., 1:])
    rows = torch.arange(1, u.shape[-1], dtype=u.dtype, device=u.device)
    exact, near, small = (torch.cumsum(part, dim=-1)[..., :-1] - rows * part[..., 1:] for part in (first, following, rest))
    return (matrix.ahead + matrix.ahead_rest) * (exact + (near + small))


def _helmert_pull(u: Array) -> Array:
    if u.shape[-1] <= DENSE:
        return _times(u, helmert_matrix_like(u[..., 1:]).mT)
    return _helmert(u, torch.cumsum(u, dim=-1))


def _helmert_transposed(t: Array) -> Array:
    """H^T t: N - 1 numbers to N."""
    if t.shape[-1] < DENSE:
        return _times(t, helmert_matrix_like(t))
    matrix = helmert_like(t)
    return after(reverse_cumsum((matrix.ahead + matrix.ahead_rest) * t)) - before((matrix.behind + matrix.behind_rest) * t)


def _times(x: Array, matrix: Any) -> Array:
    # twin: for few vectors JAX multiplies entry by entry, which runs at once; a product of matrices waits for a thread.
    return x @ matrix
