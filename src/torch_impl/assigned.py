"""Numbers that are assigned to a constrained attribute, and the raw that the first of them make."""

from typing import Any

import numpy as np
import torch
from torch import Tensor as Array
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]  no public name says this

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec
from isoparam.starts import MARGIN, Start, as_numbers
from torch_impl.verbs import contains, forward, initial, inverse, project


def _array(value: Any, leaf: Array | None) -> Array:
    """The assigned numbers as a tensor: of the dtype and on the device of the leaf, once there is one."""
    if isinstance(value, nn.Parameter | nn.Buffer):
        raise SpecError(
            "assign the numbers, not an nn.Parameter or nn.Buffer: write value.detach(); the parameter is made here"
        )
    if not isinstance(value, Array):
        numbers = as_numbers(value, "torch tensor")
        dtype = torch.get_default_dtype() if leaf is None else leaf.dtype
        return _filled(torch.as_tensor(numbers, dtype=dtype, device=None if leaf is None else leaf.device))
    if is_functorch_wrapped_tensor(value):
        raise SpecError("assigned inside grad or vmap of torch.func, out of which it would leak; give functional_call the raw")
    if value.requires_grad:
        raise SpecError("assigned a tensor that requires grad, whose graph would be lost; write value.detach()")
    if not value.is_floating_point():
        raise SpecError(f"a tensor of {value.dtype} is not floating; write value.double()")
    return _filled(value if leaf is None else value.to(dtype=leaf.dtype, device=leaf.device))


def _filled(array: Array) -> Array:
    if array.numel() == 0:
        raise SpecError(f"assigned an array of shape {tuple(array.shape)}, which has no entries")
    return array


def _first_raw(spec: Spec, array: Array, start: Start) -> Array:
    """The raw that the first assignment makes."""
    if isinstance(start, np.random.Generator):
        return initial(spec, tuple(array.shape), start, array.dtype).to(array.device)
    if isinstance(start, np.ndarray):
        try:
            numbers = np.broadcast_to(start, tuple(array.shape))
        except ValueError:
            raise SpecError(
                f"start of shape {start.shape} does not broadcast to the assigned shape {tuple(array.shape)}"
            ) from None
        return inverse(spec, torch.tensor(numbers, dtype=array.dtype, device=array.device))
    if start == "value":
        return inverse(spec, array).detach().clone()
    if not array.is_meta and not bool(torch.isfinite(array).all()):
        raise DomainError("assigned a number that is not finite")
    if start == "raw":
        spec.value_shape(tuple(array.shape))
        return array.detach().clone()
    return inverse(spec, _moved_inside(spec, array))


def _moved_inside(spec: Spec, point: Array) -> Array:
    """The point where it is inside, else the nearest point, moved by MARGIN towards the value at raw = 0."""
    nearest = project(spec, point)
    centre = forward(spec, torch.zeros(spec.raw_shape(tuple(point.shape)), dtype=point.dtype, device=point.device))
    moved = torch.where(_inside(spec, nearest), nearest, nearest + MARGIN * (centre - nearest))
    return torch.where(_inside(spec, point), point, moved)


def _inside(spec: Spec, point: Array) -> Array:
    """`contains`, of a shape that broadcasts with the point."""
    inside = contains(spec, point)
    for axis in sorted(spec.value_axes, reverse=True):
        inside = torch.unsqueeze(inside, axis)
    return inside


def _copy(raw: Array, leaf: Array) -> None:
    """Write the numbers into the leaf, which stays the same object for its optimizer."""
    if raw.shape != leaf.shape:
        raise SpecError(f"needs a raw of shape {tuple(raw.shape)}, but the leaf has {tuple(leaf.shape)}; assign the same shape")
    if not leaf.is_leaf:
        raise SpecError("the raw is itself computed from another tensor, so that there is no leaf to assign to")
    with torch.no_grad():
        leaf.copy_(raw)
