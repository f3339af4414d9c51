"""Rules of the covariance matrices and their factors."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule, absent
from isoparam.specs import CholeskyCovariance, Covariance, LowRankCovariance
from jax_impl.kernels.factors import covariance, covariance_log_det, diagonal, filled, gram, roots, unlinked, with_diagonal
from jax_impl.kernels.spectra import low_rank_root, project_low_rank, project_semidefinite, spectrum
from jax_impl.kernels.sums import sum_once
from jax_impl.kernels.triangles import below, fill_lower, largest_entry, take_lower
from jax_impl.registry import RULES
from jax_impl.scalar import gap_log_slope


@RULES.implements(CholeskyCovariance)
class CholeskyCovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: CholeskyCovariance, raw: Array) -> Array:
        rows, columns = spec.value_shape(tuple(raw.shape))[-2:]
        if rows == columns:
            return filled(raw, columns, spec.link)
        count = columns * (columns + 1) // 2
        rest = raw[..., count:].reshape(*raw.shape[:-1], rows - columns, columns)
        return jnp.concatenate([filled(raw[..., :count], columns, spec.link), rest], axis=-2)

    @staticmethod
    def inverse(spec: CholeskyCovariance, value: Array) -> Array:
        columns = value.shape[-1]
        square = value[..., :columns, :]
        raw = take_lower(with_diagonal(square, unlinked(diagonal(square), spec.link)))
        if value.shape[-2] > columns:
            rest = value[..., columns:, :]
            raw = jnp.concatenate([raw, rest.reshape(*raw.shape[:-1], rest.shape[-2] * columns)], axis=-1)
        zeros = jnp.all(jnp.all(below(square) | (square == 0), axis=-1), axis=-1)
        return jnp.where(zeros[..., None], raw, jnp.nan)

    @staticmethod
    def log_abs_det(spec: CholeskyCovariance, raw: Array) -> Array:
        columns = spec.value_shape(tuple(raw.shape))[-1]
        entries = diagonal(fill_lower(raw[..., : columns * (columns + 1) // 2], columns))
        return sum_once(gap_log_slope(spec.link, entries))[..., 0]

    @staticmethod
    def project(spec: CholeskyCovariance, point: Array) -> Array:
        entries = diagonal(point)
        return with_diagonal(jnp.tril(point), jnp.where(entries < 0, 0.0, entries))

    @staticmethod
    def contains(spec: CholeskyCovariance, value: Array, eps: float) -> Array:
        square = value[..., : value.shape[-1], :]
        inside = jnp.all(jnp.all(below(square) | (square == 0), axis=-1), axis=-1)
        finite = jnp.all(jnp.all(jnp.isfinite(value), axis=-1), axis=-1)
        return inside & finite & jnp.all(diagonal(square) > 0, axis=-1)


@RULES.implements(Covariance)
class CovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: Covariance, raw: Array) -> Array:
        return covariance[spec.link](raw)

    @staticmethod
    def inverse(spec: Covariance, value: Array) -> Array:
        return jnp.where(
            symmetric_enough(value, float(jnp.finfo(value.dtype).eps))[..., None], roots[spec.link](value), jnp.nan
        )

    @staticmethod
    def log_abs_det(spec: Covariance, raw: Array) -> Array:
        side = spec.value_shape(tuple(raw.shape))[-1]
        return covariance_log_det(diagonal(fill_lower(raw, side)), spec.link)

    @staticmethod
    def project(spec: Covariance, point: Array) -> Array:
        return project_semidefinite(point)

    @staticmethod
    def contains(spec: Covariance, value: Array, eps: float) -> Array:
        found = jnp.all(jnp.isfinite(roots["exp"](value)), axis=-1)
        return symmetric_enough(value, eps) & found


@RULES.implements(LowRankCovariance)
class LowRankCovarianceRule(Rule[Array]):
    @staticmethod
    def forward(spec: LowRankCovariance, raw: Array) -> Array:
        return gram(raw)

    @staticmethod
    def inverse(spec: LowRankCovariance, value: Array) -> Array:
        inside = LowRankCovarianceRule.contains(spec, value, float(jnp.finfo(value.dtype).eps))
        return jnp.where(inside[..., None, None], low_rank_root(value, spec.rank), jnp.nan)

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: LowRankCovariance, point: Array) -> Array:
        return project_low_rank(point, spec.rank)

    @staticmethod
    def contains(spec: LowRankCovariance, value: Array, eps: float) -> Array:
        side = value.shape[-1]
        found = spectrum(value)
        tolerance = (4 * side * eps) * jnp.max(jnp.abs(found), axis=-1)
        beyond = jnp.abs(found[..., : side - spec.rank])
        lowest = jnp.all(found >= -tolerance[..., None], axis=-1) & jnp.all(beyond <= tolerance[..., None], axis=-1)
        return symmetric_enough(value, side * eps) & lowest


def symmetric_enough(value: Array, eps: float) -> Array:
    """Whether entries across the diagonal differ by 4 eps of the largest entry at most."""
    half = value / 2
    apart = largest_entry(half - half.mT)
    return jnp.isfinite(apart) & (apart <= (4 * eps) * largest_entry(half))
