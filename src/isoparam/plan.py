"""What both backends train by: how parameters lie in one flat vector, what a history row holds, and the settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.names import select
from isoparam.optimizers import Optimizer
from isoparam.schedules import Schedule, Timetable, with_settings
from isoparam.specs import Real, Spec, Tied
from isoparam.specs.bounds import Shape

SHOWN = 64  # entries up to which a value is recorded whole
SUMMARY = ("min", "mean", "max")
FIXED = ("step", "loss", "grad_norm")
DTYPES = ("float64", "float32", "bfloat16")
WIDTHS = {"float64": 64, "float32": 32, "bfloat16": 16}
METHODS = ("transform", "projected")

NORM_RANGES = {64: (2.0**-400, 2.0**400, 2.0**540), 32: (2.0**-30, 2.0**30, 2.0**75)}
"""By bits: between which norms the squares of what counts neither underflow nor overflow, and what to multiply by below (to
divide by above) so that the squares of every normal number are normal."""


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
    onto their sets, and raw stands for these values, wherever it is named.
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    size: int
    method: str = "transform"

    @property
    def projected(self) -> bool:
        """Whether the flat vector holds values."""
        return self.method == "projected"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parameters of the flat vector, in its order, without those of size 0."""
        entries = ((g.start + e.start, g.start + e.stop, e.raw_shape) for g in self.groups for e in g.entries)
        return tuple(Part(*entry) for entry in entries if entry[0] < entry[1])

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


class Column(NamedTuple):
    """What a history row holds of one value: all of it, or its min, mean and max."""

    name: str
    shape: Shape
    whole: bool

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return prod(self.shape) if self.whole else len(SUMMARY)


@dataclass(frozen=True)
class Plan:
    """The settings of one run, resolved and checked; hashable, since JAX traces with it."""

    layout: Layout
    columns: tuple[Column, ...]
    optimizer: Optimizer
    dtype: str
    device: str
    record_every: int
    batch_size: int | None
    seed: int
    schedule: Schedule | None = None
    numerics: str = "fast"

    @property
    def computing(self) -> str:
        """dtype of values, loss and gradients before they are rounded to that of the run."""
        return "float64" if self.numerics == "exact" else self.dtype

    @property
    def keeping(self) -> str:
        """dtype of the table of a chunk, which is rounded to that of the history."""
        return "float64" if self.computing == "float64" else "float32"

    @property
    def history_dtype(self) -> str:
        """dtype of the history: that of the run, but float32 where numpy has none (bfloat16)."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def timetable(self) -> Timetable | None:
        """A fresh table of what the schedule sets; None without one."""
        return None if self.schedule is None else Timetable(self.optimizer, self.schedule)

    @property
    def first_optimizer(self) -> Optimizer:
        """The optimizer with the settings of its first update, which decide about its buffers."""
        times = self.timetable
        return self.optimizer if times is None else with_settings(self.optimizer, *times.rows(0, 1)[0].tolist())

    @property
    def maximizes(self) -> bool:
        """Whether the optimizer climbs."""
        return self.optimizer.maximize

    @property
    def capacity(self) -> int:
        """Most steps in one chunk: what history and row numbers of about 4 MiB hold."""
        row = 8 * (2 + -(-sum(column.width for column in self.columns) // self.record_every)) + 4 * (self.batch_size or 0)
        return max(16, min(2**16, 2**22 // row))


class Rows(NamedTuple):
    """What a chunk recorded: loss and gradient norm of every step, and a row of columns for every recorded step."""

    loss: np.ndarray
    grad_norm: np.ndarray
    columns: np.ndarray

    def rounded(self, dtype: str) -> "Rows":
        """The same in another dtype; nothing is copied where it is that already."""
        return Rows(*(part.astype(dtype, copy=False) for part in self))


def layout(shapes: Mapping[str, Shape], specs: Mapping[str, Spec], method: str = "transform") -> Layout:
    """Lay parameters out by spec.

    Args:
        shapes: shape of each value, in the order of the user.
        specs: spec of the constrained names.
        method: what the flat vector holds: "transform": raw; "projected": the values.

    Raises:
        SpecError: where nothing is free.
    """
    together: dict[Any, list[str]] = {}
    for name in shapes:
        spec = specs.get(name, Real())
        together.setdefault(spec if _elementwise(spec) else (spec, name), []).append(name)
    groups, start = [], 0
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
    if start == 0:
        raise SpecError(f"nothing can be trained: {', '.join(map(repr, shapes))} are Fixed; leave one parameter free")
    return Layout(tuple(shapes), tuple(groups), start, method)


def columns(shapes: Mapping[str, Shape], constrained: Iterable[str], record: Iterable[str] | None) -> tuple[Column, ...]:
    """What to record.

    Args:
        shapes: shape of each value.
        constrained: names that are recorded when `record` is None.
        record: dotted names or globs; None records what is constrained.

    Raises:
        SpecError: for a name or glob that matches no parameter.
    """
    if record is None:
        chosen = set(constrained)
    else:
        if isinstance(record, str):
            raise SpecError(f"record={record!r} must be a tuple of names or globs; write record=({record!r},)")
        chosen = set()
        for pattern in record:
            matched = select(pattern, shapes)
            if not matched:
                raise SpecError(f"record={pattern!r} matches no parameter; there are: {', '.join(map(repr, shapes))}")
            chosen.update(matched)
    return tuple(Column(name, shapes[name], prod(shapes[name]) <= SHOWN) for name in shapes if name in chosen)


class Piece(NamedTuple):
    """What a row takes from the value of one group: all of it, or one entry of it, or that entry's min, mean and max."""

    group: int
    start: int
    stop: int
    whole_group: bool
    summary: bool


