"""Rows of length 1: Cholesky factors of correlation matrices from the entries below their diagonal, and back."""

from math import isqrt

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule, with_slope
from torch_impl.kernels.elementary import LN2, exp, log, log1p, sech2, tanh, two_sum
from torch_impl.kernels.exact_sums import two_product
from torch_impl.kernels.hyperbolic import log_sech2
from torch_impl.kernels.products import gram
from torch_impl.kernels.sphere import across, log_length, measured, plain_across, plain_unit, unit
from torch_impl.kernels.sums import doubled, in_blocks
from torch_impl.kernels.triangles import below, fill_strict, take_strict

_FAR = 300.0  # sech(300) is 0 in float32, and sinh(300) finite in float64
_LEAST = 1e-300  # far below the squares of the numbers of float32


def rows_by_length(raw: Array, side: int) -> Array:
    """`by_length` of the entries below the diagonal along the last axis; float32 through float64."""
    return _unit_rows(raw) if doubled(raw) else by_length(raw, side)


def rows_by_angles(raw: Array, side: int) -> Array:
    """`by_angles` of the entries below the diagonal along the last axis; float32 through float64."""
    return _angle_rows(raw) if doubled(raw) else by_angles(fill_strict(raw, side))


def by_length(x: Array, side: int) -> Array:
    """Rows (x_i1, ..., x_i,i-1, 1, 0, ...) divided by their length, from the flat triangle x."""
    return unit(with_ones(fill_strict(x, side)))


@with_rule(
    push=lambda x, y, tangent: across(_ones_of(x), fill_strict(tangent, _side(x))),
    pull=lambda x, y, cotangent: take_strict(across(_ones_of(x), cotangent)),
    quick=lambda x, y, cotangent: in_blocks(_plain_length_pull, x, _flat(cotangent), width=_side(x) ** 2),
)
def _unit_rows(x: Array) -> Array:
    side = _side(x)
    return _square(in_blocks(lambda x: _flat(plain_unit(_plain_ones(x))), x, width=side * side), side)


def _plain_length_pull(x: Array, cotangent: Array) -> Array:
    return take_strict(plain_across(_plain_ones(x), _square(cotangent, _side(x))).float())


def _plain_ones(x: Array) -> Array:
    """The matrix with x below its diagonal and 1 on it, in float64."""
    wide = fill_strict(x, _side(x)).double()
    wide.diagonal(dim1=-2, dim2=-1).add_(1.0)
    return wide


def _ones_of(x: Array) -> Array:
    return with_ones(fill_strict(x, _side(x)))


def _angles_push(x: Array, y: Array, tangent: Array) -> Array:
    strict, t = fill_strict(x, _side(x)), fill_strict(tangent, _side(x))
    return lengths_left(strict) * sech2(strict) * t - y * _sum_before(tanh(strict) * t)


def _angles_pull(x: Array, y: Array, cotangent: Array) -> Array:
    strict = fill_strict(x, _side(x))
    own = lengths_left(strict) * sech2(strict) * cotangent
    return take_strict(own - tanh(strict) * _sum_behind(y * cotangent))


@with_rule(
    push=_angles_push,
    pull=_angles_pull,
    quick=lambda x, y, cotangent: in_blocks(_plain_angles_pull, _flat(y), _flat(cotangent)),
)
def _angle_rows(x: Array) -> Array:
    return _square(in_blocks(_plain_angles, x, width=_side(x) ** 2), _side(x))


def _plain_angles(x: Array) -> Array:
    """sinh(x_ij) prod_{k<=j} sech(x_ik), and 1 in place of the first factor on the diagonal."""
    strict = fill_strict(x, _side(x)).double()
    rise = torch.abs(strict).clamp_(max=_FAR).expm1_()  # the exponential less 1: sinh from it keeps the digits of a small x
    power = rise + 1
    other = 1 / power
    first = (rise * other).add_(rise).copysign_(strict)
    first.diagonal(dim1=-2, dim2=-1).add_(2.0)
    return _flat(first.mul_(torch.cumprod(2 / (power + other), dim=-1)).div_(2))


