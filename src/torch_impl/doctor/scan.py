"""scan: what is wrong with a model and its optimizers before the first step."""

import inspect
import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from isoparam.diagnosis import Diagnosis, Finding
from torch_impl.doctor.graph import Edge, Graph, is_view, node_of
from torch_impl.doctor.keeping import in_classes, in_modules
from torch_impl.doctor.look import outcome_of, params_of
from torch_impl.doctor.names import Names
from torch_impl.doctor.owners import is_lost, optimizers_of, replaced, unregistered, unregistered_at
from torch_impl.doctor.record import Record
from torch_impl.doctor.source import born_with, class_node, is_constant, is_set_later, places_of
from torch_impl.doctor.state import Held, Search
from torch_impl.doctor.words import fragile, stale

Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None


def scan(model: Any, optimizer: Optimizers = None, *others: torch.optim.Optimizer) -> Diagnosis:
    """Look for stale graphs in what a model keeps, before it is trained.

    Nothing is run. Found are: values that were derived from parameters when the model was made and are kept, in attributes,
    buffers, containers, objects, closures, class attributes and variables of its files; views of parameters; trainable
    tensors that no module has registered; and optimizers that hold tensors which are no longer parameters of the model.
    What is wrong only once training runs is found by `watch`.

    Args:
        model: a module, or an object that holds modules or trainable tensors.
        optimizer: what moves its parameters: one or several; None leaves the optimizers out.
        others: further optimizers.

    Returns:
        A `Diagnosis`, true when something was found.

    Limits: a value that a forward pass has left, and that the next one makes anew, is no fault, and which values these are is
    read from the source of the classes. What a compiled module does inside cannot be seen.

    Example:
        >>> import torch
        >>> from isoparam.torch import doctor
        >>> class Model(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.raw = torch.nn.Parameter(torch.zeros(3))
        ...         self.x = self.raw.sigmoid()
        >>> found = doctor.scan(Model())
        >>> bool(found), found.findings[0].kind, found.findings[0].params
        (True, 'stale-attribute', ('raw',))
    """
    names = Names(model)
    record = Record(names.title)
    examine(names, optimizers_of([optimizer, *others]), record)
    return record.diagnosis


def examine(names: Names, optimizers: Sequence[torch.optim.Optimizer], record: Record) -> None:
    """Fill a record with what stands wrong now."""
    walk = Search(names.parts.ids)
    for held in [*in_modules(names.parts, walk), *in_classes(names.parts, walk)]:
        if node_of(held.tensor) is not None:
            finding = _judged(held, names)
            if finding is not None:
                record.add(finding)
    for finding in [*unregistered(names, optimizers), *replaced(names, optimizers)]:
        record.add(finding)
    note_unseen(names.model, record)


def _judged(held: Held, names: Names) -> Finding | None:
    graph = Graph([held.tensor])
    edges = [edge for edge in graph.uses if edge.leaf.requires_grad]
    own = [edge for edge in edges if id(edge.leaf) in names.own]
    if not edges or is_renewed(held, names):
        return None
    params = params_of(own, names)
    if own and all(is_view(node) for node in graph.nodes):
        return fragile(held, names, params) if held.how in ("attribute", "buffer") else None
    if own:
        return stale(held, names, params, outcome_of(graph, _all_edges(graph, own), retain=False))
    lonely = held.how in ("attribute", "buffer") and isinstance(held.owner, nn.Module)
    return unregistered_at(held, names) if lonely and all(is_lost(edge.leaf) for edge in edges) else None


def _all_edges(graph: Graph, own: list[Edge]) -> list[Edge]:
    """Every node of what is kept, in the shape of the nodes that use a leaf."""
    return [Edge(node, own[0].leaf) for node in graph.nodes]


def is_renewed(held: Held, names: Names) -> bool:
    """Whether a hook before the forward pass, or the forward pass itself, makes what is kept anew.

    A value that only `__init__`, or what it calls, ever assigns is not; of any other, only a running program can tell.
    """
    if isinstance(held.owner, nn.Module) and is_owned_by_hook(held.owner, held.root):
        return True
    if held.how in ("closure", "global"):
        return "[" in held.attr.partition(" (closure")[2] if held.how == "closure" else "[" in held.below
    if held.inner is not None and is_set_later(*held.inner):
        return True
    owner = held.owner if isinstance(held.owner, type) else type(held.owner)
    if class_node(owner) is None and not owner.__module__.startswith("torch."):
        return False  # no source to read: what stands there before training was made before it
    born = born_with(owner)
    places = [place for place in places_of(held, names.model) if not is_constant(place)]
    return not places or any(place.function not in born for place in places)


def is_owned_by_hook(module: nn.Module, attr: str) -> bool:
    """Whether a hook before the forward pass sets an attribute, as old weight_norm, pruning and hooks of users do."""
    return any(_mentions(hook, attr) for hook in module._forward_pre_hooks.values())


def _mentions(hook: Any, attr: str) -> bool:
    function = getattr(hook, "func", hook)
    plain = isinstance(function, types.FunctionType | types.MethodType)
    called = function if plain else inspect.getattr_static(type(function), "__call__", None)
    code = getattr(called, "__code__", None)
    if code is not None and (attr in code.co_names or attr in code.co_consts):
        return True
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    kept = [*cells, *getattr(function, "__dict__", {}).values(), *getattr(hook, "args", ())]
    return any(isinstance(value, str) and value == attr for value in kept)


def note_unseen(model: Any, record: Record) -> None:
    """Note what cannot be looked into."""
    for path, module in model.named_modules() if isinstance(model, nn.Module) else ():
        if type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            record.note(
                f"{path or type(module).__name__} is compiled: what its graph does inside cannot be seen, only what goes in"
            )
