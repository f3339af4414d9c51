"""The nearest correlation matrix, by Newton's method on the dual problem (Qi and Sun 2006; Borsdorf and Higham 2010).

X = (G + diag(y))_+ with the y for which X has the diagonal 1: the minimum of |(G + diag(y))_+|^2/2 - sum(y). All is divided
by the size of G, so that the diagonal is `level` = 1/size. The last steps know y and the positive part to twice the digits,
since the part that is left is `level` times smaller than what it is computed from.
"""

from typing import NamedTuple

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import power_below, two_sum
from torch_impl.kernels.pairs import in_float64
from torch_impl.kernels.products import product
from torch_impl.kernels.triangles import symmetric_part

_STEPS = 40
_POLISHING = 3
_SMALLEST_LEVEL = 2.0**-30
_SMALLEST_GAP = 1e-11


class _Search(NamedTuple):
    """Where the search stands: the point y, the function there, the direction from it, the slope along it, and the step."""

    y: Array
    height: Array
    direction: Array
    slope: Array
    step: Array


@in_float64
def nearest_correlation(point: Array) -> Array:
    """The correlation matrix nearest to the symmetric part in the Frobenius norm; nan where an entry is not finite."""
    return _nearest(point)


@in_float64
def _moved(point: Array, change: Array) -> Array:
    """The derivative of the projection, which is symmetric: that of the positive part, along y too as the diagonal stays."""
    _, matrix, level = _scaled(point)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(_found(matrix, level)))
    wide = change.to(torch.float64)
    wide = (wide + wide.mT) / 2
    moved = _part_moved(values, vectors, wide)
    missing = torch.sum(moved - _with_diagonal(moved, 0.0), dim=-1)
    kept = torch.sum(_inverse(_slopes(values, vectors), level) * missing[..., None, :], dim=-1)
    wide = wide - _diagonal_of(kept)
    return _with_diagonal(_part_moved(values, vectors, wide) * level[..., None], 0.0).to(change.dtype)


@with_rule(push=lambda x, y, tangent: _moved(x, tangent), pull=lambda x, y, cotangent: _moved(x, cotangent))
def _nearest(point: Array) -> Array:
    finite, matrix, level = _scaled(point)
    y, rest = _found(matrix, level), torch.zeros_like(matrix[..., 0])
    for _ in range(_POLISHING):
        values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
        part = _positive_part(matrix, (y, rest), values, vectors)
        missing = torch.diagonal(part, dim1=-2, dim2=-1) - level
        y, lost = two_sum(y, -_solved(_slopes(values, vectors), missing, level))
        y, rest = two_sum(y, lost + rest)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    part = _positive_part(matrix, (y, rest), values, vectors)
    # The diagonal is 1 to rounding, and is made so.
    root = torch.sqrt(torch.diagonal(part, dim1=-2, dim2=-1))
    part = torch.clamp(part / (root[..., None] * root[..., None, :]), -1.0, 1.0)
    return torch.where(finite, _with_diagonal(part, 1.0), torch.nan).to(point.dtype)


def _scaled(point: Array) -> tuple[Array, Array, Array]:
    """Whether a matrix is finite, its symmetric part without the diagonal, divided by its size, and the level."""
    matrix = symmetric_part(point.to(torch.float64))
    finite = torch.all(torch.all(torch.isfinite(matrix), dim=-1), dim=-1)[..., None, None]
    matrix = torch.where(finite, _with_diagonal(matrix, 0.0), 0.0)
    size = torch.clamp(power_below(matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2)), min=1.0)
    return finite, matrix / size[..., None], torch.clamp(1 / size, min=_SMALLEST_LEVEL)


def _found(matrix: Array, level: Array) -> Array:
    """y to the precision of float64."""
    y = level.expand(matrix.shape[:-1])
    zero = torch.zeros_like(level)
    search = _Search(y, zero + torch.inf, torch.zeros_like(y), zero, zero)
    # twin: a Python loop in torch, a loop of XLA in JAX, both of a fixed number of steps, as vmap and compile want it.
    for _ in range(_STEPS):
        search = _stepped(matrix, level, search)
    return search.y


