"""How parameters lie in one flat vector: entries, which share calls of one map in groups."""

from collections.abc import Container, Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs import Real, Spec, Tied
from isoparam.specs.bounds import Shape


class Entry(NamedTuple):
    """One parameter: its name, shapes, and place within its group."""

    name: str
    raw_shape: Shape
    value_shape: Shape
    start: int
    stop: int


class Group(NamedTuple):
    """A stretch of the flat vector that goes through its spec in one call.

    All entries of one scalar spec with plain bounds share a group, and so do all unconstrained ones: a thousand scales
    cost one call. `shape` is that of raw in the call: flat where entries share, else that of the one entry.
    """

    spec: Spec
    shape: Shape
    start: int
    stop: int
    entries: tuple[Entry, ...]


class Part(NamedTuple):
    """Where one raw parameter lies in the flat vector, and its shape."""

    start: int
    stop: int
    shape: Shape


class Layout(NamedTuple):
    """All raw parameters as one flat vector, group after group; `names` is the order in which the user gave them.

    `method`: "transform"; or "projected": the flat vector holds the constrained values themselves, which every step projects
    onto their sets, and raw stands for these values, wherever it is named. `free`: so many entries are trained; those behind
    them are frozen.
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    size: int
    method: str
    free: int

    @property
    def projected(self) -> bool:
        """Whether the flat vector holds values."""
        return self.method == "projected"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parameters of the flat vector, in its order, without those of size 0."""
        entries = ((g.start + e.start, g.start + e.stop, e.raw_shape) for g in self.groups for e in g.entries)
        return tuple(Part(*entry) for entry in entries if entry[0] < entry[1])

    def within(self, start: int, stop: int) -> "Layout":
        """The groups of a stretch of the flat vector, as a layout of their own."""
        groups = tuple(g._replace(start=g.start - start, stop=g.stop - start) for g in self.groups if start <= g.start < stop)
        names = {entry.name for group in groups for entry in group.entries}
        size = stop - start
        return Layout(tuple(name for name in self.names if name in names), groups, size, self.method, size)

    def check(self, raw: Mapping[str, np.ndarray], problem: str) -> None:
        """Raise SpecError for a raw of other names or shapes than laid out here, for the problem of this name."""
        shapes = {entry.name: entry.raw_shape for group in self.groups for entry in group.entries}
        given = {name: tuple(np.shape(array)) for name, array in raw.items()}
        if given != shapes:
            raise SpecError(f"raw has shapes {given}; problem {problem!r} has {shapes}")

    def flatten(self, tree: Mapping[str, np.ndarray]) -> np.ndarray:
        """{name: raw} as one vector."""
        return np.concatenate([np.asarray(tree[e.name]).reshape(-1) for g in self.groups for e in g.entries])

    def unflatten(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """One vector as {name: raw}, each a copy."""
        parts = {
            e.name: np.array(flat[g.start + e.start : g.start + e.stop]).reshape(e.raw_shape)
            for g in self.groups
            for e in g.entries
        }
        return {name: parts[name] for name in self.names}

    def cut(self, whole: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """The values of the groups as {name: value}, each a copy."""
        parts: dict[str, np.ndarray] = {}
        for group, value in zip(self.groups, whole, strict=True):
            if len(group.entries) == 1:
                parts[group.entries[0].name] = np.array(value)
            else:
                parts |= {e.name: np.array(value[e.start : e.stop]).reshape(e.value_shape) for e in group.entries}
        return {name: parts[name] for name in self.names}


def layout(
    shapes: Mapping[str, Shape],
    specs: Mapping[str, Spec],
    method: str = "transform",
    ranks: Mapping[str, int] | None = None,
    frozen: Container[str] = (),
) -> Layout:
    """Lay parameters out by spec.

    Args:
        shapes: shape of each value, in the order of the user.
        specs: spec of the constrained names.
        method: what the flat vector holds: "transform": raw; "projected": the values.
        ranks: parameters of a lower rank come first; only those of one rank share calls. None: all have the same.
        frozen: names of those that are not trained, which have the highest rank.

    Raises:
        SpecError: where nothing is free.
    """
    together: dict[Any, list[str]] = {}
    for name in sorted(shapes, key=lambda name: (ranks or {}).get(name, 0)):
        spec, rank = specs.get(name, Real()), (ranks or {}).get(name, 0)
        together.setdefault((rank, spec) if _elementwise(spec) else (rank, spec, name), []).append(name)
    groups, start, free = [], 0, 0
    for names in together.values():
        spec = specs.get(names[0], Real())
        entries, size = [], 0
        for name in names:
            own = method == "projected" and not isinstance(spec, Tied)
            raw_shape = shapes[name] if own else spec.raw_shape(shapes[name])
            entries.append(Entry(name, raw_shape, shapes[name], size, size + prod(raw_shape)))
            size += prod(raw_shape)
        shape = entries[0].raw_shape if len(entries) == 1 else (size,)
        groups.append(Group(spec, shape, start, start + size, tuple(entries)))
        start += size
        free = free if names[0] in frozen else start
    if start == 0:
        raise SpecError(f"nothing can be trained: {', '.join(map(repr, shapes))} are Fixed; leave one parameter free")
    return Layout(tuple(shapes), tuple(groups), start, method, free)


def _elementwise(spec: Spec) -> bool:
    """Whether the spec accepts any shape, one entry like the next: a scalar spec without array bounds."""
    return spec.kind == "scalar" and spec._bound_shape == ()  # pyright: ignore[reportAttributeAccessIssue]
