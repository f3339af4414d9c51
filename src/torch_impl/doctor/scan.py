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
from torch_impl.doctor.source import born_with, class_node, is_constant, is_run_later, is_set_later, places_of
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


def examine(names: Names, optimizers: Sequence[torch.optim.Optimizer], record: Record, *, stale_too: bool = True) -> None:
    """Fill a record with what stands wrong now; without `stale_too`, with what no renewal would cure."""
    walk = Search(names.parts.ids)
    for held in [*in_modules(names.parts, walk), *in_classes(names.parts, walk)]:
        if node_of(held.tensor) is not None:
            finding = _judged(held, names)
            renewable = finding is not None and finding.rule in ("SG101", "SG102", "SG103", "SG104", "SG105")
            hooked = renewable and any(mentions(hook, held.root, type(held.owner)) for hook in step_hooks(optimizers))
            if finding is not None and not hooked and (stale_too or not renewable):
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
    kind = held.owner if isinstance(held.owner, type) else type(held.owner)
    if any(mentions(hook, held.root, kind) for _, module in names.parts.modules for hook in hooks_of(module)):
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
    return not places or any(place.function not in born or is_run_later(owner, place.function) for place in places)


def hooks_of(module: nn.Module) -> list[Any]:
    """Every function that runs before or after the forward pass of a module."""
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values(), *module._backward_hooks.values()]


def step_hooks(optimizers: Sequence[torch.optim.Optimizer]) -> list[Any]:
    """Every function that runs before or after a step."""
    tables = [(o._optimizer_step_pre_hooks, o._optimizer_step_post_hooks) for o in optimizers]
    return [hook for pair in tables for table in pair for hook in table.values()]


def mentions(hook: Any, attr: str, kind: type, depth: int = 3) -> bool:
    """Whether a hook, or a method of the class that it calls, names an attribute: old weight_norm, pruning, users' own."""
    function = getattr(hook, "func", hook)
    if isinstance(function, staticmethod | classmethod | types.MethodType):
        function = function.__func__
    called = function if isinstance(function, types.FunctionType) else inspect.getattr_static(type(function), "__call__", None)
    code = getattr(called, "__code__", None)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell)]
    kept = [*cells, *getattr(function, "__dict__", {}).values(), *getattr(hook, "args", ())]
    if any(isinstance(value, str) and value == attr for value in kept):
        return True
    if code is None:
        return False
    if attr in code.co_names or attr in code.co_consts:
        return True
    methods = (inspect.getattr_static(kind, name, None) for name in code.co_names) if depth else ()
    return any(isinstance(method, types.FunctionType) and mentions(method, attr, kind, depth - 1) for method in methods)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  reading is the question
    except ValueError:
        return False
    return True


def note_unseen(model: Any, record: Record) -> None:
    """Note what cannot be looked into."""
    for path, module in model.named_modules() if isinstance(model, nn.Module) else ():
        if type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            record.note(
                f"{path or type(module).__name__} is compiled: what its graph does inside cannot be seen, only what goes in"
            )
