"""Checkpoints of other libraries: their values, and values into a module."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.distributions import constraints, transform_to
from torch.nn.utils.parametrize import ParametrizationList

from isoparam.errors import CheckpointError, DomainError, SpecError
from isoparam.importers import Map, check_names, untied, values_of
from isoparam.specs import Spec, Tied
from torch_impl.assigned import _copy, _first_raw
from torch_impl.module import Constrained, _declared
from torch_impl.verbs import forward


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
        state: a state_dict, or a dict of numpy arrays under the same keys.
        maps: {name or glob of a value: what computes it}, where the keys do not tell: a function of the stored arrays, a
            spec of the same map, the library's own module (which takes over the buffers that the checkpoint has for it),
            or its constraint object.

    Returns:
        {name: numpy array}, one for each value, in the dtype of its entry (float32 for bfloat16). Every other entry comes
        back as it is, under its own name. `load_values` writes them into a module, of either backend; `unconstrain` gives
        their raw.

    Raises:
        CheckpointError: for entries that belong together of which some are missing, a value whose map is not known, a map
            that matches nothing or does not fit, or two values of one name.

    Example:
        >>> import torch
        >>> from isoparam.torch import import_state
        >>> old = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 1))
        >>> sorted(import_state(old.state_dict()))
        ['bias', 'weight']
    """
    given = {name: _map(name, entry) for name, entry in (maps or {}).items()}
    if set(state) == {"params", "constraints"}:
        stored, limits = state["params"], state["constraints"]
        lacking = sorted(set(stored) ^ set(limits))
        if lacking:
            raise CheckpointError(f"the param store of Pyro has {lacking[0]!r} as a parameter or as a constraint, not as both")
        given = {name: _map(name, limit) for name, limit in limits.items()} | given
        values = values_of({name: _numbers(entry) for name, entry in stored.items()}, given)
        return {name.replace("$$$", "."): value for name, value in values.items()}
    return values_of({name: _numbers(entry) for name, entry in state.items()}, given)


def load_values(
    module: Any,
    values: Mapping[str, Any],
    include: Literal["constrained", "all"] = "all",
    start: Literal["value", "project"] = "value",
) -> None:
    """Write values into a module whose parameters are constrained: the inverse of `values`, from any framework.

    A constrained value goes through the inverse into its raw leaf, any other number into its parameter or buffer. All are
    checked before the first is written; the leaves stay the objects that an optimizer knows.

    Args:
        module: a module with `Constrained` or attached parameters.
        values: {dotted name: array}, as `values(module, include)` or `import_state` gives it.
        include: "all": every parameter has to be given, and the buffers all or none; "constrained": the constrained
            values, and nothing else.
        start: "value": each lies inside its set; "project": those outside or on the border move to the nearest point and
            a little inside, as for `Constrained`.

    Raises:
        CheckpointError: for a name that the module does not have, one that is missing, another shape, or different values
            for one shared parameter. The message says which.
        DomainError: for a value outside its set or on the border, such as one that another library saturated.
        SpecError: for another `include` or `start`, or something that is no module.

    Limits: the value of a name tied to another may be given or left out; a given one has to equal the other's.

    Example:
        >>> import isoparam as iso, numpy as np, torch
        >>> from isoparam.torch import attach, load_values
        >>> layer = torch.nn.Linear(2, 1)
        >>> attach(layer, "weight", iso.Positive(), start=1.0)
        >>> load_values(layer, {"weight": np.array([[0.5, 2.0]]), "bias": np.zeros(1)})
        >>> layer.weight.tolist()
        [[0.5, 2.0]]
    """
    if include not in ("constrained", "all"):
        raise SpecError(f"include={include!r} must be 'constrained' or 'all'")
    if start not in ("value", "project"):
        raise SpecError(f"load_values: start={start!r} must be 'value' or 'project'")
    if not isinstance(module, nn.Module):
        raise SpecError(f"load_values: expected an nn.Module, got {type(module).__name__}")
    values = untied({name: _numbers(value) for name, value in values.items()}, _tied(module))
    slots = {name: slot for name, slot in _slots(module).items() if include == "all" or slot.spec is not None}
    check_names(values, {name: (id(slot.leaf), slot.required) for name, slot in slots.items()}, type(module).__name__)
    written: dict[int, tuple[str, Any, Any]] = {}
    for name, value in values.items():
        leaf, numbers = slots[name].leaf, _loaded(name, value, slots[name], start)
        other, _, before = written.setdefault(id(leaf), (name, leaf, numbers))
        if not torch.equal(before, numbers):
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