def _stepped(matrix: Array, level: Array, search: _Search) -> _Search:
    """Try the step: take it where the function falls enough, and halve it elsewhere."""
    y = search.y + search.step * search.direction
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    positive = torch.clamp(values, min=0.0)
    height = torch.sum(positive**2, dim=-1, keepdim=True) / 2 - level * torch.sum(y, dim=-1, keepdim=True)
    slack = 1e-15 * (torch.abs(height) + torch.sum(positive**2, dim=-1, keepdim=True))
    taken = height <= search.height + 1e-4 * search.step * search.slope + slack
    missing = torch.sum(vectors**2 * positive[..., None, :], dim=-1) - level
    direction = -_solved(_slopes(values, vectors), missing, level)
    return _Search(
        torch.where(taken, y, search.y),
        torch.where(taken, height, search.height),
        torch.where(taken, direction, search.direction),
        torch.where(taken, torch.sum(direction * missing, dim=-1, keepdim=True), search.slope),
        torch.where(taken, 1.0, search.step / 2),
    )


def _weights(values: Array) -> Array:
    """The divided differences of max(value, 0) between any two eigenvalues."""
    positive = torch.clamp(values, min=0.0)
    up, across = values[..., :, None] > 0, values[..., None, :] > 0
    size = torch.abs(values)[..., :, None] + torch.abs(values)[..., None, :]
    mixed = torch.maximum(positive[..., :, None], positive[..., None, :]) / torch.where(size > 0, size, 1.0)
    return torch.where(up & across, 1.0, torch.where(up | across, mixed, 0.0))


def _slopes(values: Array, vectors: Array) -> Array:
    """The derivative of the diagonal of the positive part with respect to y."""
    pairs = vectors[..., :, :, None] * vectors[..., :, None, :]
    flat = pairs.reshape(*pairs.shape[:-2], pairs.shape[-1] ** 2)
    weights = _weights(values)
    return (flat * weights.reshape(*weights.shape[:-2], 1, weights.shape[-1] ** 2)) @ flat.mT


def _part_moved(values: Array, vectors: Array, change: Array) -> Array:
    """The derivative of the positive part along a symmetric change."""
    inner = _small_product(_small_product(vectors.mT, change), vectors)
    return _small_product(_small_product(vectors, _weights(values) * inner), vectors.mT)


def _small_product(a: Array, b: Array) -> Array:
    """a b entry by entry, which JAX transposes under any setting of float64, unlike a product of matrices."""
    return torch.sum(a[..., :, :, None] * b[..., None, :, :], dim=-2)


def _inverse(slopes: Array, level: Array) -> Array:
    """slopes^-1; a little is added to the diagonal, for slopes that are singular far from the solution."""
    damped = slopes + 1e-12 * level[..., None] * torch.eye(slopes.shape[-1], dtype=slopes.dtype, device=slopes.device)
    return torch.linalg.inv_ex(damped).inverse


def _solved(slopes: Array, missing: Array, level: Array) -> Array:
    """slopes^-1 missing."""
    return (_inverse(slopes, level) @ missing[..., None])[..., 0]


def _positive_part(matrix: Array, y: tuple[Array, Array], values: Array, vectors: Array) -> Array:
    """(matrix + diag(y))_+ from rounded eigenvectors Q, with the subspaces of either sign corrected once: Q + Q E.

    S = Q^T A Q and R = 1 - Q^T Q come to twice the digits, so that what E leaves is of second order (Ogita and Aishima 2018).
    """
    zero = torch.zeros_like(vectors)
    whole = (matrix + _diagonal_of(y[0]), _diagonal_of(y[1]))
    head, tail = product((vectors.mT, zero), product(whole, (vectors, zero)))
    turned = head + tail
    head, tail = product((vectors.mT, zero), (vectors, zero))
    apart = (torch.eye(vectors.shape[-1], dtype=vectors.dtype, device=vectors.device) - head) - tail
    up = values > 0
    same = up[..., :, None] == up[..., None, :]
    gap = values[..., None, :] - values[..., :, None]
    wide = ~same & (torch.abs(gap) > _SMALLEST_GAP)
    change = torch.where(wide, (turned + values[..., None, :] * apart) / torch.where(wide, gap, 1.0), apart / 2)
    kept = up[..., None, :]
    change, turned_change = torch.where(kept, change, 0.0), turned @ torch.where(kept, change, 0.0)
    inner = turned + (turned_change + turned_change.mT) + change.mT @ turned_change
    inner = torch.where(up[..., :, None] & kept, inner, 0.0)
    frame = torch.where(kept, vectors, 0.0)
    moved = vectors @ change
    mixed = moved @ inner @ frame.mT
    part = frame @ inner @ frame.mT + (mixed + mixed.mT)
    return (part + part.mT) / 2


def _diagonal_of(y: Array) -> Array:
    return torch.diag_embed(y)


def _with_diagonal(matrix: Array, entry: float) -> Array:
    row = torch.arange(matrix.shape[-1], device=matrix.device)
    return torch.where(row[:, None] == row, entry, matrix)
