"""Rows of length 1: Cholesky factors of correlation matrices from the entries below their diagonal, and back."""

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.derivatives import with_rule, with_slope
from jax_impl.kernels.elementary import LN2, exp, log, log1p, tanh, two_sum
from jax_impl.kernels.exact_sums import two_product
from jax_impl.kernels.hyperbolic import log_sech2
from jax_impl.kernels.products import gram
from jax_impl.kernels.sphere import across, log_length, measured, unit
from jax_impl.kernels.triangles import below


def by_length(strict: Array) -> Array:
    """Rows (x_i1, ..., x_i,i-1, 1, 0, ...) divided by their length, from the matrix with x below its diagonal."""
    return unit(with_ones(strict))


def row_logs(strict: Array) -> Array:
    """The logarithm of the length of each such row, at least 0."""
    return log_length(with_ones(strict))


def by_angles(strict: Array) -> Array:
    """L_ij = tanh(x_ij) prod_{k<j} sech(x_ik), from the matrix with x below its diagonal and 0 elsewhere."""
    return jnp.where(below(strict), lengths_left(strict) * with_ones(tanh(strict)), 0.0)


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
