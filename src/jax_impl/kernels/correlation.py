"""Rows of length 1: Cholesky factors of correlation matrices from the entries below their diagonal, and back."""

from math import isqrt

import jax.numpy as jnp
import numpy as np
from jax import Array, enable_x64, lax

from isoparam.specs.places import row_sums, triangle_rows
from jax_impl.kernels.derivatives import with_both, with_rule, with_slope
from jax_impl.kernels.elementary import LN2, exp, log, log1p, tanh, two_sum
from jax_impl.kernels.exact_sums import two_product
from jax_impl.kernels.hyperbolic import log_sech2
from jax_impl.kernels.products import gram
from jax_impl.kernels.sphere import across, log_length, measured, unit
from jax_impl.kernels.sums import running_product, sum_behind
from jax_impl.kernels.triangles import below, fill_strict

_FEW_ROWS = 24
"""Up to this side the sums over rows are products with a matrix of 0 and 1; a constant of speed."""
_MANY_ENTRIES = 4096
"""Below this the number of operations counts, not that of entries; a constant of speed."""
_HUGE = 1e300  # no square of a float32 number


def by_length(x: Array, side: int) -> Array:
    """Rows (x_i1, ..., x_i,i-1, 1, 0, ...) divided by their length, from the flat triangle x."""
    if x.dtype == jnp.float32 and 1 < side <= _FEW_ROWS and x.size > _MANY_ENTRIES:
        return _flat_rows(x)
    return unit(with_ones(fill_strict(x, side)))


def row_logs(strict: Array) -> Array:
    """The logarithm of the length of each such row, at least 0."""
    return log_length(with_ones(strict))


def by_angles(strict: Array) -> Array:
    """L_ij = tanh(x_ij) prod_{k<j} sech(x_ik), from the matrix with x below its diagonal and 0 elsewhere."""
    if strict.dtype == jnp.float32:
        return _plain_angles(strict)
    return jnp.where(below(strict), lengths_left(strict) * with_ones(tanh(strict)), 0.0)


@with_both(
    push=lambda x, y, tangent: _angles_push(x, y, tangent),
    pull=lambda x, y, cotangent: _angles_pull(x, y, cotangent),
)
def _plain_angles(x: Array) -> Array:
    """`by_angles` in float64, whose products lose nothing that float32 shows."""
    with enable_x64(True):
        ratio, _, left = _angle_parts(x)
        return jnp.where(below(x), left * with_ones(ratio), 0.0).astype(x.dtype)


def _angle_parts(x: Array) -> tuple[Array, Array, Array]:
    """tanh x, sech x, and what the entries before leave of the length 1 of a row, for float32 numbers in float64."""
    x = x.astype(jnp.float64)
    e = jnp.exp(-jnp.abs(x))
    rest = 2 * e / (1 + e * e)
    return jnp.tanh(x), rest, running_product(rest)


def _angles_push(x: Array, y: Array, tangent: Array) -> Array:
    with enable_x64(True):
        ratio, rest, left = _angle_parts(x)
        slope, ratio = (rest * rest * left).astype(x.dtype), ratio.astype(x.dtype)
    return jnp.where(below(x, 1), slope * tangent, 0.0) - y * _sum_before(ratio * tangent)


def _angles_pull(x: Array, y: Array, cotangent: Array) -> Array:
    with enable_x64(True):
        ratio, rest, left = _angle_parts(x)
        slope, ratio = (rest * rest * left).astype(x.dtype), ratio.astype(x.dtype)
    return jnp.where(below(x, 1), slope * cotangent - ratio * sum_behind(y * cotangent), 0.0)


def angle_logs(strict: Array, weight: Array) -> Array:
    """The weighted sum of log sech(x_ij)^2 over the entries below the diagonal."""
    terms = jnp.where(below(strict, 1), weight * log_sech2(strict), 0.0)
    return jnp.sum(jnp.sum(terms, axis=-1), axis=-1)


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
    excess = lax.stop_gradient(product - jnp.clip(product, -1.0, 1.0))
    return jnp.where(_diagonal(x), 1.0, product - excess)


def _push(x: Array, tangent: Array) -> Array:
    moved = across(x, tangent) @ unit(x).mT
    return _off_diagonal(moved + moved.mT)


@with_both(push=lambda x, y, tangent: _rows_push(x, tangent), pull=lambda x, y, cotangent: _rows_pull(x, cotangent))
def _flat_rows(x: Array) -> Array:
    """`by_length` without the zeros above the diagonal, in float64: sums over rows are products with `row_sums`."""
    side = _side(x)
    rows = with_ones(fill_strict(x, side))
    with enable_x64(True):
        return (rows.astype(jnp.float64) * _rates(x.astype(jnp.float64), side)[..., None]).astype(x.dtype)


def _rows_push(x: Array, tangent: Array) -> Array:
    side = _side(x)
    zeros = jnp.zeros((*x.shape[:-1], side), x.dtype)
    change, last = _rows_across(x, tangent, zeros)
    return fill_strict(change, side) + last[..., None] * jnp.eye(side, dtype=x.dtype)


def _rows_pull(x: Array, cotangent: Array) -> Array:
    # Not `take_strict`, a gather, whose result XLA keeps with the axes exchanged where it is read more than once.
    below_diagonal = jnp.concatenate([cotangent[..., row, :row] for row in range(1, _side(x))], axis=-1)
    return _rows_across(x, below_diagonal, jnp.diagonal(cotangent, axis1=-2, axis2=-1))[0]


