"""Whose the tensors of an optimizer are, and which trainable tensors nobody moves."""

import gc
import types
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn

from isoparam.diagnosis import Finding
from torch_impl.doctor.graph import is_trainable_leaf
from torch_impl.doctor.keeping import caller, in_modules
from torch_impl.doctor.names import Names
from torch_impl.doctor.source import file_of
from torch_impl.doctor.state import Held, Search
from torch_impl.doctor.words import assigned_outside, place_of, plain, title_of

NEVER = "never moves, in silence"


def optimizers_of(given: Any) -> tuple[torch.optim.Optimizer, ...]:
    """The optimizers that were given: None, one, several, or wrappers and schedulers that have one."""
    if given is None:
        return ()
    if isinstance(given, torch.optim.Optimizer):
        return (given,)
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, Sequence | set | frozenset):
        return tuple(optimizer for entry in given for optimizer in optimizers_of(entry))
    inner = getattr(given, "optimizer", None)
    return (inner,) if isinstance(inner, torch.optim.Optimizer) else ()


def held_by(optimizers: Iterable[torch.optim.Optimizer]) -> dict[int, Array]:
    """{id: tensor} of what some optimizers move."""
    return {id(p): p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def replaced(names: Names, optimizers: Sequence[torch.optim.Optimizer]) -> list[Finding]:
    """Parameters whose forerunner, of equal shape and kept by nobody else, is what the optimizer has."""
    moved = held_by(optimizers)
    missing = {key: (name, p) for key, (name, p) in names.own.items() if key not in moved and p.requires_grad}
    if not optimizers or not missing:
        return []
    ghosts = [p for key, p in moved.items() if key not in names.own and _is_forsaken(p)]
    wrong = [name for name, p in missing.values() if any(ghost.shape == p.shape for ghost in ghosts)]
    return [stale_optimizer(names, tuple(wrong))] if wrong else []


def stale_optimizer(names: Names, params: tuple[str, ...]) -> Finding:
    """The optimizer was built before these parameters came."""
    attr = names.attr(params[0])
    file = file_of(type(names.model))
    where = assigned_outside(names.model, params[0].rpartition(".")[2], file)
    message = f"the optimizer holds other tensors in place of {', '.join(params)}, which came after it was built."
    fix = "optimizer = type(optimizer)(model.parameters(), ...)  # after the last change of the model's parameters"
    return plain("stale-optimizer", attr, params, message, fix, f"{params[0]} {NEVER}", where)


def _is_forsaken(parameter: Array) -> bool:
    """Whether only optimizers keep a tensor: no module, list, function or other object does."""
    keepers = gc.get_referrers(parameter)
    for keeper in keepers:
        if isinstance(keeper, dict) and (_is_of_module(keeper, parameter) or _names_it(keeper, parameter)):
            return False
        listing = isinstance(keeper, tuple) or (isinstance(keeper, list) and not _is_group(keeper))
        if listing and not _is_temporary(keeper, keepers):
            return False
        if isinstance(keeper, types.CellType):
            return False
    return not _is_in_a_variable(parameter)


def _names_it(keeper: dict[Any, Any], parameter: Array) -> bool:
    """Whether a dict is the variables of an object or a file that names the tensor."""
    return any(isinstance(key, str) and value is parameter for key, value in list(keeper.items()))


def _is_of_module(keeper: dict[Any, Any], parameter: Array) -> bool:
    return any(
        isinstance(owner, nn.Module) and owner._parameters is keeper
        for above in gc.get_referrers(keeper)
        for owner in (gc.get_referrers(above) if isinstance(above, dict) else [above])
    )


def _is_group(keeper: list[Any]) -> bool:
    return any(isinstance(above, dict) and above.get("params") is keeper for above in gc.get_referrers(keeper))


def _is_temporary(keeper: Any, own: list[Any]) -> bool:
    """Whether nothing but a list of this file's own keeps a list or tuple."""
    kinds = (dict, list, tuple, types.CellType)
    return not any(isinstance(above, kinds) and above is not own for above in gc.get_referrers(keeper))


def _is_in_a_variable(parameter: Array) -> bool:
    """Whether a running function has a tensor in a variable, or in a list of one, which the garbage collector does not see."""
    frame = caller()
    while frame is not None:
        for value in frame.f_locals.values():
            entries = value if isinstance(value, list | tuple) else value.values() if type(value) is dict else (value,)
            if any(entry is parameter for entry in entries):
                return True
        frame = frame.f_back
    return False


def is_lost(leaf: Array) -> bool:
    """Whether a trainable leaf is a parameter without a module, or kept by nothing but the graph of what came from it."""
    return not has_module(leaf) if isinstance(leaf, nn.Parameter) else _is_forsaken(leaf)


def has_module(parameter: Array) -> bool:
    """Whether some module, of this or another model, has registered a parameter."""
    return any(isinstance(keeper, dict) and _is_of_module(keeper, parameter) for keeper in gc.get_referrers(parameter))


def unregistered(names: Names, optimizers: Sequence[torch.optim.Optimizer]) -> list[Finding]:
    """Parameters that lie in plain attributes and containers, where `parameters()` does not look."""
    moved = held_by(optimizers)
    found = []
    for held in in_modules(names.parts, Search(names.parts.ids)) if names.parts.modules else ():
        tensor = held.tensor
        lonely = isinstance(tensor, nn.Parameter) and is_trainable_leaf(tensor)
        if lonely and id(tensor) not in moved and id(tensor) not in names.own and not has_module(tensor):
            found.append(unregistered_at(held, names))
    return found


def unregistered_at(held: Held, names: Names) -> Finding:
    """One trainable tensor that no module has registered."""
    place, title = place_of(held, names), title_of(held, names)
    where = (place.file, place.line) if place is not None else ("", 0)
    message = f"{title} is, or comes from, a trainable tensor that is no parameter of the model: parameters() does not list it."
    if held.tensor.is_leaf:
        fix = f"self.{held.root} = nn.ParameterList(...)  # or nn.Parameter, nn.ParameterDict, nn.ModuleList"
    else:
        fix = f"self.{held.root} = nn.Parameter(value)  # of a value of the wanted dtype and device, nothing called behind it"
    return plain("unregistered-parameter", title, (), message, fix, f"{title} {NEVER}, and is not saved", where)
