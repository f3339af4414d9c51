"""One look at a graph that is about to be differentiated: what in it is older than the parameters it was computed from."""

import types
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.diagnosis import Finding, History
from torch_impl.doctor.ages import Age, Ages
from torch_impl.doctor.graph import Edge, Graph, is_view, names_along, number_of
from torch_impl.doctor.holders import (
    Culprit,
    cached_parametrizations,
    culprits,
    is_autocast_copy,
    kept,
    note_all,
    unreached_views,
)
from torch_impl.doctor.names import Names
from torch_impl.doctor.record import Record
from torch_impl.doctor.source import with_line
from torch_impl.doctor.state import Held
from torch_impl.doctor.words import FROZEN, HIDDEN, RAISES, carried, is_carried, plain, stale, title_of


class Looker:
    """Looks at graphs and keeps what it finds.

    Args:
        names: of the model.
        ages: when parameters moved.
        record: where findings go.
    """

    def __init__(self, names: Names, ages: Ages, record: Record) -> None:
        self._names, self._ages, self._record = names, ages, record
        self._parted: dict[tuple[str, str], list[tuple[int, float, float]]] = {}

    def _history(self, culprit: Culprit) -> History | None:
        """How far the first parameter and what is used in its place have come apart by now."""
        leaf, tensor = culprit.edges[0].leaf, culprit.held.tensor
        if tensor is None or culprit.carried:
            return None
        entry = f"mean of {self._names.of(leaf)}"
        rows = self._parted.setdefault((entry, culprit.held.attr), [])
        rows.append((len(self._ages.updates), float(leaf.detach().double().mean()), float(tensor.detach().double().mean())))
        steps, fresh, used = zip(*rows, strict=True)
        return History(entry, steps, fresh, used)

    def look(self, graph: Graph, retain: bool, frame: types.FrameType | None) -> list[Held]:
        """Find what is stale in a graph; what is kept at this time."""
        rows: dict[int, Age] = {}
        for leaf in (edge.leaf for edge in graph.uses):
            if id(leaf) not in rows and leaf.requires_grad:
                rows[id(leaf)] = self._ages.look(leaf)
        old = [edge for edge in graph.uses if id(edge.leaf) in rows and self._ages.is_stale(edge, rows[id(edge.leaf)])]
        helds = kept(self._names.parts, frame)
        note_all(helds, len(self._ages.updates))
        old = [edge for edge in old if not is_view(edge.node) or self._is_parted(graph, edge, rows)]
        if old:
            self._tell(graph, old, rows, helds, retain, frame)
        if not graph.whole:
            self._record.note(f"a graph of more than {len(graph.nodes):,} nodes: only so many were looked at")
        self._ages.looked(list(rows.values()))
        return helds

    def _is_parted(self, graph: Graph, edge: Edge, rows: dict[int, Age]) -> bool:
        """Whether what computes from an old view is old too: a view itself follows its parameter."""
        last = rows[id(edge.leaf)].number
        return any(number_of(node) < last for node in unreached_views(graph, edge))

    def _tell(
        self,
        graph: Graph,
        old: list[Edge],
        rows: dict[int, Age],
        helds: list[Held],
        retain: bool,
        frame: types.FrameType | None,
    ) -> None:
        told: list[Edge] = []
        found = culprits(graph, old, rows, helds, self._ages)
        for culprit in found:
            told += culprit.edges
            self._record.add(replace(self._finding(graph, culprit, retain), history=self._history(culprit)))
        left = [edge for edge in old if edge not in told]
        if left:
            for finding in unnamed(graph, left, self._names, frame, outcome_of(graph, left, retain)):
                self._record.add(finding)
        if retain:
            self._record.add(self._mask(old, found, frame))

    def _finding(self, graph: Graph, culprit: Culprit, retain: bool) -> Finding:
        params = params_of(culprit.edges, self._names)
        path = names_along(graph.way(culprit.node)) if culprit.node in graph else ()
        outcome = outcome_of(graph, culprit.edges, retain)
        by_text = culprit.held.how == "local" and is_carried(culprit.held, self._names)
        return (carried if culprit.carried or by_text else stale)(culprit.held, self._names, params, outcome, path)

    def _mask(self, old: list[Edge], found: list[Culprit], frame: types.FrameType | None) -> Finding:
        attr = title_of(found[0].held, self._names) if found else "backward(retain_graph=True)"
        where = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("", 0)
        message = f"retain_graph=True keeps the graph of {attr}, which was computed before the last update, alive."
        fix = "loss.backward()  # without retain_graph, once the value is computed anew at each step"
        return plain("retain-graph-mask", attr, params_of(old, self._names), message, fix, HIDDEN, where)


def params_of(edges: Sequence[Edge], names: Names) -> tuple[str, ...]:
    """The names of the leaves that are used."""
    return tuple(dict.fromkeys(names.of(edge.leaf) for edge in edges))


def unnamed(graph: Graph, left: list[Edge], names: Names, frame: types.FrameType | None, outcome: str) -> list[Finding]:
    """Findings for stale nodes that no attribute or variable leads to: caches of torch itself, or something unknown."""
    found = []
    params = params_of(left, names)
    path = names_along(graph.way(left[0].node)) if left[0].node in graph else ()
    where = with_line(frame, "cached")
    cached = [name for name, _ in cached_parametrizations(names.model, graph)]
    if where[1] and not cached:  # the block has ended, and emptied the cache
        originals = [name.partition(".original")[0] for name in params if "parametrizations." in name]
        cached = [name.replace("parametrizations.", "") for name in originals]
    for name in cached:
        message = f"parametrize.cached() keeps {name} from one step to the next, so {', '.join(params)} moves without it."
        fix = "with parametrize.cached():  # around one forward and backward, inside of the loop\n    loss.backward()"
        attr = f"{names.attr(name)} (parametrize.cached)"
        found.append(plain("stale-cache", attr, params, message, fix, outcome, where, path=path))
    if found:
        return found
    casts = [edge for edge in left if is_autocast_copy(edge)]
    if casts:
        cast = params_of(casts, names)
        where = with_line(frame, "autocast")
        message = f"one autocast around all steps keeps the converted copy of {', '.join(cast)} of the first one."
        fix = "for ...:\n    with torch.autocast(...):  # anew at each step, around forward and loss\n        loss = ..."
        attr = f"autocast weight cache ({', '.join(cast)})"
        return [plain("stale-cache", attr, cast, message, fix, FROZEN, where, path=path)]
    message = f"the loss reaches {', '.join(params)} through a value that was computed before the last update."
    fix = "compute the value anew at each step, after optimizer.step()"
    where = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("", 0)
    return [plain("stale-value", f"a value of {', '.join(params)}", params, message, fix, outcome, where, path=path)]


def outcome_of(graph: Graph | None, edges: Sequence[Edge], retain: bool) -> str:
    """What a stale value leads to: told by whether its nodes keep tensors, which the first backward frees."""
    if retain:
        return HIDDEN
    return RAISES if any(_saves(edge.node) for edge in edges) else FROZEN


def _saves(node: Any) -> bool:
    return any(name.startswith("_raw_saved_") for name in dir(node)) or bool(
        getattr(node, "saved_tensors", ()) if _is_custom(node) else ()
    )


def _is_custom(node: Any) -> bool:
    return isinstance(node, torch.autograd.function.BackwardCFunction)


def outputs_of(given: Any) -> list[Array]:
    """The tensors of a call of backward."""
    return [given] if isinstance(given, Array) else list(given)
