"""Rules of the structure specs: parameters of which all, or some, are not free."""

from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule, absent
from isoparam.specs import Fixed, Masked, Tied
from isoparam.ties import Transposed
from jax_impl.constants import fixed_like, places_like
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES
from jax_impl.verbs import applied


@RULES.implements(Fixed)
class FixedRule(Rule[Array]):
    @staticmethod
    def forward(spec: Fixed, raw: Array) -> Array:
        constant = fixed_like(spec, raw)
        return jnp.broadcast_to(constant, (*raw.shape[:-1], *constant.shape))

    @staticmethod
    def inverse(spec: Fixed, value: Array) -> Array:
        return jnp.zeros((*value.shape[: value.ndim - spec.value_rank], 0), value.dtype)

    @staticmethod
    def log_abs_det(spec: Fixed, raw: Array) -> Array:
        return jnp.sum(raw, axis=-1)

    @staticmethod
    def project(spec: Fixed, point: Array) -> Array:
        return jnp.zeros_like(point) + fixed_like(spec, point)

    @staticmethod
    def contains(spec: Fixed, value: Array, eps: float) -> Array:
        return all_last(close(value, fixed_like(spec, value), widened(eps, spec.value_rank)), spec.value_rank)


@RULES.implements(Tied)
class TiedRule(Rule[Array]):
    forward = staticmethod(absent)
    inverse = staticmethod(absent)
    log_abs_det = staticmethod(absent)
    project = staticmethod(absent)
    contains = staticmethod(absent)


@RULES.implements(Transposed)
class TransposedRule(Rule[Array]):
    @staticmethod
    def forward(spec: Transposed, raw: Array) -> Array:
        return jnp.swapaxes(applied(spec.spec, "forward", raw), -1, -2)

    @staticmethod
    def inverse(spec: Transposed, value: Array) -> Array:
        return applied(spec.spec, "inverse", jnp.swapaxes(value, -1, -2))

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: Transposed, point: Array) -> Array:
        return jnp.swapaxes(applied(spec.spec, "project", jnp.swapaxes(point, -1, -2)), -1, -2)

    @staticmethod
    def contains(spec: Transposed, value: Array, eps: float) -> Array:
        inside = applied(spec.spec, "contains", jnp.swapaxes(value, -1, -2), eps)
        return all_last(inside, inside.ndim - value.ndim + spec.value_rank)


@RULES.implements(Masked)
class MaskedRule(Rule[Array]):
    @staticmethod
    def forward(spec: Masked, raw: Array) -> Array:
        return spread(spec, applied(spec.free, "forward", raw))

    @staticmethod
    def inverse(spec: Masked, value: Array) -> Array:
        return applied(spec.free, "inverse", chosen(spec, value))

    @staticmethod
    def log_abs_det(spec: Masked, raw: Array) -> Array:
        return sum_once(applied(spec.free, "log_abs_det", raw))[..., 0]

    @staticmethod
    def project(spec: Masked, point: Array) -> Array:
        return spread(spec, applied(spec.free, "project", chosen(spec, point)))

    @staticmethod
    def contains(spec: Masked, value: Array, eps: float) -> Array:
        free = chosen(spec, value)
        filled = close(value, spread(spec, jnp.zeros_like(free)), widened(eps, spec.value_rank))
        inside = applied(spec.free, "contains", free, widened(eps, 1))
        return all_last(filled | places_like(spec, value).mask, spec.value_rank) & jnp.all(inside, axis=-1)


def chosen(spec: Masked, value: Array) -> Array:
    """The free entries of a value, in a row."""
    row = jnp.reshape(value, (*value.shape[: value.ndim - spec.value_rank], prod(spec.own_shape)))
    return jnp.take(row, places_like(spec, value).free, axis=-1, mode="clip")


def spread(spec: Masked, free: Array) -> Array:
    """The value with these free entries, and the fill elsewhere."""
    places = places_like(spec, free)
    fill = jnp.broadcast_to(places.fill, (*free.shape[:-1], places.fill.shape[0]))
    row = jnp.take(jnp.concatenate([free, fill], axis=-1), places.source, axis=-1, mode="clip")
    return jnp.reshape(row, (*free.shape[:-1], *spec.own_shape))


def widened(eps: Any, rank: int) -> Any:
    """A tolerance as it broadcasts with entries: it is a number, or an array with one for each value of `rank` axes."""
    return eps[(..., *([None] * rank))] if isinstance(eps, Array) else eps


def close(value: Array, constant: Array, eps: Any) -> Array:
    """Whether entries are a constant, up to its rounding."""
    return jnp.abs(value - constant) <= eps * jnp.abs(constant)


def all_last(entries: Array, rank: int) -> Array:
    """Whether all is true over the last `rank` axes."""
    for _ in range(rank):
        entries = jnp.all(entries, axis=-1)
    return entries
