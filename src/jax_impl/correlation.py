"""Rules of correlation matrices and their Cholesky factors."""

import jax.numpy as jnp
from jax import Array, lax

from isoparam.rules import Rule
from isoparam.specs import CholeskyCorrelation, Correlation
from jax_impl.kernels.correlation import (
    angle_logs,
    by_angles,
    by_length,
    correlation,
    over_diagonal,
    row_logs,
    to_angles,
    with_ones,
)
from jax_impl.kernels.nearest import nearest_correlation
from jax_impl.kernels.sphere import unit
from jax_impl.kernels.triangles import below, fill_strict, largest_entry, take_strict
from jax_impl.registry import RULES


@RULES.implements(CholeskyCorrelation)
class CholeskyCorrelationRule(Rule[Array]):
    @staticmethod
    def forward(spec: CholeskyCorrelation, raw: Array) -> Array:
        side = spec.value_shape(tuple(raw.shape))[-1]
        return by_length(raw, side) if spec.link == "row" else by_angles(fill_strict(raw, side))

    @staticmethod
    def inverse(spec: CholeskyCorrelation, value: Array) -> Array:
        inside = CholeskyCorrelationRule.contains(spec, value, 4 * float(jnp.finfo(value.dtype).eps))
        raw = take_strict(over_diagonal(value) if spec.link == "row" else to_angles(value))
        return jnp.where(inside[..., None], raw, jnp.nan)

    @staticmethod
    def log_abs_det(spec: CholeskyCorrelation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        row = jnp.arange(strict.shape[-1], dtype=raw.dtype)
        if spec.link == "row":
            return -jnp.sum((row + 2) * row_logs(strict), axis=-1)
        return angle_logs(strict, 1 + (row[:, None] - 1 - row) / 2)

    @staticmethod
    def project(spec: CholeskyCorrelation, point: Array) -> Array:
        diagonal = below(point) & ~below(point, 1)
        return unit(jnp.where(diagonal & (point < 0), 0.0, jnp.where(below(point), point, 0.0)))

    @staticmethod
    def contains(spec: CholeskyCorrelation, value: Array, eps: float) -> Array:
        tolerance = 8 * eps + 8 * value.shape[-1] * float(
            jnp.finfo(value.dtype).eps
        )  # of the square, which misses 1 by twice as much
        unit_rows = jnp.abs(jnp.sum(value * value, axis=-1) - 1) <= tolerance
        lower = jnp.all(below(value) | (value == 0), axis=-1)
        return jnp.all(unit_rows & lower & (jnp.diagonal(value, axis1=-2, axis2=-1) > 0), axis=-1)


@RULES.implements(Correlation)
class CorrelationRule(Rule[Array]):
    @staticmethod
    def forward(spec: Correlation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        return correlation(with_ones(strict) if spec.link == "row" else by_angles(strict))

    @staticmethod
    def inverse(spec: Correlation, value: Array) -> Array:
        inside = CorrelationRule.contains(spec, value, float(jnp.finfo(value.dtype).eps))
        factor = _factor(value)
        raw = take_strict(over_diagonal(factor) if spec.link == "row" else to_angles(factor))
        return jnp.where(inside[..., None], raw, jnp.nan)

    @staticmethod
    def log_abs_det(spec: Correlation, raw: Array) -> Array:
        strict = fill_strict(raw, spec.value_shape(tuple(raw.shape))[-1])
        side = strict.shape[-1]
        if spec.link == "row":
            return -(side + 1) * jnp.sum(row_logs(strict), axis=-1)
        row = jnp.arange(side, dtype=raw.dtype)
        return angle_logs(strict, jnp.broadcast_to((side - row) / 2, (side, side)))

    @staticmethod
    def project(spec: Correlation, point: Array) -> Array:
        return nearest_correlation(point)

    @staticmethod
    def contains(spec: Correlation, value: Array, eps: float) -> Array:
        apart = largest_entry(value - value.mT)
        missing = jnp.max(jnp.abs(jnp.diagonal(value, axis1=-2, axis2=-1) - 1), axis=-1)
        definite = jnp.all(jnp.diagonal(_factor(value), axis1=-2, axis2=-1) > 0, axis=-1)
        return (apart <= 4 * eps) & (missing <= 4 * eps) & definite


def _factor(value: Array) -> Array:
    """The Cholesky factor; nan where there is none."""
    # twin: LAPACK's factor through torch.linalg needs its flag read; JAX gives nan by itself.
    return jnp.tril(lax.linalg.cholesky(value, symmetrize_input=True))
