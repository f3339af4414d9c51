"""Rules of the coefficients of time series."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule, absent
from isoparam.specs import StationaryAR
from jax_impl.kernels.hyperbolic import far_atanh, log_less_tanh, log_sech2
from jax_impl.kernels.levinson import levinson, levinson_inverse
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES


@RULES.implements(StationaryAR)
class StationaryARRule(Rule[Array]):
    @staticmethod
    def forward(spec: StationaryAR, raw: Array) -> Array:
        return levinson(raw)

    @staticmethod
    def inverse(spec: StationaryAR, value: Array) -> Array:
        r, more, less = levinson_inverse(value)
        return far_atanh(jnp.ones_like(r), r, more, less)

    @staticmethod
    def log_abs_det(spec: StationaryAR, raw: Array) -> Array:
        # For k = 1, 3, 5... both logarithms come equally often, so that only their sum log sech^2 is left.
        k = jnp.arange(1, raw.shape[-1] + 1)
        pairs = ((k + 1) // 2).astype(raw.dtype)
        return sum_once(pairs * log_sech2(raw) + jnp.where(k % 2 == 0, log_less_tanh(raw), 0.0))[..., 0]

    project = staticmethod(absent)

    @staticmethod
    def contains(spec: StationaryAR, value: Array, eps: float) -> Array:
        return jnp.all(jnp.abs(levinson_inverse(value)[0]) < 1, axis=-1)
