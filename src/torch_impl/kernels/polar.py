"""The polar factor: the nearest matrix with orthonormal columns."""

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import power_below
from torch_impl.kernels.pairs import WIDEST, in_float64, product

_LARGEST_STEP = 1e-3


@in_float64
def polar(point: Array) -> Array:
    """U V^T of U S V^T, for matrices with no more columns than rows."""
    return _polar(point)


@in_float64
def polar_rotation(point: Array) -> Array:
    """The nearest matrix of determinant 1: U V^T, with the direction of the smallest singular value turned where it is -1."""
    return _polar_rotation(point)


def orthonormality(value: Array) -> Array:
    """max |Q^T Q - I|, for matrices with no more columns than rows."""
    one = torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)
    return torch.amax(torch.abs(torch.transpose(value, -1, -2) @ value - one), dim=(-1, -2))


@in_float64
def _push(x: Array, y: Array, tangent: Array) -> Array:
    z, sums, size = _frame(x, y)
    moved = torch.transpose(y, -1, -2) @ tangent
    turned = _sandwich(z, moved - torch.transpose(moved, -1, -2), sums) / size
    rest = tangent - y @ moved
    return y @ turned + _by_size(rest, z, sums) / size


@in_float64
def _pull(x: Array, y: Array, cotangent: Array) -> Array:
    z, sums, size = _frame(x, y)
    moved = torch.transpose(y, -1, -2) @ cotangent
    turned = _sandwich(z, moved - torch.transpose(moved, -1, -2), sums) / size
    rest = cotangent - y @ moved
    return y @ turned + _by_size(rest, z, sums) / size


@with_rule(push=_push, pull=_pull)
def _polar(point: Array) -> Array:
    wide, u, v = _decomposed(point)
    return _given(point, _refined(wide, u @ v))


@with_rule(push=_push, pull=_pull)
def _polar_rotation(point: Array) -> Array:
    wide, u, v = _decomposed(point)
    sign = torch.where(torch.linalg.det(u @ v) < 0, -1.0, 1.0).to(u.dtype)
    last = torch.arange(u.shape[-1], device=u.device) == u.shape[-1] - 1
    return _given(point, _refined(wide, (u * torch.where(last, sign[..., None], 1.0)[..., None, :]) @ v))


def _decomposed(point: Array) -> tuple[Array, Array, Array]:
    """The matrix in float64, scaled to entries near 1, 0 in place of nan, and its left and right singular vectors."""
    wide = _scaled(point)[0]
    u, _, v = torch.linalg.svd(wide, full_matrices=False)
    return wide, u, v


def _refined(wide: Array, near: Array) -> Array:
    """One step of Newton's method from residuals to twice the precision: a decomposition errs by eps times the condition."""
    if wide.shape[-2] > WIDEST:
        return near
    point, zero = (wide, torch.zeros_like(wide)), torch.zeros_like(near)
    across = (torch.transpose(near, -1, -2), torch.transpose(zero, -1, -2))
    gram, gram_rest = product(across, (near, zero))
    one = torch.eye(near.shape[-1], dtype=near.dtype, device=near.device)
    stretch = ((one - gram) - gram_rest) / 2
    inner, inner_rest = product(across, point)
    there, there_rest = product((near, zero), (inner, inner_rest))
    rest = (wide - there) - there_rest
    rest = rest - near @ (across[0] @ rest)
    inner_rest = inner_rest + stretch @ inner  # of the matrix whose columns are made orthonormal
    skew = (inner - torch.transpose(inner, -1, -2)) + (inner_rest - torch.transpose(inner_rest, -1, -2))
    values, z = torch.linalg.eigh((inner + torch.transpose(inner, -1, -2)) / 2)
    sums = values[..., :, None] + values[..., None, :]
    step = near @ (stretch + _sandwich(z, skew, sums)) + _by_size(rest, z, sums)
    small = torch.amax(torch.abs(step), dim=(-1, -2), keepdim=True) < _LARGEST_STEP  # not where the factor is not unique
    return near + torch.where(small, step, 0.0).detach()


def _scaled(point: Array) -> tuple[Array, Array]:
    wide = point.to(torch.float64)
    finite = torch.isfinite(torch.amax(torch.abs(wide), dim=(-1, -2), keepdim=True))
    wide = torch.where(finite, wide, 0.0)
    size = torch.amax(power_below(wide), dim=-2, keepdim=True)  # a power of 2, so that the quotients are exact
    return wide / size, size


def _given(point: Array, value: Array) -> Array:
    finite = torch.all(torch.isfinite(point), dim=-1, keepdim=True).all(dim=-2, keepdim=True)
    return torch.where(finite, value, torch.nan).to(point.dtype)


def _frame(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Eigenvectors of H = y^T x, the sums of its eigenvalues in pairs, and what x was divided by."""
    wide, size = _scaled(x)
    wide, size = wide.to(x.dtype), size.to(x.dtype)
    inner = torch.transpose(y, -1, -2) @ wide
    values, z = torch.linalg.eigh((inner + torch.transpose(inner, -1, -2)) / 2)
    return z, values[..., :, None] + values[..., None, :], size


def _sandwich(z: Array, skew: Array, sums: Array) -> Array:
    """The Omega with H Omega + Omega H = skew; 0/0 on the diagonal, where skew is 0, is 0."""
    inner = torch.transpose(z, -1, -2) @ skew @ z
    eye = torch.eye(z.shape[-1], dtype=torch.bool, device=z.device)
    return z @ torch.where(eye, 0.0, inner / torch.where(eye, 1.0, sums)) @ torch.transpose(z, -1, -2)


def _by_size(rest: Array, z: Array, sums: Array) -> Array:
    """rest H^-1, for a rest orthogonal to the columns; a square matrix has none."""
    if rest.shape[-1] == rest.shape[-2]:
        return torch.zeros_like(rest)
    values = torch.diagonal(sums, dim1=-2, dim2=-1) / 2
    return ((rest @ z) / values[..., None, :]) @ torch.transpose(z, -1, -2)
