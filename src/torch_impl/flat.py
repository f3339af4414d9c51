"""The flat vector of raw parameters: its leaves and values, the loss and the gradient, and the way to numpy and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.arguments import check_loss_value
from isoparam.errors import BackendError, SpecError
from isoparam.layout import Group, Layout
from isoparam.objective import ModuleLoss, advancing, check_variables
from isoparam.plan import NORM_RANGES
from isoparam.specs import Real, Tied
from torch_impl.registry import RULES
from torch_impl.verbs import forward, project

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def leaves_of(layout: Layout, flat: Array) -> tuple[Array, ...]:
    """The raw array of each group.

    # twin: torch's leaves share the memory of the flat vector, so that an update in place reaches them; JAX's are slices.
    """
    return tuple(flat[g.start : g.stop].view(g.shape).detach().requires_grad_() for g in layout.groups)


def values_of(layout: Layout, leaves: tuple[Array, ...]) -> tuple[dict[str, Array], tuple[Array, ...]]:
    """Every constrained value by name, in the user's order, and the values of whole groups."""
    whole = leaves
    if not layout.projected:
        whole = tuple(_value(group, leaf) for group, leaf in zip(layout.groups, leaves, strict=True))
    parts: dict[str, Array] = {}
    for group, value in zip(layout.groups, whole, strict=True):
        parts |= _split(group, value)
    for group in layout.groups:
        if isinstance(group.spec, Tied):
            value = parts[group.spec.to]
            parts[group.entries[0].name] = value.mT if group.spec.transpose else value
    whole = tuple(
        parts[group.entries[0].name] if isinstance(group.spec, Tied) else value
        for group, value in zip(layout.groups, whole, strict=True)
    )
    return {name: parts[name] for name in layout.names}, whole


def projected(layout: Layout, flat: Array) -> Array:
    """The nearest point of the closed sets. What is not finite stays: an overflow is a fault, not a point to pull back."""
    with torch.no_grad():
        parts = [_nearest(layout, group, flat[group.start : group.stop]) for group in layout.groups]
        return torch.where(torch.isfinite(flat), parts[0] if len(parts) == 1 else torch.cat(parts), flat)


def descent(layout: Layout, flat: Array, grads: Array, maximize: bool) -> Array:
    """What vanishes at a solution: the gradient g; in projected training x - P(x - g), the gradient mapping.

    Where x - g is its own projection P(x - g), that is g itself, without the rounding of the difference.
    """
    if not layout.projected:
        return grads
    target = flat + grads if maximize else flat - grads
    near = projected(layout, target)
    kept = (near == target) | ~torch.isfinite(grads)
    return torch.where(kept, grads, near - flat if maximize else flat - near)


def pull(layout: Layout, flat: Array) -> Array:
    """The gradient of half the squares of all values, with respect to raw."""
    groups = [group for group in layout.groups if group.start < group.stop]
    leaves = [flat[group.start : group.stop].view(group.shape).detach().requires_grad_() for group in groups]
    with torch.enable_grad():
        values = [_value(group, leaf) for group, leaf in zip(groups, leaves, strict=True)]
    grads = torch.autograd.grad(values, leaves, [value.detach() for value in values])
    return torch.cat([grad.reshape(-1) for grad in grads])


def norm_of(grads: Array, dtype: Any) -> Array:
    """The 2-norm along the last axis, right at any scale: squares beyond `dtype` are taken of rescaled numbers."""
    low, high, up = NORM_RANGES[torch.finfo(dtype).bits]
    plain = torch.linalg.vector_norm(grads, dim=-1, dtype=dtype)
    if plain.ndim == 0 and plain.device.type == "cpu" and low <= plain.item() <= high:  # on a GPU this would wait for it
        return plain
    scale = torch.ones_like(plain).masked_fill(plain > high, 1 / up).masked_fill(plain < low, up)
    return torch.linalg.vector_norm(grads.to(dtype) * scale[..., None], dim=-1) / scale


