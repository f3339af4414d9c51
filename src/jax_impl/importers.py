"""Checkpoints of other libraries: their values, and values into a module."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from isoparam.errors import CheckpointError, DomainError, SpecError
from isoparam.importers import Map, check_names, untied, values_of
from isoparam.specs import Spec, Tied
from jax_impl.assigned import _cast, _copy, _first_raw
from jax_impl.kernels.derivatives import settings_for
from jax_impl.module import Constrained, _declared, _members
from jax_impl.verbs import forward


def import_state(state: Mapping[str, Any], maps: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """The values that a checkpoint of another library stands for, computed by the map of that library.

        torch parametrize    parametrizations.x.original, ...         x, by `maps`; weight and spectral norm by themselves
        torch weight_norm    x_g, x_v                                 x
        torch spectral_norm  x_orig, x_u, x_v                         x
        GPyTorch             raw_x, raw_x_constraint.lower_bound, ..  x, by its usual softplus or sigmoid
        Pyro, a module       x_unconstrained                          x, by `maps`
        Pyro, param store    {"params": ..., "constraints": ...}      every parameter, by its constraint

    # twin: a Pyro param store holds objects of torch, which only torch reads; the values that come out load in both.

    Args:
        state: a dict of arrays under the keys of the state_dict, such as safetensors gives it.
        maps: {name or glob of a value: what computes it}, where the keys do not tell: a function of the stored arrays, or
            a spec of the same map.

    Returns:
        {name: numpy array}, one for each value, in the dtype of its entry (float32 for bfloat16). Every other entry comes
        back as it is, under its own name. `load_values` writes them into a module, of either backend; `unconstrain` gives
        their raw.

    Raises:
        CheckpointError: for entries that belong together of which some are missing, a value whose map is not known, a map
            that matches nothing or does not fit, or two values of one name.

    Example:
        >>> import numpy as np
        >>> from isoparam.jax import import_state
        >>> import_state({"weight_g": np.array([[2.0]]), "weight_v": np.array([[3.0, 4.0]])})["weight"].tolist()
        [[1.2, 1.6]]
    """
    if set(state) == {"params", "constraints"}:
        raise CheckpointError(
            "the param store of Pyro holds objects of torch: read it by isoparam.torch.import_state, whose values load here"
        )
    given = {name: _map(name, entry) for name, entry in (maps or {}).items()}
    return values_of({name: _numbers(entry) for name, entry in state.items()}, given)


def load_values(
    module: Any,
    values: Mapping[str, Any],
    include: Literal["constrained", "all"] = "all",
    start: Literal["value", "project"] = "value",
) -> None:
    """Write values into a module whose parameters are constrained: the inverse of `values`, from any framework.

    A constrained value goes through the inverse into its raw leaf, any other number into its parameter or other variable.
    All are checked before the first is written; the leaves stay the objects that an optimizer knows.

    Args:
        module: a module with `Constrained` or attached parameters.
        values: {dotted name: array}, as `values(module, include)` or `import_state` gives it.
        include: "all": every parameter has to be given, and the other variables (but for streams of random numbers) all or
            none; "constrained": the constrained values, and nothing else.
        start: "value": each lies inside its set; "project": those outside or on the border move to the nearest point and
            a little inside, as for `Constrained`.

    Raises:
        CheckpointError: for a name that the module does not have, one that is missing, another shape, or different values
            for one shared parameter. The message says which.
        DomainError: for a value outside its set or on the border, such as one that another library saturated.
        SpecError: for another `include` or `start`, or something that is no module.

    Limits: the value of a name tied to another may be given or left out; a given one has to equal the other's.

    Example:
        >>> import isoparam as iso, numpy as np
        >>> from flax import nnx
        >>> from isoparam.jax import attach, load_values
        >>> layer = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> attach(layer, "kernel", iso.Positive(), start=1.0)
        >>> load_values(layer, {"kernel": np.array([[0.5], [2.0]]), "bias": np.zeros(1)})
        >>> layer.kernel[...].tolist()
        [[0.5], [2.0]]
    """
    if include not in ("constrained", "all"):
        raise SpecError(f"include={include!r} must be 'constrained' or 'all'")
    if start not in ("value", "project"):
        raise SpecError(f"load_values: start={start!r} must be 'value' or 'project'")
    if not isinstance(module, nnx.Module):
        raise SpecError(f"load_values: expected an nnx.Module, got {type(module).__name__}")
    values = untied({name: _numbers(value) for name, value in values.items()}, _tied(module))
    slots = {name: slot for name, slot in _slots(module).items() if include == "all" or slot.spec is not None}
    check_names(values, {name: (id(slot.leaf), slot.required) for name, slot in slots.items()}, type(module).__name__)
    written: dict[int, tuple[str, Any, Any]] = {}
    for name, value in values.items():
        leaf, numbers = slots[name].leaf, _loaded(name, value, slots[name], start)
        other, _, before = written.setdefault(id(leaf), (name, leaf, numbers))
        if not np.array_equal(np.asarray(before), np.asarray(numbers)):
            raise CheckpointError(
                f"{other!r} and {name!r} are one parameter of {type(module).__name__}, but have different values"
            )
    for _, leaf, numbers in written.values():
        _copy(numbers, leaf)


class _Slot(NamedTuple):
    """Where a value goes: the leaf, the spec between (None: there is none), and whether it has to be given."""

    leaf: Any
    spec: Spec | None
    required: bool


def _slots(module: nnx.Module) -> dict[str, _Slot]:
    """Every name under which a module takes a value."""
    slots: dict[str, _Slot] = {}
    for path, part in _paths(module, "", ()):
        prefix = f"{path}." if path else ""
        declared = _declared(type(part))
        for name, entry in declared.items():
            if isinstance(entry.spec, Tied):
                continue
            slots[prefix + name] = _Slot(_assigned(part, name, entry), entry.spec, True)
        raw_names = {entry.raw_name for entry in declared.values()}
        for name, leaf in _variables(part):
            if name not in raw_names:
                slots[prefix + name] = _Slot(leaf, None, isinstance(leaf, nnx.Param))
    return slots


def _tied(module: nnx.Module) -> dict[str, tuple[str, Tied]]:
    """The names that read another one: that one, and how."""
    found: dict[str, tuple[str, Tied]] = {}
    for path, part in _paths(module, "", ()):
        prefix = f"{path}." if path else ""
        for name, entry in _declared(type(part)).items():
            if isinstance(entry.spec, Tied):
                found[prefix + name] = (prefix + entry.spec.to, entry.spec)
    return found


def _assigned(part: Any, name: str, entry: Constrained) -> Any:
    """The raw leaf; SpecError before the first assignment, which tells the shape."""
    getattr(part, name)
    return getattr(part, entry.raw_name)


def _paths(node: Any, path: str, within: tuple[Any, ...]) -> Iterator[tuple[str, nnx.Module]]:
    """Every module by every dotted name that it has."""
    if any(node is outer for outer in within):
        return
    if isinstance(node, nnx.Module):
        yield path, node
    for name, member in _members(node):
        yield from _paths(member, f"{path}.{name}" if path else name, (*within, node))


def _variables(part: nnx.Module) -> Iterator[tuple[str, Any]]:
    """The module's own variables, also those in its lists, tuples and dicts, but for streams of random numbers."""
    for name, member in _members(part):
        yield from _held(name, member)


