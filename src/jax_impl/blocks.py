"""Rules of Concatenate and Stack: one array of parts, each with a spec of its own."""

from functools import reduce
from itertools import accumulate
from operator import add, and_
from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import Concatenate, Spec, Stack
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES
from jax_impl.structure import widened
from jax_impl.verbs import applied


@RULES.implements(Concatenate)
class ConcatenateRule(Rule[Array]):
    @staticmethod
    def forward(spec: Concatenate, raw: Array) -> Array:
        return jnp.concatenate(block_by_block(spec, "forward", raw, spec.raw_sizes), axis=-1)

    @staticmethod
    def inverse(spec: Concatenate, value: Array) -> Array:
        return jnp.concatenate(block_by_block(spec, "inverse", value, spec.sizes), axis=-1)

    @staticmethod
    def log_abs_det(spec: Concatenate, raw: Array) -> Array:
        return reduce(add, block_by_block(spec, "log_abs_det", raw, spec.raw_sizes))

    @staticmethod
    def project(spec: Concatenate, point: Array) -> Array:
        return jnp.concatenate(block_by_block(spec, "project", point, spec.sizes), axis=-1)

    @staticmethod
    def contains(spec: Concatenate, value: Array, eps: float) -> Array:
        return reduce(and_, block_by_block(spec, "contains", value, spec.sizes, eps))


@RULES.implements(Stack)
class StackRule(Rule[Array]):
    @staticmethod
    def forward(spec: Stack, raw: Array) -> Array:
        return jnp.stack(slice_by_slice(spec, "forward", raw), axis=-1)

    @staticmethod
    def inverse(spec: Stack, value: Array) -> Array:
        return jnp.stack(slice_by_slice(spec, "inverse", value), axis=-1)

    @staticmethod
    def log_abs_det(spec: Stack, raw: Array) -> Array:
        return reduce(add, slice_by_slice(spec, "log_abs_det", raw))

    @staticmethod
    def project(spec: Stack, point: Array) -> Array:
        return jnp.stack(slice_by_slice(spec, "project", point), axis=-1)

    @staticmethod
    def contains(spec: Stack, value: Array, eps: float) -> Array:
        return reduce(and_, slice_by_slice(spec, "contains", value, eps))


def block_by_block(spec: Concatenate, verb: str, array: Array, sizes: tuple[int, ...], *settings: Any) -> list[Array]:
    """A verb of each block on its entries along the last axis."""
    blocks = jnp.split(array, list(accumulate(sizes))[:-1], axis=-1)
    return [one_number(part, verb, block, 1, *settings) for part, block in zip(spec.specs, blocks, strict=True)]


def slice_by_slice(spec: Stack, verb: str, array: Array, *settings: Any) -> list[Array]:
    """A verb of each slice along the last axis."""
    rank = spec.value_rank - 1
    return [one_number(part, verb, array[..., k], rank, *settings) for k, part in enumerate(spec.specs)]


def one_number(part: Spec, verb: str, array: Array, rank: int, *settings: Any) -> Array:
    """A verb of one part; where it has one number for each entry of a scalar spec, those of the last `rank` axes together."""
    if part.kind != "scalar" or rank == 0:
        return applied(part, verb, array, *settings)
    result = applied(part, verb, array, *(widened(setting, rank) for setting in settings))
    if verb == "log_abs_det":
        return sum_once(result)[..., 0]
    return jnp.all(result, axis=-1) if verb == "contains" else result