class Objective:
    """The loss of a run as a function of the flat vector of raw parameters.

    Args:
        layout: how the parameters lie in it.
        loss: `loss(values, batch)`, or a `ModuleLoss`.
        seed: of the run, for the random numbers of a `ModuleLoss`.
        narrow: dtype to which the loss is given the values rounded; None: as they are.
    """

    def __init__(self, layout: Layout, loss: Any, seed: int, narrow: str | None = None) -> None:
        self._layout, self._narrow = layout, narrow
        self._trained = sum(group.start < layout.free for group in layout.groups)
        self._advance = advancing(loss, seed)
        self._raw: Array | None = None
        self._leaves: tuple[Array, ...] = ()

    def __call__(
        self, raw: Array, variables: dict[str, Array], batch: dict[str, Array], step: Any, scale: Any = None
    ) -> tuple[Array, Array, dict[str, Array], tuple[Array, ...]]:
        """The loss, its gradient as one flat vector, the variables after it, and the values of whole groups.

        A parameter that the loss does not use, or that is frozen, has the gradient 0. Nothing that is given changes. With a
        scale the loss is multiplied by it before it is differentiated, and the gradient divided by it.

        Raises:
            SpecError: for a loss that is no scalar array, or one that changes its arguments in place.
        """
        if not torch.is_grad_enabled():  # asked first, since entering the block costs more than asking
            with torch.enable_grad():
                return self(raw, variables, batch, step, scale)
        if raw is not self._raw:  # leaves share the memory of raw: made once, they follow every update in place
            self._raw, self._leaves = raw, leaves_of(self._layout, raw)
        values, whole = values_of(self._layout, self._leaves)
        if self._narrow is not None:
            values = {name: value.to(DTYPES[self._narrow]) for name, value in values.items()}
        given = (*whole, *batch.values(), *variables.values())
        before = [array._version for array in given]
        loss, after = self._advance(dict(values), variables, batch, step)
        if before != [array._version for array in given]:
            raise SpecError("the loss changes values or batch in place, for the next step too; write x = x - 1 for x.sub_(1)")
        if not isinstance(loss, Array):
            raise SpecError(f"the loss is {loss!r}; it must be a torch tensor of shape (), computed from values")
        if loss.ndim or loss.dtype != raw.dtype:
            floating, kind = loss.is_floating_point(), str(loss.dtype).removeprefix("torch.")
            check_loss_value(tuple(loss.shape), floating, kind, 8 * loss.dtype.itemsize, self._narrow or NAMES[raw.dtype])
        if not loss.requires_grad:
            raise SpecError("the loss does not depend on any parameter; compute it from values, without .item() or .detach()")
        goal = loss if scale is None else loss.to(scale.dtype) * scale
        grads = torch.autograd.grad(goal, self._leaves[: self._trained], allow_unused=True)
        known = (*grads, *(None for _ in self._leaves[self._trained :]))
        parts = [torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(known, self._leaves, strict=True)]
        flat = parts[0].reshape(-1) if len(parts) == 1 else torch.cat([part.reshape(-1) for part in parts])
        if scale is not None:
            flat = flat * scale.reciprocal().to(flat.dtype)
        if variables:
            check_variables(variables, after)
        loss = loss.detach() if self._narrow is None else loss.detach().to(raw.dtype)
        return loss, flat, {name: array.detach() for name, array in after.items()}, whole


def arrays_of(data: Mapping[str, np.ndarray], dtype: str, device: str) -> dict[str, Array]:
    """Data on the device: floats in the dtype of the run, whole numbers and booleans as they are."""
    kinds = {name: DTYPES[dtype] if np.asarray(array).dtype.kind == "f" else None for name, array in data.items()}
    return {name: torch.tensor(np.asarray(array), dtype=kinds[name], device=device_of(device)) for name, array in data.items()}


def variables_of(loss: Any, dtype: str, device: str, given: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The variables of a ModuleLoss on the device, {} for another loss: those `given`, else those of the start, copied.

    Floating ones take the dtype of the run, the others keep theirs.
    """
    result = {}
    for name, array in (loss.variables if isinstance(loss, ModuleLoss) else {}).items():
        kind = DTYPES[dtype] if array.is_floating_point() else array.dtype
        taken = array.detach().clone() if name not in given else torch.tensor(given[name])
        result[name] = taken.to(device=device_of(device), dtype=kind)
    return result


def to_numpy(array: Array) -> np.ndarray:
    """A copy on the host; bfloat16, which numpy lacks, as float32."""
    array = array.detach()
    return np.array((array.float() if array.dtype == torch.bfloat16 else array).cpu().numpy())


def device_of(name: str) -> Any:
    """The device of this name.

    Raises:
        BackendError: where it is missing.
    """
    if name != "cpu" and not torch.cuda.is_available():
        raise BackendError(f"device={name!r}: this torch sees no GPU; install a CUDA build of torch, or use device='cpu'")
    return torch.device("cpu" if name == "cpu" else "cuda")


def _value(group: Group, leaf: Array) -> Array:
    if isinstance(group.spec, Real | Tied):
        return leaf  # nothing, for a tied one: its value is that of the other
    if group.spec.kind == "scalar" and leaf.dtype in (torch.float32, torch.float64):
        return RULES[type(group.spec)].forward(group.spec, leaf)  # shapes were checked when the problem was made
    return forward(group.spec, leaf)


def _nearest(layout: Layout, group: Group, part: Array) -> Array:
    if isinstance(group.spec, Real | Tied) or group.start >= layout.free:
        return part
    return project(group.spec, part.view(group.shape)).reshape(-1)


def _split(group: Group, value: Array) -> dict[str, Array]:
    """The values of a group's entries, cut from the value of the group."""
    entries = group.entries
    if len(entries) == 1:
        return {entries[0].name: value}
    if all(entry.value_shape == () for entry in entries):
        return {entry.name: part for entry, part in zip(entries, value.unbind(0), strict=True)}
    parts = torch.split(value, [entry.stop - entry.start for entry in entries])
    return {entry.name: part.view(entry.value_shape) for entry, part in zip(entries, parts, strict=True)}
