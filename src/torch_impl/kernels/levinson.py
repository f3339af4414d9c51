"""Durbin and Levinson's recursion between partial autocorrelations and the coefficients of an autoregression.

`ahead` holds 1, -phi_1, ..., -phi_k and `back` the same from behind. One partial autocorrelation r more makes
ahead - r z back of the one and z back - r ahead of the other, where z moves entries one place up.
"""

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import sech2, tanh, two_sum
from torch_impl.kernels.exact_sums import two_product
from torch_impl.kernels.links import sigmoid
from torch_impl.kernels.sums import doubled

Pair = tuple[Array, Array]

_PLAIN = 1e-4
"""The smallest prod (1 - r_k^2) with which float64 has the digits that float32 asks for."""


@with_rule(
    push=lambda x, y, tangent: _added(_jacobian(x).mT, tangent),
    pull=lambda x, y, cotangent: _added(_jacobian(x), cotangent),
    keeps_value=False,
)
def levinson(raw: Array) -> Array:
    """The coefficients phi of partial autocorrelations tanh(raw), along the last axis."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    wide = raw.double() if doubled(raw) else raw
    links = torch.stack([tanh(wide), 2 * sigmoid(-2 * wide), 2 * sigmoid(2 * wide)])
    first = torch.nn.functional.pad(torch.ones_like(wide[..., :1]), (0, raw.shape[-1]))
    ahead, back = first, first
    for k in range(raw.shape[-1]):
        ahead, back = _step(ahead, back, links[..., k : k + 1])
    return -ahead[..., 1:].to(raw.dtype)


def _jacobian(raw: Array) -> Array:
    """d phi_i / d raw_k, in row k. Going backwards through the steps instead, a slope of (1 - r) or (1 + r) at r near 1 or -1
    would be what is left of numbers near 1.
    """
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    wide = raw.double() if doubled(raw) else raw
    links = torch.stack([tanh(wide), 2 * sigmoid(-2 * wide), 2 * sigmoid(2 * wide)])[..., None]
    n = raw.shape[-1]
    rows = torch.arange(n + 1, device=raw.device)[:, None]  # the coefficients, and their derivatives by each r
    first = torch.nn.functional.pad(torch.ones_like(wide[..., None, :1]), (0, n, 0, n))
    ahead, back = first, first
    for k in range(n):
        whole, moved = ahead[..., :1, :], torch.nn.functional.pad(back[..., :1, :-1], (1, 0))
        ahead, back = _step(ahead, back, links[..., k : k + 1, :])
        ahead, back = torch.where(rows == k + 1, -moved, ahead), torch.where(rows == k + 1, -whole, back)
    return -ahead[..., 1:, 1:] * sech2(wide)[..., None]


def _added(matrix: Array, vector: Array) -> Array:
    """The product of a matrix and a vector, in the dtype of the vector; its entries may cancel."""
    return torch.sum(matrix * vector[..., None, :], dim=-1).to(vector.dtype)


def levinson_inverse(phi: Array) -> tuple[Array, Array, Array]:
    """The partial autocorrelations r of coefficients, 1 + r and 1 - r; r is of size 1 or more, or not finite, where phi is
    not stationary. To twice the precision, since rounding errors grow with prod 1/(1 - r_k^2).
    """
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    # twin: torch makes the coefficients one shorter at each step; in a scan they keep their length, forwards and backwards.
    wide = phi.double() if doubled(phi) else phi
    if doubled(phi) and (plain := _plain_inverse(wide, phi.dtype)) is not None:
        return plain
    left, found = (wide, torch.zeros_like(wide)), []
    for k in reversed(range(phi.shape[-1])):
        left, r = _step_back(left, k)
        found.append(torch.stack(r))
    r, more, less = torch.cat(found[::-1], dim=-1).to(phi.dtype)
    return r, more, less


def _plain_inverse(phi: Array, dtype: torch.dtype) -> tuple[Array, Array, Array] | None:
    """`levinson_inverse` in float64, for float32; None where that has not the digits, or nobody can look at numbers."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or phi.is_meta:
        return None
    found = []
    for k in reversed(range(phi.shape[-1])):
        r, rest = phi[..., k:], phi[..., :k]
        found.append(r)
        phi = torch.addcmul(rest, r, torch.flip(rest, (-1,))) / ((1 - r) * (1 + r))
    r = torch.cat(found[::-1], dim=-1)
    growth = torch.prod((1 - r.detach()) * (1 + r.detach()), dim=-1)
    return (r.to(dtype), (1 + r).to(dtype), (1 - r).to(dtype)) if bool(torch.all(growth > _PLAIN)) else None


def _step(ahead: Array, back: Array, links: Array) -> tuple[Array, Array]:
    """One r more. Where r is near 1 or -1, the sum and the difference are multiplied by 1 - r and 1 + r, so that what is
    left of terms that cancel is not lost with the last digits of r.
    """
    moved = torch.nn.functional.pad(back[..., :-1], (1, 0))
    r, less, more = links
    total, gap = less * (ahead + moved) / 2, more * (ahead - moved) / 2
    far = torch.abs(r) > 0.96875
    return torch.where(far, total + gap, ahead - r * moved), torch.where(far, total - gap, moved - r * ahead)


def _step_back(phi: Pair, k: int) -> tuple[Pair, tuple[Array, Array, Array]]:
    """The k coefficients without the last r, which is the last coefficient: (phi + r (phi from behind)) / (1 - r^2)."""
    r, rest = (phi[0][..., k:], phi[1][..., k:]), (phi[0][..., :k], phi[1][..., :k])
    one = torch.ones_like(r[0])
    less, more = _plus((one, 0 * one), (-r[0], -r[1])), _plus((one, 0 * one), r)
    turned = (torch.flip(rest[0], (-1,)), torch.flip(rest[1], (-1,)))
    left = _over(_plus(rest, _times(r, turned)), _times(less, more)) if k else rest
    return left, (r[0], more[0], less[0])


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
