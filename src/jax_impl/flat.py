"""The flat vector of raw parameters: its leaves and values, the loss and the gradient, and the way to numpy and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from isoparam.errors import BackendError, SpecError
from isoparam.plan import Group, Layout
from isoparam.problem import check_loss_value
from isoparam.specs import Real
from jax_impl.verbs import forward

DTYPES = {"float64": jnp.float64, "float32": jnp.float32, "bfloat16": jnp.bfloat16}


def leaves_of(layout: Layout, flat: Array) -> tuple[Array, ...]:
    """The raw array of each group.

    # twin: torch's leaves share the memory of the flat vector, so that an update in place reaches them; JAX's are slices.
    """
    return tuple(flat[g.start : g.stop].reshape(g.shape) for g in layout.groups)


def values_of(layout: Layout, leaves: tuple[Array, ...]) -> tuple[dict[str, Array], tuple[Array, ...]]:
    """Every constrained value by name, in the user's order, and the values of whole groups."""
    whole = tuple(_value(group, leaf) for group, leaf in zip(layout.groups, leaves, strict=True))
    parts: dict[str, Array] = {}
    for group, value in zip(layout.groups, whole, strict=True):
        parts |= _split(group, value)
    return {name: parts[name] for name in layout.names}, whole


def evaluate_at(
    layout: Layout, function: Any, leaves: tuple[Array, ...], batch: dict[str, Array]
) -> tuple[dict[str, Array], tuple[Array, ...], Array, Array]:
    """Values, values of whole groups, the loss, and its gradient with respect to raw as one flat vector.

    A parameter that the loss does not use has the gradient 0.

    Raises:
        SpecError: for a loss that is no scalar array.
    """

    def objective(leaves: tuple[Array, ...]) -> tuple[Array, Any]:
        values, whole = values_of(layout, leaves)
        loss = function(dict(values), batch)
        if not isinstance(loss, Array):
            raise SpecError(f"the loss is {loss!r}; it must be a JAX array of shape (), computed from values")
        check_loss_value(loss.shape, jnp.issubdtype(loss.dtype, jnp.floating))
        return loss, (values, whole)

    (loss, (values, whole)), grads = jax.value_and_grad(objective, has_aux=True)(leaves)
    return values, whole, loss, jnp.concatenate([grad.reshape(-1) for grad in grads])


def arrays_of(data: Mapping[str, np.ndarray], dtype: str, device: str) -> dict[str, Array]:
    """Data on the device: floats in the dtype of the run, whole numbers and booleans as they are."""
    kinds = {name: DTYPES[dtype] if np.asarray(array).dtype.kind == "f" else None for name, array in data.items()}
    return {name: jnp.array(array, dtype=kinds[name], device=device_of(device)) for name, array in data.items()}


def to_numpy(array: Array) -> np.ndarray:
    """A copy on the host; bfloat16, which numpy lacks, as float32."""
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


def _value(group: Group, leaf: Array) -> Array:
    return leaf if isinstance(group.spec, Real) else forward(group.spec, leaf)


def _split(group: Group, value: Array) -> dict[str, Array]:
    """The values of a group's entries, cut from the value of the group."""
    entries = group.entries
    if len(entries) == 1:
        return {entries[0].name: value}
    # Without the barrier XLA computes the map of the whole group again for each of its entries.
    parts = lax.split(lax.optimization_barrier(value), [entry.stop - entry.start for entry in entries])
    return {entry.name: part.reshape(entry.value_shape) for entry, part in zip(entries, parts, strict=True)}