def _rows_across(x: Array, t: Array, last: Array) -> tuple[Array, Array]:
    """`across` for rows with a 1 behind x and `last` behind t, which says why the part along them is taken away thrice."""
    side = _side(x)
    rows = triangle_rows(side)
    with enable_x64(True):
        wide, rest, end = (part.astype(jnp.float64) for part in (x, t, last))
        rate = _rates(wide, side)
        for _ in range(3):
            along = (rate * rate) * (_times(wide * rest, row_sums(side)) + end)
            rest, end = rest - wide * _of_rows(along, rows), end - along
        return (rest * _of_rows(rate, rows)).astype(x.dtype), (end * rate).astype(x.dtype)


def _of_rows(numbers: Array, rows: np.ndarray) -> Array:
    """For each entry of a flat triangle the number of its row."""
    return numbers.at[..., rows].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _times(x: Array, matrix: np.ndarray) -> Array:
    return jnp.matmul(x, matrix, precision=lax.Precision.HIGHEST)


def _side(x: Array) -> int:
    return (isqrt(8 * x.shape[-1] + 1) + 1) // 2


def _rates(x: Array, side: int) -> Array:
    """1/length of each row."""
    square = x * x
    # A product with 0 must not bring an infinity into other rows.
    total = _times(jnp.where(square < _HUGE, square, _HUGE), row_sums(side))
    return 1 / jnp.sqrt(jnp.where(total < _HUGE, 1 + total, jnp.nan))


def over_diagonal(factor: Array) -> Array:
    """The raw of `by_length`, as a matrix: L_ij / L_ii."""
    return factor / jnp.diagonal(factor, axis1=-2, axis2=-1)[..., None]


def to_angles(factor: Array) -> Array:
    """The raw of `by_angles`, as a matrix: asinh(L_ij / |(L_i,j+1, ..., L_ii)|)."""
    rest = jnp.where(below(factor), factor, 0.0)
    rest = jnp.flip(_shifted(jnp.flip(rest, axis=-1), 1, 0.0), axis=-1)
    rest = jnp.flip(_running_length(jnp.flip(rest, axis=-1)), axis=-1)
    inside = below(factor, 1)
    return jnp.where(inside, _asinh(factor / jnp.where(inside, rest, 1.0)), 0.0)


def with_ones(strict: Array) -> Array:
    """1 on the diagonal and 0 above it."""
    return jnp.where(below(strict, 1), strict, jnp.eye(strict.shape[-1], dtype=strict.dtype))


def _diagonal(matrix: Array) -> Array:
    row = jnp.arange(matrix.shape[-1])
    return row[:, None] == row


def _off_diagonal(matrix: Array) -> Array:
    return jnp.where(_diagonal(matrix), 0.0, matrix)


def _sech(x: Array) -> tuple[Array, Array]:
    """sech x = 2e/(1 + e^2) with e = exp(-|x|), as a number and what its division lost."""
    e = exp(jnp.where(x < 0, x, -x))
    square, square_tail = two_product(e, e)
    whole, lost = two_sum(jnp.ones_like(x), square)
    result = 2 * e / whole
    head, tail = two_product(result, whole)
    lost = ((2 * e - head) - tail - result * (lost + square_tail)) / whole
    return result, jnp.where(result > _smallest(x), lost, 0.0)


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b and its rounding error, which is left out where the halves of it would underflow."""
    plain = a * b
    product, lost = two_product(a, b)
    exact = plain > _smallest(a)
    return jnp.where(exact, product, plain), jnp.where(exact, lost, 0.0)


def _smallest(x: Array) -> float:
    """Below this, parts of a number may be flushed to 0."""
    numbers = jnp.finfo(x.dtype)
    return float(numbers.tiny) / float(numbers.eps) ** 2


def _shifted(x: Array, steps: int, filler: float) -> Array:
    """x moved along the last axis, with the filler in front."""
    return jnp.pad(x[..., :-steps], [(0, 0)] * (x.ndim - 1) + [(min(steps, x.shape[-1]), 0)], constant_values=filler)


def _sum_before(x: Array) -> Array:
    """The sum of the entries before each one."""
    return jnp.cumsum(_shifted(x, 1, 0.0), axis=-1)


def _sum_behind(x: Array) -> Array:
    """The sum of the entries behind each one, the transpose of `_sum_before`."""
    turned = jnp.flip(x, axis=-1)
    return jnp.flip(jnp.cumsum(_shifted(turned, 1, 0.0), axis=-1), axis=-1)


def _running_length(x: Array) -> Array:
    """The length of the entries up to each one, at any scale."""
    total, step = jnp.abs(x), 1
    while step < x.shape[-1]:
        other = _shifted(total, step, 0.0)
        largest = lax.stop_gradient(jnp.maximum(total, other))
        size = jnp.where(largest > 0, largest, 1.0)
        square = (total / size) ** 2 + (other / size) ** 2
        total = jnp.where(square > 0, size * jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
        step *= 2
    return total


@with_slope(lambda x: _asinh_slope(x))
def _asinh(x: Array) -> Array:
    """asinh x at any finite x."""
    size = jnp.where(x < 0, -x, x)
    far = size > 1e8
    near = jnp.where(far, 0.0, size)
    ln2, _ = LN2[x.dtype.name]
    inner = log1p(near + near * (near / (1 + jnp.sqrt(1 + near * near))))
    return jnp.copysign(jnp.where(far, log(jnp.where(far, size, 1.0)) + ln2, inner), x)


def _asinh_slope(x: Array) -> Array:
    far = jnp.abs(x) > 1e8
    near = jnp.where(far, 0.0, x)
    return jnp.where(far, 1 / jnp.where(far, jnp.abs(x), 1.0), 1 / jnp.sqrt(1 + near * near))