def pieces_of(layout: Layout, recorded: tuple[Column, ...]) -> tuple[list[Piece], np.ndarray]:
    """How a row is cut from the values of the groups, and where each number of the columns then stands in it.

    A group that is recorded whole is one piece, whatever the number of its entries.
    """
    wanted = {column.name: column for column in recorded}
    pieces: list[Piece] = []
    places: dict[str, np.ndarray] = {}
    width = 0
    for i, group in enumerate(layout.groups):
        chosen = [entry for entry in group.entries if entry.name in wanted]
        together = len(chosen) == len(group.entries) and all(wanted[entry.name].whole for entry in chosen)
        if together:
            pieces.append(Piece(i, 0, 0, whole_group=True, summary=False))
        for entry in chosen:
            column = wanted[entry.name]
            if not together:
                alone = len(group.entries) == 1
                pieces.append(Piece(i, entry.start, entry.stop, whole_group=alone, summary=not column.whole))
            places[entry.name] = width + np.arange(column.width)
            width += column.width
    order = [places[column.name] for column in recorded]
    return pieces, np.concatenate(order) if order else np.empty(0, np.int64)


def history(
    recorded: tuple[Column, ...], steps: np.ndarray, loss: np.ndarray, grad_norm: np.ndarray, table: np.ndarray
) -> dict[str, np.ndarray]:
    """Rows as {"step", "loss", "grad_norm", name: one array per column}, the first axis counting rows."""
    result = {"step": steps, "loss": loss, "grad_norm": grad_norm}
    start = 0
    for column in recorded:
        block = table[:, start : start + column.width]
        start += column.width
        if column.whole:
            result[column.name] = block.reshape(len(block), *column.shape)
        else:
            result |= {f"{column.name}.{what}": block[:, i] for i, what in enumerate(SUMMARY)}
    return result


def probe(shape: Shape) -> np.ndarray:
    """Weights, none of them 0 or special: a derivative that vanishes for their sum vanishes for every entry."""
    return np.cos(np.arange(1.0, prod(shape) + 1)).reshape(shape)


def _elementwise(spec: Spec) -> bool:
    """Whether the spec accepts any shape, one entry like the next: a scalar spec without array bounds."""
    return spec.kind == "scalar" and spec._bound_shape == ()  # pyright: ignore[reportAttributeAccessIssue]
