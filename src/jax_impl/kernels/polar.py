"""The polar factor: the nearest matrix with orthonormal columns."""

import jax.numpy as jnp
from jax import Array, lax

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import power_below
from jax_impl.kernels.pairs import WIDEST, in_float64, product

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
    one = jnp.eye(value.shape[-1], dtype=value.dtype)
    return jnp.max(jnp.abs(jnp.swapaxes(value, -1, -2) @ value - one), axis=(-1, -2))


@in_float64
def _push(x: Array, y: Array, tangent: Array) -> Array:
    z, sums, size = _frame(x, y)
    moved = jnp.swapaxes(y, -1, -2) @ tangent
    turned = _sandwich(z, moved - jnp.swapaxes(moved, -1, -2), sums) / size
    rest = tangent - y @ moved
    return y @ turned + _by_size(rest, z, sums) / size


@in_float64
def _pull(x: Array, y: Array, cotangent: Array) -> Array:
    z, sums, size = _frame(x, y)
    moved = jnp.swapaxes(y, -1, -2) @ cotangent
    turned = _sandwich(z, moved - jnp.swapaxes(moved, -1, -2), sums) / size
    rest = cotangent - y @ moved
    return y @ turned + _by_size(rest, z, sums) / size


@with_rule(push=_push, pull=_pull)
@in_float64
def _polar(point: Array) -> Array:
    wide, u, v = _decomposed(point)
    return _given(point, _refined(wide, u @ v))


@with_rule(push=_push, pull=_pull)
@in_float64
def _polar_rotation(point: Array) -> Array:
    wide, u, v = _decomposed(point)
    sign = jnp.where(jnp.linalg.det(u @ v) < 0, -1.0, 1.0).astype(u.dtype)
    last = jnp.arange(u.shape[-1]) == u.shape[-1] - 1
    return _given(point, _refined(wide, (u * jnp.where(last, sign[..., None], 1.0)[..., None, :]) @ v))


def _decomposed(point: Array) -> tuple[Array, Array, Array]:
    """The matrix in float64, scaled to entries near 1, 0 in place of nan, and its left and right singular vectors."""
    wide = _scaled(point)[0]
    u, _, v = jnp.linalg.svd(wide, full_matrices=False)
    return wide, u, v


def _refined(wide: Array, near: Array) -> Array:
    """One step of Newton's method from residuals to twice the precision: a decomposition errs by eps times the condition."""
    if wide.shape[-2] > WIDEST:
        return near
    point, zero = (wide, jnp.zeros_like(wide)), jnp.zeros_like(near)
    across = (jnp.swapaxes(near, -1, -2), jnp.swapaxes(zero, -1, -2))
    gram, gram_rest = product(across, (near, zero))
    one = jnp.eye(near.shape[-1], dtype=near.dtype)
    stretch = ((one - gram) - gram_rest) / 2
    inner, inner_rest = product(across, point)
    there, there_rest = product((near, zero), (inner, inner_rest))
    rest = (wide - there) - there_rest
    rest = rest - near @ (across[0] @ rest)
    inner_rest = inner_rest + stretch @ inner  # of the matrix whose columns are made orthonormal
    skew = (inner - jnp.swapaxes(inner, -1, -2)) + (inner_rest - jnp.swapaxes(inner_rest, -1, -2))
    values, z = jnp.linalg.eigh((inner + jnp.swapaxes(inner, -1, -2)) / 2)
    sums = values[..., :, None] + values[..., None, :]
    step = near @ (stretch + _sandwich(z, skew, sums)) + _by_size(rest, z, sums)
    small = jnp.max(jnp.abs(step), axis=(-1, -2), keepdims=True) < _LARGEST_STEP  # not where the factor is not unique
    return near + lax.stop_gradient(jnp.where(small, step, 0.0))


def _scaled(point: Array) -> tuple[Array, Array]:
    wide = point.astype(jnp.float64)
    finite = jnp.isfinite(jnp.max(jnp.abs(wide), axis=(-1, -2), keepdims=True))
    wide = jnp.where(finite, wide, 0.0)
    size = jnp.max(power_below(wide), axis=-2, keepdims=True)  # a power of 2, so that the quotients are exact
    return wide / size, size


def _given(point: Array, value: Array) -> Array:
    finite = jnp.all(jnp.isfinite(point), axis=-1, keepdims=True).all(axis=-2, keepdims=True)
    return jnp.where(finite, value, jnp.nan).astype(point.dtype)


def _frame(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Eigenvectors of H = y^T x, the sums of its eigenvalues in pairs, and what x was divided by."""
    wide, size = _scaled(x)
    wide, size = wide.astype(x.dtype), size.astype(x.dtype)
    inner = jnp.swapaxes(y, -1, -2) @ wide
    values, z = jnp.linalg.eigh((inner + jnp.swapaxes(inner, -1, -2)) / 2)
    return z, values[..., :, None] + values[..., None, :], size


def _sandwich(z: Array, skew: Array, sums: Array) -> Array:
    """The Omega with H Omega + Omega H = skew; 0/0 on the diagonal, where skew is 0, is 0."""
    inner = jnp.swapaxes(z, -1, -2) @ skew @ z
    eye = jnp.eye(z.shape[-1], dtype=bool)
    return z @ jnp.where(eye, 0.0, inner / jnp.where(eye, 1.0, sums)) @ jnp.swapaxes(z, -1, -2)


def _by_size(rest: Array, z: Array, sums: Array) -> Array:
    """rest H^-1, for a rest orthogonal to the columns; a square matrix has none."""
    if rest.shape[-1] == rest.shape[-2]:
        return jnp.zeros_like(rest)
    values = jnp.diagonal(sums, axis1=-2, axis2=-1) / 2
    return ((rest @ z) / values[..., None, :]) @ jnp.swapaxes(z, -1, -2)
