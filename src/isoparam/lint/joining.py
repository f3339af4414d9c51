"""Graphs and values of which either may be meant, put together."""

from collections.abc import Iterable
from typing import Any

from isoparam.lint.values import NO_DEPS, Box, Data, Deps, Value

ABSENT: Any = object()  # where nothing is written


def oldest(graphs: Iterable[Deps]) -> Deps:
    """All graphs in one; per parameter the earliest."""
    result: Deps = NO_DEPS
    own = False
    for graph in graphs:
        if not graph:
            continue
        if not result:
            result = graph
            continue
        if not own:
            result, own = dict(result), True
        for param, dep in graph.items():
            if param not in result or dep.born < result[param].born:
                result[param] = dep
    return result


def joined(values: list[Any]) -> Any:
    """What several branches would have written, in one."""
    present = [value for value in values if value is not ABSENT]
    if not present:
        return ABSENT
    result = present[0]
    for value in present[1:]:
        result = join(result, value)
    return result


def join(one: Any, other: Any) -> Any:
    """One of two values, where it is not known which: what was computed later counts, per parameter."""
    if one is other:
        return one
    if isinstance(one, Data) and isinstance(other, Data):
        return _join_data(one, other)
    if isinstance(one, Value) and isinstance(other, Value):
        if isinstance(one, Data):
            return other
        if isinstance(other, Data) or not isinstance(other, type(one)):
            return one
        return other if isinstance(other, Box) and len(other.items) > len(getattr(one, "items", ())) else one
    return other  # sites and the like: the later one


def _join_data(one: Data, other: Data) -> Data:
    if one.sort == other.sort == "const" and type(one.const) is type(other.const) and one.const == other.const:
        return one
    deps = dict(one.deps)
    for param, dep in other.deps.items():
        if param not in deps or dep.born > deps[param].born:
            deps[param] = dep
    sort = one.sort if one.sort == other.sort else "unknown" if "unknown" in (one.sort, other.sort) else "tensor"
    if sort == "const":
        sort = "unknown"
    result = Data(sort, deps, {**one.cuts, **other.cuts}, param=one.param or other.param)
    result.token = one.token if one.token == other.token else None
    result.view = one.view or other.view
    result.tracer = one.tracer or other.tracer
    result.maps = one.maps or other.maps
    return result
