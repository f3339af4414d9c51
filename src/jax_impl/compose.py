"""Rules of Compose: one map after another."""

from functools import reduce
from math import prod
from operator import and_
from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import Compose
from isoparam.specs.compose import fills
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES
from jax_impl.verbs import applied

FLOOR = 1e-30
"""Smallest size, beside its error, that an entry is taken to have: what is 0 has no relative error."""


@RULES.implements(Compose)
class ComposeRule(Rule[Array]):
    @staticmethod
    def forward(spec: Compose, raw: Array) -> Array:
        for part in reversed(spec.specs):
            raw = applied(part, "forward", raw)
        return raw

    @staticmethod
    def inverse(spec: Compose, value: Array) -> Array:
        for part in spec.specs:
            value = applied(part, "inverse", value)
        return value

    @staticmethod
    def log_abs_det(spec: Compose, raw: Array) -> Array:
        free = prod(raw.shape[axis] for axis in spec.raw_axes)
        total, x = applied(spec.inner, "log_abs_det", raw), raw
        for part in reversed(range(len(spec.specs))):
            axes = spec.axes_at(part)
            if part < len(spec.specs) - 1:
                total = total + _per_value(spec, part, applied(spec.specs[part], "log_abs_det", x), axes, free)
            elif spec.inner.kind == "scalar" and axes:
                total = sum_once(in_rows(total, axes))[..., 0]
            x = applied(spec.specs[part], "forward", x)
        return total

    @staticmethod
    def project(spec: Compose, point: Array) -> Array:
        x = point
        for part in spec.specs[:-1]:
            x = applied(part, "inverse", x)
        nearest = applied(spec.inner, "project", x)
        moved = nearest
        for part in reversed(spec.specs[:-1]):
            moved = applied(part, "forward", moved)
        return jnp.where(nearest == x, point, moved)  # what is in the set is not rounded on the way there and back

    @staticmethod
    def contains(spec: Compose, value: Array, eps: float) -> Array:
        room: Any = eps
        x, error, inside = value, eps * jnp.abs(value), []
        for part, outer in enumerate(spec.specs[:-1]):
            axes = spec.axes_at(part)
            within = applied(outer, "contains", x, eps)
            within = jnp.all(in_rows(within, axes), axis=-1) if outer.kind == "scalar" and axes else within
            inside.append(within)
            x = applied(outer, "inverse", x)
            rounding = eps * jnp.abs(x)
            if outer.kind == "scalar":
                slope = jnp.exp(-applied(outer, "log_abs_det", x))
                error = jnp.maximum(error * slope, rounding)
            else:
                error = rounding
        if spec.inner.kind != "scalar":
            error, size = (in_rows(numbers, spec.inner.value_axes) for numbers in (error, jnp.abs(x)))
            largest = jnp.max(error, axis=-1)
            room = jnp.maximum(2 * largest / jnp.maximum(jnp.max(size, axis=-1), FLOOR * largest), eps)
        within = applied(spec.inner, "contains", x, room)
        axes = spec.axes_at(len(spec.specs) - 1)
        return reduce(and_, inside) & (
            jnp.all(in_rows(within, axes), axis=-1) if spec.inner.kind == "scalar" and axes else within
        )


def in_rows(array: Array, axes: tuple[int, ...]) -> Array:
    """The axes of one value as one axis, the last."""
    moved = jnp.moveaxis(array, axes, tuple(range(-len(axes), 0)))
    batch = moved.shape[: moved.ndim - len(axes)]
    return jnp.reshape(moved, (*batch, prod(moved.shape[len(batch) :])))


def _per_value(spec: Compose, part: int, term: Array, axes: tuple[int, ...], free: int) -> Array:
    """The log-determinant of one part for each value: its entries summed, or one of them for each free dimension."""
    if spec.specs[part].kind != "scalar" or not axes:
        return term
    rows = in_rows(term, axes)
    return sum_once(rows)[..., 0] if fills(spec.specs[part + 1 :]) else free * rows[..., 0]
