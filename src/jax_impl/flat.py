"""The flat vector of raw parameters: its leaves and values, the loss and the gradient, and the way to numpy and back."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from isoparam.arguments import check_loss_value
from isoparam.errors import BackendError, SpecError
from isoparam.layout import Group, Layout
from isoparam.objective import ModuleLoss, advancing, check_variables
from isoparam.plan import NORM_RANGES
from isoparam.specs import Real, Tied
from jax_impl.verbs import forward, project

DTYPES = {"float64": jnp.float64, "float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16}


def leaves_of(layout: Layout, flat: Array) -> tuple[Array, ...]:
    """The raw array of each group.

    # twin: torch's leaves share the memory of the flat vector, so that an update in place reaches them; JAX's are slices.
    """
    return tuple(flat[g.start : g.stop].reshape(g.shape) for g in layout.groups)


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
            parts[group.entries[0].name] = jnp.swapaxes(value, -1, -2) if group.spec.transpose else value
    whole = tuple(
        parts[group.entries[0].name] if isinstance(group.spec, Tied) else value
        for group, value in zip(layout.groups, whole, strict=True)
    )
    return {name: parts[name] for name in layout.names}, whole


def projected(layout: Layout, flat: Array) -> Array:
    """The nearest point of the closed sets. What is not finite stays: an overflow is a fault, not a point to pull back."""
    parts = [_nearest(layout, group, flat[group.start : group.stop]) for group in layout.groups]
    return jnp.where(jnp.isfinite(flat), jnp.concatenate(parts), flat)


def descent(layout: Layout, flat: Array, grads: Array, maximize: bool) -> Array:
    """What vanishes at a solution: the gradient g; in projected training x - P(x - g), the gradient mapping.

    Where x - g is its own projection P(x - g), that is g itself, without the rounding of the difference.
    """
    if not layout.projected:
        return grads
    target = flat + grads if maximize else flat - grads
    near = projected(layout, target)
    kept = (near == target) | ~jnp.isfinite(grads)
    return jnp.where(kept, grads, near - flat if maximize else flat - near)


def pull(layout: Layout, flat: Array) -> Array:
    """The gradient of half the squares of all values, with respect to raw."""
    groups = [group for group in layout.groups if group.start < group.stop]
    leaves = [flat[group.start : group.stop].reshape(group.shape) for group in groups]
    values, back = jax.vjp(lambda *leaves: [_value(group, leaf) for group, leaf in zip(groups, leaves, strict=True)], *leaves)
    return jnp.concatenate([grad.reshape(-1) for grad in back(values)])


def norm_of(grads: Array, dtype: Any) -> Array:
    """The 2-norm of a vector, right at any scale: squares beyond `dtype` are taken of rescaled numbers."""
    low, high, up = NORM_RANGES[jnp.finfo(dtype).bits]
    grads = grads.astype(dtype)
    plain = jnp.sqrt(jnp.sum(jnp.square(grads)))

    def rescaled() -> Array:
        # Chosen entry by entry: XLA would take a common factor out of the sum, and square it.
        scaled = jnp.where(plain > high, grads * (1 / up), grads * up)
        norm = jnp.sqrt(jnp.sum(jnp.square(scaled)))
        return jnp.where(plain > high, norm * up, norm / up)

    return lax.cond((plain >= low) & (plain <= high), lambda: plain, rescaled)


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

    def __call__(
        self, raw: Array, variables: dict[str, Array], batch: dict[str, Array], step: Any, scale: Any = None
    ) -> tuple[Array, Array, dict[str, Array], tuple[Array, ...]]:
        """The loss, its gradient as one flat vector, the variables after it, and the values of whole groups.

        A parameter that the loss does not use, or that is frozen, has the gradient 0. Nothing that is given changes. With a
        scale the loss is multiplied by it before it is differentiated, and the gradient divided by it.

        Raises:
            SpecError: for a loss that is no scalar array.
        """
        all_leaves = leaves_of(self._layout, raw)
        frozen = all_leaves[self._trained :]

        def objective(leaves: tuple[Array, ...]) -> tuple[Array, Any]:
            values, whole = values_of(self._layout, (*leaves, *frozen))
            if self._narrow is not None:
                values = {name: value.astype(DTYPES[self._narrow]) for name, value in values.items()}
            loss, after = self._advance(dict(values), variables, batch, step)
            if not isinstance(loss, Array):
                raise SpecError(f"the loss is {loss!r}; it must be a JAX array of shape (), computed from values")
            floating, kind = jnp.issubdtype(loss.dtype, jnp.floating), str(loss.dtype)
            check_loss_value(loss.shape, floating, kind, 8 * loss.dtype.itemsize, self._narrow or str(raw.dtype))
            check_variables(variables, after)
            goal = loss if scale is None else loss.astype(scale.dtype) * scale
            # The carry of a loop has no weak types.
            return goal, (loss, {name: jnp.asarray(array, array.dtype) for name, array in after.items()}, whole)

        trained = all_leaves[: self._trained]
        (_, (loss, after, whole)), grads = jax.value_and_grad(objective, has_aux=True)(trained)
        flat = jnp.concatenate([*(grad.reshape(-1) for grad in grads), jnp.zeros_like(raw[self._layout.free :])])
        if scale is not None:
            flat = flat * (1 / scale).astype(flat.dtype)
        return loss if self._narrow is None else loss.astype(raw.dtype), flat, after, whole


def arrays_of(data: Mapping[str, np.ndarray], dtype: str, device: str) -> dict[str, Array]:
    """Data on the device: floats in the dtype of the run, whole numbers and booleans as they are."""
    kinds = {name: DTYPES[dtype] if np.asarray(array).dtype.kind == "f" else None for name, array in data.items()}
    return {name: jnp.array(array, dtype=kinds[name], device=device_of(device)) for name, array in data.items()}


def variables_of(loss: Any, dtype: str, device: str, given: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The variables of a ModuleLoss on the device, {} for another loss: those `given`, else those of the start, copied.

    Floating ones take the dtype of the run, the others keep theirs.
    """
    result = {}
    for name, array in (loss.variables if isinstance(loss, ModuleLoss) else {}).items():
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            data = jnp.array(given.get(name, jax.random.key_data(array)), device=device_of(device))
            result[name] = jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
            continue
        kind = DTYPES[dtype] if jnp.issubdtype(array.dtype, jnp.floating) else jax.dtypes.canonicalize_dtype(array.dtype)
        result[name] = jnp.array(given.get(name, array), kind, device=device_of(device))
    return result


