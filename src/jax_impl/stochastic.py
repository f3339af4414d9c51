"""Rules of the matrices whose rows or columns are constrained."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import ColumnStochastic, RowStochastic, Simplex, SumToZeroMatrix
from jax_impl.kernels.helmert import helmert_gather, helmert_spread
from jax_impl.kernels.projections import project_sum_to_zero_matrix
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES
from jax_impl.vector import SimplexRule

_ROWS = Simplex()


@RULES.implements(RowStochastic)
class RowStochasticRule(Rule[Array]):
    @staticmethod
    def forward(spec: RowStochastic, raw: Array) -> Array:
        return SimplexRule.forward(_ROWS, raw)

    @staticmethod
    def inverse(spec: RowStochastic, value: Array) -> Array:
        return SimplexRule.inverse(_ROWS, value)

    @staticmethod
    def log_abs_det(spec: RowStochastic, raw: Array) -> Array:
        return sum_once(SimplexRule.log_abs_det(_ROWS, raw))[..., 0]

    @staticmethod
    def project(spec: RowStochastic, point: Array) -> Array:
        return SimplexRule.project(_ROWS, point)

    @staticmethod
    def contains(spec: RowStochastic, value: Array, eps: float) -> Array:
        return jnp.all(SimplexRule.contains(_ROWS, value, eps), axis=-1)


@RULES.implements(ColumnStochastic)
class ColumnStochasticRule(Rule[Array]):
    @staticmethod
    def forward(spec: ColumnStochastic, raw: Array) -> Array:
        return turned(SimplexRule.forward(_ROWS, turned(raw)))

    @staticmethod
    def inverse(spec: ColumnStochastic, value: Array) -> Array:
        return turned(SimplexRule.inverse(_ROWS, turned(value)))

    @staticmethod
    def log_abs_det(spec: ColumnStochastic, raw: Array) -> Array:
        return sum_once(SimplexRule.log_abs_det(_ROWS, turned(raw)))[..., 0]

    @staticmethod
    def project(spec: ColumnStochastic, point: Array) -> Array:
        return turned(SimplexRule.project(_ROWS, turned(point)))

    @staticmethod
    def contains(spec: ColumnStochastic, value: Array, eps: float) -> Array:
        return jnp.all(SimplexRule.contains(_ROWS, turned(value), eps), axis=-1)


@RULES.implements(SumToZeroMatrix)
class SumToZeroMatrixRule(Rule[Array]):
    @staticmethod
    def forward(spec: SumToZeroMatrix, raw: Array) -> Array:
        return turned(helmert_spread(turned(helmert_spread(raw))))

    @staticmethod
    def inverse(spec: SumToZeroMatrix, value: Array) -> Array:
        return turned(helmert_gather(turned(helmert_gather(value))))

    @staticmethod
    def log_abs_det(spec: SumToZeroMatrix, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=(-2, -1)))

    @staticmethod
    def project(spec: SumToZeroMatrix, point: Array) -> Array:
        return project_sum_to_zero_matrix(point)

    @staticmethod
    def contains(spec: SumToZeroMatrix, value: Array, eps: float) -> Array:
        room = (8 * eps) * jnp.sum(jnp.abs(value), axis=(-2, -1)) + (value.shape[-1] + value.shape[-2]) * float(
            jnp.finfo(value.dtype).tiny
        )  # a row is rounded at the size of the entries that it came from
        rows, columns = jnp.abs(sum_once(value)[..., 0]), jnp.abs(sum_once(turned(value))[..., 0])
        return jnp.all(rows <= room[..., None], axis=-1) & jnp.all(columns <= room[..., None], axis=-1)


def turned(array: Array) -> Array:
    """The last two axes exchanged: columns as rows."""
    return jnp.swapaxes(array, -1, -2)
