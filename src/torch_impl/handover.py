"""The state of an optimizer of one's own loop, as a framework-free `OptimizerState` and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from isoparam.errors import CheckpointError, SpecError
from isoparam.handover import STEP, UNCOUNTED, OptimizerState, check_entries, others
from isoparam.optimizers import Optimizer, SparseAdam, as_optimizer
from isoparam.slots import entries


def to_neutral(
    spec: Optimizer, state: Any, params: Any, groups: Mapping[str, Mapping[str, Any]] | None = None
) -> OptimizerState:
    """The state of an optimizer, by the names of its parameters.

    # twin: torch's state is a state_dict, which numbers the parameters; optax's is a tree of the structure of the parameters.

    Args:
        spec: what the optimizer is, such as `isoparam.Adam()`; its lr does not matter.
        state: `optimizer.state_dict()` of a genuine torch.optim optimizer.
        params: {name: parameter}, in the order in which the optimizer was given them: `dict(module.named_parameters())`. An
            optimizer that was given named parameters knows their names itself, and their order does not matter.
        groups: {name or glob: {setting: value}} of parameter groups whose settings are not those of `spec`.

    Returns:
        An `OptimizerState`, for `from_neutral` of either backend.

    Raises:
        CheckpointError: for an entry that is missing, unknown or of another shape, and for other parameters.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import to_neutral
        >>> x = torch.ones(2, requires_grad=True)
        >>> sgd = torch.optim.SGD([x], momentum=0.9)
        >>> x.sum().backward()
        >>> sgd.step()
        >>> to_neutral(iso.SGD(momentum=0.9), sgd.state_dict(), {"x": x}).entries["x"]["momentum_buffer"].tolist()
        [1.0, 1.0]
    """
    as_optimizer(spec)
    names = _names(state, params)
    unknown = [key for key in state["state"] if key not in names]
    if unknown:
        raise CheckpointError(f"the state has a parameter {unknown[0]!r} that is in none of its groups")
    found = {}
    for number, name in names.items():
        own = {entry: array for entry, array in state["state"].get(number, {}).items() if array is not None}
        found[name] = {entry: _count(array) if entry == STEP else _numbers(array) for entry, array in own.items()}
    neutral = OptimizerState(spec, found, others(tuple(params), spec, groups))
    check_entries(neutral, {name: tuple(leaf.shape) for name, leaf in params.items()})
    return neutral


def from_neutral(neutral: OptimizerState, state: Any, params: Any) -> Any:
    """A state for an optimizer of this framework, with these numbers in it.

    # twin: torch's state is a state_dict, which numbers the parameters; optax's is a tree of the structure of the parameters.

    Args:
        neutral: from `to_neutral` of either backend.
        state: `optimizer.state_dict()` of the optimizer that is to go on, which may be fresh: its groups and their settings
            stay as they are.
        params: {name: parameter}, as for `to_neutral`.

    Returns:
        A new state_dict, for `optimizer.load_state_dict`.

    Raises:
        CheckpointError: for an entry that is missing, unknown or of another shape, and for other parameters.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import from_neutral, to_neutral
        >>> x, y = torch.ones(2, requires_grad=True), torch.zeros(2, requires_grad=True)
        >>> old, new = torch.optim.Adam([x]), torch.optim.Adam([y])
        >>> x.sum().backward()
        >>> old.step()
        >>> neutral = to_neutral(iso.Adam(), old.state_dict(), {"x": x})
        >>> new.load_state_dict(from_neutral(neutral, new.state_dict(), {"x": y}))
        >>> new.state[y]["step"].item()
        1.0
    """
    shapes = {name: tuple(leaf.shape) for name, leaf in params.items()}
    check_entries(neutral, shapes)
    filled = {}
    for number, name in _names(state, params).items():
        own, like = neutral.entries[name], params[name]
        if own:
            kept = entries(neutral.spec_of(name), shapes[name])
            filled[number] = {name: _tensor(own[name], entry.kind, like) for name, entry in kept.items()}
        if STEP in own and not isinstance(neutral.optimizer, UNCOUNTED):
            filled[number][STEP] = _step(neutral.optimizer, int(own[STEP]))
    return {**state, "state": filled}


def _names(state: Any, params: Any) -> dict[int, str]:
    """{number of a parameter in the state: its name}."""
    if not isinstance(state, Mapping) or set(state) != {"state", "param_groups"}:
        raise SpecError(f"state={type(state).__name__} must be optimizer.state_dict() of a torch.optim optimizer")
    if not isinstance(params, Mapping):
        raise SpecError("params must be a dict such as dict(module.named_parameters())")
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    known = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    names = known if len(known) == len(numbers) else list(params)
    if len(names) != len(numbers) or set(names) != set(params):
        raise CheckpointError(
            f"the optimizer has {len(numbers)} parameters{f' ({_shown(known)})' if known else ''}, and params are "
            f"{_shown(params)}; give those of the optimizer, in its order"
        )
    return dict(zip(numbers, names, strict=True))


def _shown(names: Any) -> str:
    return ", ".join(map(repr, names))[:160]


def _tensor(array: np.ndarray, kind: str, like: Any) -> Any:
    """An entry on the device of its parameter; what torch keeps in float32 lies on the CPU, as its step."""
    if kind == "float32":
        return torch.tensor(array, dtype=torch.float32)
    return torch.tensor(array, dtype=like.dtype, device=like.device)


def _step(spec: Optimizer, count: int) -> Any:
    """The count of updates as torch keeps it: a number for SparseAdam, whose bias correction is then in float64."""
    return count if isinstance(spec, SparseAdam) else torch.tensor(float(count), dtype=torch.float32)


def _count(step: Any) -> np.ndarray:
    """The count of updates; what is none stays as it is, to be refused."""
    number = float(step)
    return np.array(int(number), np.int64) if number.is_integer() else np.array(number)


def _numbers(array: Any) -> np.ndarray:
    """A copy on the host; bfloat16, which numpy lacks, as float32."""
    array = torch.as_tensor(array).detach()
    return np.array((array.float() if array.dtype == torch.bfloat16 else array).cpu().numpy())