def _slots(module: nn.Module) -> dict[str, _Slot]:
    """Every name under which a module takes a value."""
    slots: dict[str, _Slot] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        declared = _declared(type(part))
        for name, entry in declared.items():
            if isinstance(entry.spec, Tied):
                continue
            slots[prefix + name] = _Slot(_assigned(part, name, entry), entry.spec, True)
        raw_names = {entry.raw_name for entry in declared.values()}
        for name, leaf in part.named_parameters(recurse=False, remove_duplicate=False):
            if name not in raw_names:
                slots[prefix + name] = _Slot(leaf, None, True)
        for name, leaf in part.named_buffers(recurse=False, remove_duplicate=False):
            if name not in part._non_persistent_buffers_set:
                slots[prefix + name] = _Slot(leaf, None, False)
    return slots


def _tied(module: nn.Module) -> dict[str, tuple[str, Tied]]:
    """The names that read another one: that one, and how."""
    found: dict[str, tuple[str, Tied]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, entry in _declared(type(part)).items():
            if isinstance(entry.spec, Tied):
                found[prefix + name] = (prefix + entry.spec.to, entry.spec)
    return found


def _assigned(part: Any, name: str, entry: Constrained) -> Any:
    """The raw leaf; SpecError before the first assignment, which tells the shape."""
    getattr(part, name)
    return getattr(part, entry.raw_name)


def _loaded(name: str, value: np.ndarray, slot: _Slot, start: str) -> Any:
    """The numbers for a leaf, of its shape and dtype."""
    leaf = slot.leaf
    array = torch.tensor(value).to(dtype=leaf.dtype, device=leaf.device)
    shape = leaf.shape if slot.spec is None else slot.spec.value_shape(tuple(leaf.shape))
    if tuple(array.shape) != tuple(shape):
        raise CheckpointError(f"{name!r} has the shape {tuple(array.shape)}, but the module takes {tuple(shape)}")
    if slot.spec is None:
        return array
    try:
        return _first_raw(slot.spec, array, start)
    except DomainError as error:
        more = '; start="project" begins at the nearest point inside' if start == "value" else ""
        raise DomainError(f"{name}: {error}{more}") from None


def _map(name: str, given: Any) -> Map:
    """What the user gave as a map, as a function of numpy arrays."""
    if isinstance(given, nn.Module):
        return lambda parts, buffers: _by_module(name, given, parts, buffers)
    function: Callable[..., Any] = given
    if isinstance(given, Spec):
        function = lambda raw: forward(given, raw)  # noqa: E731
    elif isinstance(given, constraints.Constraint):
        function = transform_to(given)
    elif not callable(given):
        raise SpecError(f"maps[{name!r}] must be a function, a module, a spec or a constraint, got {given!r}")

    def mapped(parts: list[np.ndarray], buffers: dict[str, np.ndarray]) -> np.ndarray:
        if buffers:
            raise CheckpointError(
                f"{name!r}: {', '.join(map(repr, buffers))} belong to the map; give the module that has them as maps[{name!r}]"
            )
        with torch.no_grad():
            return _numbers(function(*map(torch.tensor, parts)))

    return mapped


def _by_module(name: str, module: nn.Module, parts: list[np.ndarray], buffers: dict[str, np.ndarray]) -> np.ndarray:
    """The value by a copy of a module, or of several in a row, with the buffers of the checkpoint."""
    several = isinstance(module, nn.Sequential | nn.ModuleList | ParametrizationList)
    steps = nn.ModuleList(deepcopy(list(module) if several else [module])).eval()  # type: ignore[arg-type]
    try:
        steps.load_state_dict({key: torch.tensor(entry) for key, entry in buffers.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{name!r}: its entries do not fit the module in maps: {error}") from None
    value: Any = [torch.tensor(part) for part in parts]
    with torch.no_grad():
        for step in steps:
            value = [step(*value)]
    return _numbers(value[0])


def _numbers(value: Any) -> np.ndarray:
    """An entry as numpy numbers; bfloat16, which numpy does not have, as float32."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    array = np.asarray(value)
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)