def to_numpy(array: Array) -> np.ndarray:
    """A copy on the host; bfloat16, which numpy lacks, as float32."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    return np.array(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)


def device_of(name: str) -> Any:
    """The device of this name.

    Raises:
        BackendError: where it is missing.
    """
    try:
        return jax.devices("cpu" if name == "cpu" else "cuda")[0]
    except RuntimeError:
        raise BackendError(f"device={name!r}: this jax sees no GPU; pip install 'jax[cuda13]', or use device='cpu'") from None


@contextmanager
def setting(dtype: str, device: str) -> Iterator[None]:
    """x64 on for float64 and off for the rest, on one device, for the time of a block; nothing global changes."""
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        stack.enter_context(jax.default_device(device_of(device)))
        yield


def _value(group: Group, leaf: Array) -> Array:
    # nothing, for a tied one: its value is that of the other
    return leaf if isinstance(group.spec, Real | Tied) else forward(group.spec, leaf)


def _nearest(layout: Layout, group: Group, part: Array) -> Array:
    if isinstance(group.spec, Real | Tied) or group.start >= layout.free:
        return part
    return project(group.spec, part.reshape(group.shape)).reshape(-1)


def _split(group: Group, value: Array) -> dict[str, Array]:
    """The values of a group's entries, cut from the value of the group."""
    entries = group.entries
    if len(entries) == 1:
        return {entries[0].name: value}
    # Without the barrier XLA computes the map of the whole group again for each of its entries.
    parts = lax.split(lax.optimization_barrier(value), [entry.stop - entry.start for entry in entries])
    return {entry.name: part.reshape(entry.value_shape) for entry, part in zip(entries, parts, strict=True)}
