"""The nearest correlation matrix, by Newton's method on the dual problem (Qi and Sun 2006; Borsdorf and Higham 2010).

X = (G + diag(y))_+ with the y for which X has the diagonal 1: the minimum of |(G + diag(y))_+|^2/2 - sum(y). All is divided
by the size of G, so that the diagonal is `level` = 1/size, to which the search goes down from 1. The last steps know y and the
positive part to twice the digits, since the part that is left is `level` times smaller than what it is computed from.
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
_FALL = 4.0
"""By how much the level falls where the search is as near to it as that; then 20 to 35 steps lead to the smallest."""
_POLISHING = 3
_DENSE = 32
"""The largest side whose matrix of slopes is formed, in N^4 operations; beyond, conjugate gradients, of N^3 each."""
_GRADIENTS = 200
_SMALLEST_LEVEL = 2.0**-30
_SMALLEST_GAP = 1e-11
_CLOSE = 1e-6


class _Search(NamedTuple):
    """Where the search stands: the level asked for at present, the point y, the function there, the direction from it, the
    slope along it, the step, and whether what the diagonal misses at y is rounding.
    """

    level: Array
    y: Array
    height: Array
    direction: Array
    slope: Array
    step: Array
    settled: Array


@in_float64
def nearest_correlation(point: Array) -> Array:
    """The correlation matrix nearest to the symmetric part in the Frobenius norm; nan where an entry is not finite."""
    return _nearest(point)


@in_float64
def _moved(point: Array, change: Array) -> Array:
    """The derivative of the projection, which is symmetric: that of the positive part, along y too as the diagonal stays."""
    _, matrix, level = _scaled(point)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(_found(point)))
    wide = change.to(torch.float64)
    wide = (wide + wide.mT) / 2
    moved = _part_moved(values, vectors, wide)
    missing = torch.sum(moved - _with_diagonal(moved, 0.0), dim=-1)
    wide = wide - _diagonal_of(_solved(values, vectors, missing, level))
    return _with_diagonal(_part_moved(values, vectors, wide) * level[..., None], 0.0).to(change.dtype)


@with_rule(push=lambda x, y, tangent: _moved(x, tangent), pull=lambda x, y, cotangent: _moved(x, cotangent))
def _nearest(point: Array) -> Array:
    finite, matrix, level = _scaled(point)
    y, rest = _found(point), torch.zeros_like(matrix[..., 0])
    for _ in range(_POLISHING):
        values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
        part = _positive_part(matrix, (y, rest), values, vectors)
        missing = torch.diagonal(part, dim1=-2, dim2=-1) - level
        y, lost = two_sum(y, -_solved(values, vectors, missing, level))
        y, rest = two_sum(y, lost + rest)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    part = _positive_part(matrix, (y, rest), values, vectors)
    found = torch.all(torch.abs(torch.diagonal(part, dim1=-2, dim2=-1) - level) <= _CLOSE * level, dim=-1)[..., None, None]
    # The diagonal is 1 to rounding, and is made so.
    root = torch.sqrt(torch.diagonal(part, dim1=-2, dim2=-1))
    part = torch.clamp(part / (root[..., None] * root[..., None, :]), -1.0, 1.0)
    return torch.where(finite & found, _with_diagonal(part, 1.0), torch.nan).to(point.dtype)


def _scaled(point: Array) -> tuple[Array, Array, Array]:
    """Whether a matrix is finite, its symmetric part without the diagonal, divided by its size, and the level."""
    matrix = symmetric_part(point.to(torch.float64))
    finite = torch.all(torch.all(torch.isfinite(matrix), dim=-1), dim=-1)[..., None, None]
    matrix = torch.where(finite, _with_diagonal(matrix, 0.0), 0.0)
    size = torch.clamp(power_below(matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2)), min=1.0)
    return finite, matrix / size[..., None], torch.clamp(1 / size, min=_SMALLEST_LEVEL)


@in_float64
def _found_push(point: Array, y: Array, tangent: Array) -> Array:
    """What keeps the diagonal of the positive part while the matrix moves."""
    _, matrix, level = _scaled(point)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    wide = tangent.to(torch.float64)
    wide = _with_diagonal((wide + wide.mT) / 2, 0.0) * level[..., None]
    moved = _part_moved(values, vectors, wide)
    return -_solved(values, vectors, torch.sum(moved - _with_diagonal(moved, 0.0), dim=-1), level)


@in_float64
def _found_pull(point: Array, y: Array, cotangent: Array) -> Array:
    _, matrix, level = _scaled(point)
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    moved = _part_moved(values, vectors, _diagonal_of(_solved(values, vectors, cotangent, level)))
    return (-_with_diagonal(moved, 0.0) * level[..., None]).to(point.dtype)


@with_rule(push=_found_push, pull=_found_pull)
def _found(point: Array) -> Array:
    """y to the precision of float64."""
    _, matrix, level = _scaled(point)
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    y = one.expand(matrix.shape[:-1])
    search = _Search(one, y, zero + torch.inf, torch.zeros_like(y), zero, zero, zero > 0)
    # twin: a Python loop in torch, of a fixed number of steps where vmap and compile want it; a loop of XLA in JAX.
    for _ in range(_STEPS):
        search = _stepped(matrix, level, search)
        if _all_seen(search.settled):
            break
    return search.y


def _stepped(matrix: Array, level: Array, search: _Search) -> _Search:
    """Try the step: take it where the function falls enough, and halve it elsewhere; a settled search stays as it is.

    Newton's method finds the way from one level to the next lower one, not from 1 to a small level at once.
    """
    y = search.y + search.step * search.direction
    values, vectors = torch.linalg.eigh(matrix + _diagonal_of(y))
    positive = torch.clamp(values, min=0.0)
    square, total = torch.sum(positive**2, dim=-1, keepdim=True), torch.sum(y, dim=-1, keepdim=True)
    height = square / 2 - search.level * total
    slack = 1e-15 * (torch.abs(height) + square)
    taken = ~search.settled & (height <= search.height + 1e-4 * search.step * search.slope + slack)
    held = torch.sum(vectors**2 * positive[..., None, :], dim=-1)
    near = torch.amax(torch.abs(held - search.level), dim=-1, keepdim=True) <= search.level / _FALL
    following = torch.where(near, torch.maximum(search.level / _FALL, level), search.level)
    missing = held - following
    direction = -_solved(values, vectors, missing, following)
    rounding = 1e-16 * matrix.shape[-1] * torch.amax(torch.abs(values), dim=-1, keepdim=True)
    settled = taken & (following == level) & (torch.amax(torch.abs(missing), dim=-1, keepdim=True) <= rounding)
    return _Search(
        torch.where(taken, following, search.level),
        torch.where(taken, y, search.y),
        torch.where(taken, square / 2 - following * total, search.height),
        torch.where(taken, direction, search.direction),
        torch.where(taken, torch.sum(direction * missing, dim=-1, keepdim=True), search.slope),
        torch.where(taken, 1.0, search.step / 2),
        search.settled | settled,
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
    """a b in the digits of its dtype."""
    # twin: JAX multiplies entry by entry, which it transposes under any setting of float64; torch calls BLAS.
    return a @ b


def _solved(values: Array, vectors: Array, missing: Array, level: Array) -> Array:
    """slopes^-1 missing; a little is added to the diagonal, for slopes that are singular far from the solution."""
    if values.shape[-1] > _DENSE and _numbers_are_there(values):
        # twin: JAX transposes the derivative, which a loop of open end forbids: it forms the slopes there.
        return _by_gradients(values, vectors, missing, 1e-12 * level)
    one = torch.eye(values.shape[-1], dtype=values.dtype, device=values.device)
    inverse = torch.linalg.inv_ex(_slopes(values, vectors) + 1e-12 * level[..., None] * one).inverse
    return torch.sum(inverse * missing[..., None, :], dim=-1)


def _by_gradients(values: Array, vectors: Array, missing: Array, damping: Array) -> Array:
    """`_solved` by conjugate gradients, for as many steps as the slowest matrix of the batch takes."""
    weights, squares = _weights(values), vectors**2
    scale = torch.sum((squares @ weights) * squares, dim=-1) + damping  # the diagonal of the slopes

    def slopes_times(h: Array) -> Array:
        inner = weights * (vectors.mT @ (h[..., None] * vectors))
        return torch.sum((vectors @ inner) * vectors, dim=-1) + damping * h

    x, left = torch.zeros_like(missing), missing
    along = left / scale
    size = torch.sum(left * along, dim=-1, keepdim=True)
    enough = 1e-24 * size
    # twin: a Python loop in torch, of a fixed number of steps where vmap and compile want it; a loop of XLA in JAX.
    for _ in range(_GRADIENTS):
        if _all_seen(size <= enough):
            break
        image = slopes_times(along)
        bend = torch.sum(along * image, dim=-1, keepdim=True)
        step = torch.where((size > enough) & (bend > 0), size / torch.where(bend > 0, bend, 1.0), 0.0)
        x, left = x + step * along, left - step * image
        before, size = size, torch.sum(left * left / scale, dim=-1, keepdim=True)
        along = left / scale + (size / torch.where(before > 0, before, 1.0)) * along
    return x


def _numbers_are_there(array: Array) -> bool:
    """Whether numbers can be looked at: not under compile or vmap, and not where there are shapes only."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return not (array.is_meta or type(array).__name__ == "FakeTensor")


def _all_seen(flags: Array) -> bool:
    """Whether all flags are true, as far as one can look at them."""
    return _numbers_are_there(flags) and bool(torch.all(flags))


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