def _plain_angles_pull(y: Array, cotangent: Array) -> Array:
    """From the value alone: with p_j the length of (y_ij, ..., y_ii), tanh x_ij is y_ij / p_j, and sech x_ij is p_j+1 / p_j."""
    side = isqrt(y.shape[-1])
    y, w = (_square(part, side).flip(-1).double().contiguous() for part in (y, cotangent))
    taken, square = w.mul(y).cumsum(-1).view(-1), y.mul(y).cumsum(-1).add_(_LEAST).view(-1)
    # As one long vector, which is several times as fast: the first entry of each row then is of no use.
    change = w.view(-1)[1:]
    change.mul_(square[:-1]).sub_(taken[:-1].mul_(y.view(-1)[1:])).div_(square.sqrt_()[1:])
    return take_strict(w.float().flip(-1))


def row_logs(strict: Array) -> Array:
    """The logarithm of the length of each such row, at least 0."""
    return log_length(with_ones(strict))


def by_angles(strict: Array) -> Array:
    """L_ij = tanh(x_ij) prod_{k<j} sech(x_ik), from the matrix with x below its diagonal and 0 elsewhere."""
    return torch.where(below(strict), lengths_left(strict) * with_ones(tanh(strict)), 0.0)


def angle_logs(strict: Array, weight: Array) -> Array:
    """The weighted sum of log sech(x_ij)^2 over the entries below the diagonal."""
    terms = torch.where(below(strict, 1), weight * log_sech2(strict), 0.0)
    return torch.sum(torch.sum(terms, dim=-1), dim=-1)


@with_rule(
    push=lambda x, y, tangent: -y * _sum_before(tanh(x) * tangent),
    pull=lambda x, y, cotangent: -tanh(x) * _sum_behind(y * cotangent),
)
def lengths_left(x: Array) -> Array:
    """prod_{k<j} sech(x_ik): what entries before the j-th leave of the length 1 of row i. To twice the precision, in
    log2 n steps that each double the number of factors.
    """
    total, error = _sech(x)
    total, error = _shifted(total, 1, 1.0), _shifted(error, 1, 0.0)
    step = 1
    while step < x.shape[-1]:
        other, other_error = _shifted(total, step, 1.0), _shifted(error, step, 0.0)
        product, lost = _product(total, other)
        total, error = product, lost + (total * other_error + error * other)
        step *= 2
    return total + error


@with_rule(
    push=lambda x, y, tangent: _push(x, tangent),
    pull=lambda x, y, cotangent: across(x, _off_diagonal(cotangent + cotangent.mT) @ unit(x)),
    keeps_value=False,
)
def correlation(x: Array) -> Array:
    """The cosines of the angles between rows of any length: the diagonal exactly 1, and nothing beyond 1."""
    m = measured(x)
    lost = m.length_tail / m.length
    product = gram(m.u) / (m.length * m.length.mT)
    product = product - product * (lost + lost.mT)
    excess = (product - torch.clamp(product, -1.0, 1.0)).detach()
    return torch.where(_diagonal(x), 1.0, product - excess)


def _push(x: Array, tangent: Array) -> Array:
    moved = across(x, tangent) @ unit(x).mT
    return _off_diagonal(moved + moved.mT)


def over_diagonal(factor: Array) -> Array:
    """The raw of `by_length`, as a matrix: L_ij / L_ii."""
    return factor / torch.diagonal(factor, dim1=-2, dim2=-1)[..., None]


def to_angles(factor: Array) -> Array:
    """The raw of `by_angles`, as a matrix: asinh(L_ij / |(L_i,j+1, ..., L_ii)|)."""
    rest = torch.where(below(factor), factor, 0.0)
    rest = torch.flip(_shifted(torch.flip(rest, (-1,)), 1, 0.0), (-1,))
    rest = torch.flip(_running_length(torch.flip(rest, (-1,))), (-1,))
    inside = below(factor, 1)
    return torch.where(inside, _asinh(factor / torch.where(inside, rest, 1.0)), 0.0)


