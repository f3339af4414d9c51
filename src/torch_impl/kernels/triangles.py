"""Flat lower triangles, row by row, and the square matrices that hold them, with 0 elsewhere."""

from functools import lru_cache

import torch
from torch import Tensor as Array

from isoparam.specs.places import triangle_places
from torch_impl.kernels.derivatives import with_rule


@with_rule(
    push=lambda x, side, y, tangent: fill_lower(tangent, side),
    pull=lambda x, side, y, cotangent: take_lower(cotangent),
    keeps_value=False,
)
def _lower(x: Array, side: int) -> Array:
    return _filled(x, side, 0)


@with_rule(
    push=lambda x, side, y, tangent: fill_strict(tangent, side),
    pull=lambda x, side, y, cotangent: take_strict(cotangent),
    keeps_value=False,
)
def _strict(x: Array, side: int) -> Array:
    return _filled(x, side, 1)


@with_rule(
    push=lambda x, y, tangent: take_lower(tangent),
    pull=lambda x, y, cotangent: fill_lower(cotangent, x.shape[-1]),
    keeps_value=False,
)
def _take_lower(matrix: Array) -> Array:
    return _taken(matrix, 0)


@with_rule(
    push=lambda x, y, tangent: take_strict(tangent),
    pull=lambda x, y, cotangent: fill_strict(cotangent, x.shape[-1]),
    keeps_value=False,
)
def _take_strict(matrix: Array) -> Array:
    return _taken(matrix, 1)


def fill_lower(x: Array, side: int) -> Array:
    """The `side` by `side` matrix with the last axis of x in its lower triangle, diagonal included, and 0 above it."""
    assert x.shape[-1] == side * (side + 1) // 2
    return _lower(x, side)


def fill_strict(x: Array, side: int) -> Array:
    """The `side` by `side` matrix with the last axis of x below its diagonal, and 0 on and above it."""
    assert x.shape[-1] == side * (side - 1) // 2
    return _strict(x, side)


def take_lower(matrix: Array) -> Array:
    """The entries of the lower triangle, diagonal included, along one last axis."""
    return _take_lower(matrix)


def take_strict(matrix: Array) -> Array:
    """The entries below the diagonal along one last axis."""
    return _take_strict(matrix)


def below(matrix: Array, offset: int = 0) -> Array:
    """Where a square matrix has its lower triangle: from the diagonal, or (`offset` = 1) from the entries below it."""
    row = torch.arange(matrix.shape[-1], device=matrix.device)
    return row[:, None] - offset >= row


def mirrored(lower: Array) -> Array:
    """The symmetric matrix with this lower triangle, whatever stands above the diagonal."""
    return torch.where(below(lower), lower, lower.mT)


def symmetric_part(matrix: Array) -> Array:
    """(A + A^T)/2, rounded once: halved first only where the sum overflows, since that loses subnormal digits."""
    total = matrix + matrix.mT
    return torch.where(torch.isfinite(total), total / 2, matrix / 2 + matrix.mT / 2)


def skew_part(matrix: Array) -> Array:
    """(A - A^T)/2, rounded once."""
    total = matrix - matrix.mT
    return torch.where(torch.isfinite(total), total / 2, matrix / 2 - matrix.mT / 2)


def largest_entry(matrix: Array) -> Array:
    """The largest |entry| of each matrix."""
    return torch.amax(torch.abs(matrix), dim=(-2, -1))


def _filled(x: Array, side: int, below: int) -> Array:
    entry, _ = _places(side, below, x.device)
    # twin: a gather by torch's index_select, the fastest of its gathers; JAX's derivative is a scatter, which it transposes.
    padded = torch.constant_pad_nd(x, (0, 1))
    # No view: torch lets nobody change in place a view that was made inside of an autograd Function.
    return torch.ops.aten._unsafe_view(torch.index_select(padded, -1, entry), (*x.shape[:-1], side, side))


def _taken(matrix: Array, below: int) -> Array:
    _, place = _places(int(matrix.shape[-1]), below, matrix.device)
    return torch.index_select(matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2), -1, place)


@torch.compiler.assume_constant_result
def _places(side: int, below: int, device: torch.device) -> tuple[Array, ...]:
    return _placed(side, below) if device.type == "cpu" else _copied(side, below, device)


@lru_cache(maxsize=64)
def _placed(side: int, below: int) -> tuple[Array, ...]:
    with torch.inference_mode(mode=False):  # what is made in inference mode cannot be kept for a derivative later
        return tuple(torch.as_tensor(part, device="cpu") for part in triangle_places(side, below))


@lru_cache(maxsize=64)
def _copied(side: int, below: int, device: torch.device) -> tuple[Array, ...]:
    with torch.inference_mode(mode=False):
        return tuple(part.to(device) for part in _placed(side, below))
