"""Who keeps a stale value: from the nodes that are too old to the attribute, cache or variable that leads to them."""

import types
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor as Array
from torch import nn
from torch.nn.utils import parametrize

from torch_impl.doctor.ages import Age, Ages
from torch_impl.doctor.graph import Edge, Graph, is_view, marks_of, node_of, number_of
from torch_impl.doctor.keeping import Parts, in_classes, in_frames, in_modules
from torch_impl.doctor.state import Held, Search


class Spot(NamedTuple):
    """What is noted at a node: that its tensor was held here, when the parameters had moved so often."""

    held: Held
    updates: int


def kept(parts: Parts, frame: types.FrameType | None) -> list[Held]:
    """Every tensor with a history that the model, its classes, and the running functions keep."""
    walk = Search(parts.ids)
    found = [*in_modules(parts, walk), *in_classes(parts, walk), *in_frames(frame, walk)]
    return [held for held in found if node_of(held.tensor) is not None]


def note_all(helds: Iterable[Held], updates: int) -> None:
    """Note at the nodes of what is kept where it is kept, without keeping anything alive."""
    for held in helds:
        spots = marks_of(held.tensor.grad_fn).setdefault("held", {})
        owner = held.owner if isinstance(held.owner, type | types.CodeType | str) else type(held.owner)
        spots.setdefault(held.attr, Spot(held._replace(tensor=None, owner=owner), updates))  # type: ignore[arg-type]


def unreached_views(graph: Graph, edge: Edge) -> list[Any]:
    """The nodes that really compute from a leaf, where a node that uses it is only a view."""
    if not is_view(edge.node):
        return [edge.node]
    users: list[Any] = []
    for node in graph.nodes:
        if any(child is edge.node for child, _ in node.next_functions):
            users += unreached_views(graph, Edge(node, edge.leaf)) if is_view(node) else [node]
    return users


class Culprit(NamedTuple):
    """One holder of stale nodes."""

    held: Held
    carried: bool
    edges: tuple[Edge, ...]
    node: Any


def culprits(graph: Graph, stale: list[Edge], rows: dict[int, Age], helds: list[Held], ages: Ages) -> list[Culprit]:
    """Who keeps the stale nodes; those that nobody can be named for are not in it."""
    inside = [held for held in helds if held.tensor.grad_fn in graph]
    reach = {id(held.tensor): _reached(held.tensor, stale) for held in inside}
    old = [held for held in inside if reach[id(held.tensor)] and _is_old(held.tensor, reach[id(held.tensor)], rows, ages)]
    firm = [held for held in old if held.how != "local"]
    found = [Culprit(held, _came_later(held, ages), tuple(reach[id(held.tensor)]), held.tensor.grad_fn) for held in firm]
    left = [edge for edge in stale if not any(edge in culprit.edges for culprit in found)]
    variables = (held for held in old if held.how == "local")
    for held in sorted(variables, key=lambda held: (number_of(held.tensor.grad_fn), len(held.attr))):
        fresh = [edge for edge in reach[id(held.tensor)] if edge in left]
        if fresh:
            found.append(Culprit(held, _came_later(held, ages), tuple(fresh), held.tensor.grad_fn))
            left = [edge for edge in left if edge not in fresh]
    return [*found, *_carried(graph, left, inside, reach, rows, ages)] if left else found


def _came_later(held: Held, ages: Ages) -> bool:
    """Whether what is held was held elsewhere when its step was made, and came here for the next one."""
    spots = marks_of(held.tensor.grad_fn).get("held", {})
    now = len(ages.updates)
    earlier = [attr for attr, spot in spots.items() if spot.updates < now]
    return bool(earlier) and held.attr not in earlier


def _reached(tensor: Array, stale: list[Edge]) -> list[Edge]:
    behind = Graph([tensor])
    nodes = {id(edge.node) for edge in behind.uses}
    return [edge for edge in stale if edge.node in behind or id(edge.node) in nodes]


def _is_old(tensor: Array, edges: list[Edge], rows: dict[int, Age], ages: Ages) -> bool:
    """Whether a tensor itself was computed before one of the leaves behind it moved."""
    moved = [rows[id(edge.leaf)] for edge in edges if id(edge.leaf) in rows]
    number, now = number_of(tensor.grad_fn), len(ages.updates)
    spots = marks_of(tensor.grad_fn).get("held", {}).values()
    return (ages.numbers_hold and any(number < row.number for row in moved)) or any(spot.updates < now for spot in spots)


def _carried(
    graph: Graph, left: list[Edge], inside: list[Held], reach: dict[int, list[Edge]], rows: dict[int, Age], ages: Ages
) -> list[Culprit]:
    """States whose value of the step before is in the graph of this one, and used there by what is new."""
    last = max(rows[id(edge.leaf)].number for edge in left)
    used = {child for node in graph.nodes if number_of(node) >= last for child, _ in node.next_functions}
    before: dict[str, tuple[Held, list[Edge], Any]] = {}
    current = {held.attr: held for held in inside if reach[id(held.tensor)]}
    now = len(ages.updates)
    for edge in left:
        for node in graph.above(edge.node):
            for attr, spot in marks_of(node).get("held", {}).items():
                same = attr in current and current[attr].tensor.grad_fn is node
                if spot.updates < now and not same:
                    before.setdefault(attr, (spot.held, [], node))[1].append(edge)
    at_border = {attr: entry for attr, entry in before.items() if entry[2] in used}
    before = at_border or before
    firm = [attr for attr in before if before[attr][0].how != "local"]
    chosen = [attr for attr in firm if attr in current] or firm or [attr for attr in before if attr in current] or list(before)
    return [Culprit(current.get(attr, before[attr][0]), True, tuple(before[attr][1]), before[attr][2]) for attr in chosen[:3]]


def cached_parametrizations(model: Any, graph: Graph) -> list[tuple[str, Array]]:
    """(name, value) of what `parametrize.cached` keeps and the graph uses."""
    paths = {id(module): path for path, module in model.named_modules()} if isinstance(model, nn.Module) else {}
    found = []
    for (module, name), value in list(parametrize._cache.items()):
        if isinstance(value, Array) and value.grad_fn is not None and value.grad_fn in graph:
            path = paths.get(module, "")
            found.append((f"{path}.{name}" if path else name, value))
    return found


def is_autocast_copy(edge: Edge) -> bool:
    """Whether a node is the conversion of a leaf that an open autocast keeps."""
    kind = type(edge.node).__name__
    open_now = torch.is_autocast_cache_enabled() and torch.is_autocast_enabled(edge.leaf.device.type)
    return open_now and kind.startswith(("ToCopyBackward", "AsStridedBackward", "ToBackward"))
