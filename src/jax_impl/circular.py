"""The rule of angles."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import Circular
from jax_impl.constants import turn_like
from jax_impl.kernels.circle import wrap
from jax_impl.registry import RULES


@RULES.implements(Circular)
class CircularRule(Rule[Array]):
    @staticmethod
    def forward(spec: Circular, raw: Array) -> Array:
        return wrap(raw)

    @staticmethod
    def inverse(spec: Circular, value: Array) -> Array:
        turn = turn_like(value)
        return jnp.where((value >= -turn.half) & (value < turn.half), value, jnp.nan)

    @staticmethod
    def log_abs_det(spec: Circular, raw: Array) -> Array:
        return jnp.zeros_like(raw)

    @staticmethod
    def project(spec: Circular, point: Array) -> Array:
        return wrap(point)

    @staticmethod
    def contains(spec: Circular, value: Array, eps: float) -> Array:
        turn = turn_like(value)
        return (value >= -turn.half) & (value < turn.half)