def with_ones(strict: Array) -> Array:
    """1 on the diagonal and 0 above it."""
    return torch.where(below(strict, 1), strict, torch.eye(strict.shape[-1], dtype=strict.dtype, device=strict.device))


def _square(rows: Array, side: int) -> Array:
    return rows.reshape(*rows.shape[:-1], side, side)


def _flat(matrix: Array) -> Array:
    return matrix.reshape(*matrix.shape[:-2], matrix.shape[-2] * matrix.shape[-1])


def _side(x: Array) -> int:
    return (isqrt(8 * x.shape[-1] + 1) + 1) // 2


def _diagonal(matrix: Array) -> Array:
    row = torch.arange(matrix.shape[-1], device=matrix.device)
    return row[:, None] == row


def _off_diagonal(matrix: Array) -> Array:
    return torch.where(_diagonal(matrix), 0.0, matrix)


def _sech(x: Array) -> tuple[Array, Array]:
    """sech x = 2e/(1 + e^2) with e = exp(-|x|), as a number and what its division lost."""
    e = exp(torch.where(x < 0, x, -x))
    square, square_tail = two_product(e, e)
    whole, lost = two_sum(torch.ones_like(x), square)
    result = 2 * e / whole
    head, tail = two_product(result, whole)
    lost = ((2 * e - head) - tail - result * (lost + square_tail)) / whole
    return result, torch.where(result > _smallest(x), lost, 0.0)


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b and its rounding error, which is left out where the halves of it would underflow."""
    plain = a * b
    product, lost = two_product(a, b)
    exact = plain > _smallest(a)
    return torch.where(exact, product, plain), torch.where(exact, lost, 0.0)


def _smallest(x: Array) -> float:
    """Below this, parts of a number may be flushed to 0."""
    numbers = torch.finfo(x.dtype)
    return float(numbers.tiny) / float(numbers.eps) ** 2


def _shifted(x: Array, steps: int, filler: float) -> Array:
    """x moved along the last axis, with the filler in front."""
    return torch.nn.functional.pad(x[..., :-steps] if steps else x, (min(steps, x.shape[-1]), 0), value=filler)


def _sum_before(x: Array) -> Array:
    """The sum of the entries before each one."""
    return torch.cumsum(_shifted(x, 1, 0.0), dim=-1)


def _sum_behind(x: Array) -> Array:
    """The sum of the entries behind each one, the transpose of `_sum_before`."""
    turned = torch.flip(x, (-1,))
    return torch.flip(torch.cumsum(_shifted(turned, 1, 0.0), dim=-1), (-1,))


def _running_length(x: Array) -> Array:
    """The length of the entries up to each one, at any scale."""
    total, step = torch.abs(x), 1
    while step < x.shape[-1]:
        other = _shifted(total, step, 0.0)
        largest = torch.maximum(total, other).detach()
        size = torch.where(largest > 0, largest, 1.0)
        square = (total / size) ** 2 + (other / size) ** 2
        total = torch.where(square > 0, size * torch.sqrt(torch.where(square > 0, square, 1.0)), 0.0)
        step *= 2
    return total


@with_slope(lambda x: _asinh_slope(x))
def _asinh(x: Array) -> Array:
    """asinh x at any finite x."""
    size = torch.where(x < 0, -x, x)
    far = size > 1e8
    near = torch.where(far, 0.0, size)
    ln2, _ = LN2[x.dtype]
    inner = log1p(near + near * (near / (1 + torch.sqrt(1 + near * near))))
    return torch.copysign(torch.where(far, log(torch.where(far, size, 1.0)) + ln2, inner), x)


def _asinh_slope(x: Array) -> Array:
    far = torch.abs(x) > 1e8
    near = torch.where(far, 0.0, x)
    return torch.where(far, 1 / torch.where(far, torch.abs(x), 1.0), 1 / torch.sqrt(1 + near * near))
