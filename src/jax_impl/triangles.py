"""Rules of the triangular, symmetric and skew-symmetric matrices."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import LowerTriangular, SkewSymmetric, Symmetric
from jax_impl.kernels.triangles import (
    below,
    fill_lower,
    fill_strict,
    largest_entry,
    mirrored,
    skew_part,
    symmetric_part,
    take_lower,
    take_strict,
)
from jax_impl.registry import RULES


@RULES.implements(LowerTriangular)
class LowerTriangularRule(Rule[Array]):
    @staticmethod
    def forward(spec: LowerTriangular, raw: Array) -> Array:
        side = spec.value_shape(tuple(raw.shape))[-1]
        if spec.diagonal == "free":
            return fill_lower(raw, side)
        strict = fill_strict(raw, side)
        return strict + identity_like(strict) if spec.diagonal == "unit" else strict

    @staticmethod
    def inverse(spec: LowerTriangular, value: Array) -> Array:
        raw = take_lower(value) if spec.diagonal == "free" else take_strict(value)
        return jnp.where(LowerTriangularRule.contains(spec, value, 0.0)[..., None], raw, jnp.nan)

    @staticmethod
    def log_abs_det(spec: LowerTriangular, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=-1))

    @staticmethod
    def project(spec: LowerTriangular, point: Array) -> Array:
        if spec.diagonal == "free":
            return jnp.tril(point)
        strict = jnp.tril(point, -1)
        return strict + identity_like(strict) if spec.diagonal == "unit" else strict

    @staticmethod
    def contains(spec: LowerTriangular, value: Array, eps: float) -> Array:
        same = jnp.isfinite(value) & (below(value) | (value == 0))
        if spec.diagonal != "free":
            same = same & (below(value, 1) | (value == identity_like(value) * float(spec.diagonal == "unit")))
        return jnp.all(jnp.all(same, axis=-1), axis=-1)


@RULES.implements(Symmetric)
class SymmetricRule(Rule[Array]):
    @staticmethod
    def forward(spec: Symmetric, raw: Array) -> Array:
        return mirrored(fill_lower(raw, spec.value_shape(tuple(raw.shape))[-1]))

    @staticmethod
    def inverse(spec: Symmetric, value: Array) -> Array:
        inside = SymmetricRule.contains(spec, value, float(jnp.finfo(value.dtype).eps))
        return jnp.where(inside[..., None], take_lower(value), jnp.nan)

    @staticmethod
    def log_abs_det(spec: Symmetric, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=-1))

    @staticmethod
    def project(spec: Symmetric, point: Array) -> Array:
        return symmetric_part(point)

    @staticmethod
    def contains(spec: Symmetric, value: Array, eps: float) -> Array:
        half = value / 2
        apart = largest_entry(half - half.mT)
        return jnp.isfinite(apart) & (apart <= (4 * eps) * largest_entry(half))


@RULES.implements(SkewSymmetric)
class SkewSymmetricRule(Rule[Array]):
    @staticmethod
    def forward(spec: SkewSymmetric, raw: Array) -> Array:
        lower = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        return lower - lower.mT

    @staticmethod
    def inverse(spec: SkewSymmetric, value: Array) -> Array:
        inside = SkewSymmetricRule.contains(spec, value, float(jnp.finfo(value.dtype).eps))
        return jnp.where(inside[..., None], take_strict(value), jnp.nan)

    @staticmethod
    def log_abs_det(spec: SkewSymmetric, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=-1))

    @staticmethod
    def project(spec: SkewSymmetric, point: Array) -> Array:
        return skew_part(point)

    @staticmethod
    def contains(spec: SkewSymmetric, value: Array, eps: float) -> Array:
        half = value / 2
        apart = largest_entry(half + half.mT)
        zeros = largest_entry(jnp.where(below(value, 1) | below(value, 1).mT, 0.0, value)) == 0
        return jnp.isfinite(apart) & (apart <= (4 * eps) * largest_entry(half)) & zeros


def identity_like(matrix: Array) -> Array:
    """The identity matrix, in the dtype of another one."""
    return jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
