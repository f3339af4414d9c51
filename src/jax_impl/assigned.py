"""Numbers that are assigned to a constrained attribute, and the raw that the first of them make."""

from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec
from isoparam.starts import MARGIN, Start, as_numbers
from jax_impl.verbs import contains, forward, initial, inverse, is_concrete, project


def _array(value: Any, leaf: Any) -> Array:
    """The assigned numbers as a JAX array: of the dtype of the leaf, once there is one."""
    if isinstance(value, nnx.Variable):
        raise SpecError("assign the numbers, not an nnx.Variable: write variable[...]; the parameter is made here")
    if not isinstance(value, Array):
        numbers = as_numbers(value, "JAX array")
        return _filled(_cast(numbers, float if leaf is None else leaf.dtype))
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise SpecError(f"an array of {value.dtype} is not floating; write value.astype(float)")
    return _filled(value if leaf is None else _cast(value, leaf.dtype))


def _filled(array: Array) -> Array:
    if array.size == 0:
        raise SpecError(f"assigned an array of shape {array.shape}, which has no entries")
    return array


def _cast(numbers: Any, dtype: Any) -> Array:
    """float64 stays float64 in a program that has x64 off."""
    with jax.enable_x64(True) if dtype is not float and dtype == np.float64 else nullcontext():
        return jnp.asarray(numbers, dtype=dtype)


def _first_raw(spec: Spec, array: Array, start: Start) -> Array:
    """The raw that the first assignment makes."""
    if isinstance(start, np.random.Generator):
        return initial(spec, array.shape, start, array.dtype)
    if isinstance(start, np.ndarray):
        try:
            numbers = np.broadcast_to(start, array.shape)
        except ValueError:
            raise SpecError(f"start of shape {start.shape} does not broadcast to the assigned shape {array.shape}") from None
        return inverse(spec, _cast(numbers, array.dtype))
    if start == "value":
        return inverse(spec, array)
    if is_concrete(array) and not np.isfinite(np.asarray(array)).all():
        raise DomainError("assigned a number that is not finite")
    if start == "raw":
        spec.value_shape(array.shape)
        return array
    return inverse(spec, _moved_inside(spec, array))


def _moved_inside(spec: Spec, point: Array) -> Array:
    """The point where it is inside, else the nearest point, moved by MARGIN towards the value at raw = 0."""
    nearest = project(spec, point)
    centre = forward(spec, _cast(np.zeros(spec.raw_shape(point.shape)), point.dtype))
    with jax.enable_x64(True) if point.dtype == np.float64 else nullcontext():
        moved = jnp.where(_inside(spec, nearest), nearest, nearest + MARGIN * (centre - nearest))
        return jnp.where(_inside(spec, point), point, moved)


def _inside(spec: Spec, point: Array) -> Array:
    """`contains`, of a shape that broadcasts with the point."""
    inside = contains(spec, point)
    for axis in sorted(spec.value_axes, reverse=True):
        inside = jnp.expand_dims(inside, axis)
    return inside


def _copy(raw: Array, leaf: Any) -> None:
    """Write the numbers into the leaf, which stays the same object for its optimizer."""
    if raw.shape != leaf.shape:
        raise SpecError(f"needs a raw of shape {raw.shape}, but the leaf has {leaf.shape}; assign the same shape")
    leaf.set_value(raw)