def _held(name: str, member: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(member, nnx.Variable):
        if not isinstance(member, nnx.RngState):
            yield name, member
    elif not isinstance(member, nnx.Module):
        for key, entry in _members(member):
            yield from _held(f"{name}.{key}", entry)


def _loaded(name: str, value: np.ndarray, slot: _Slot, start: str) -> Any:
    """The numbers for a leaf, of its shape and dtype."""
    leaf = slot.leaf
    array = _cast(value, leaf.dtype)
    shape = leaf.shape if slot.spec is None else slot.spec.value_shape(tuple(leaf.shape))
    if array.shape != tuple(shape):
        raise CheckpointError(f"{name!r} has the shape {array.shape}, but the module takes {tuple(shape)}")
    if slot.spec is None:
        return array
    try:
        return _first_raw(slot.spec, array, start)
    except DomainError as error:
        more = '; start="project" begins at the nearest point inside' if start == "value" else ""
        raise DomainError(f"{name}: {error}{more}") from None


def _map(name: str, given: Any) -> Map:
    """What the user gave as a map, as a function of numpy arrays."""
    if not isinstance(given, Spec) and not callable(given):
        raise SpecError(f"maps[{name!r}] must be a function or a spec, got {given!r}")

    def mapped(parts: list[np.ndarray], buffers: dict[str, np.ndarray]) -> np.ndarray:
        if buffers:
            raise CheckpointError(
                f"{name!r}: {', '.join(map(repr, buffers))} belong to a module of torch; read the checkpoint by "
                f"isoparam.torch.import_state with that module in maps, whose values load here"
            )
        with ExitStack() as settings:
            for part in parts:
                settings.enter_context(settings_for(part))
            arrays = [jnp.asarray(part) for part in parts]
            return _numbers(forward(given, *arrays) if isinstance(given, Spec) else given(*arrays))

    return mapped


def _numbers(value: Any) -> np.ndarray:
    """An entry as numpy numbers; bfloat16, which numpy does not have, as float32."""
    array = np.asarray(value)
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)
