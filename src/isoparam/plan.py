"""What both backends train by: what a history row holds, and the settings of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.layout import Layout
from isoparam.names import select
from isoparam.optimizers import Optimizer
from isoparam.schedules import ReduceLROnPlateau, Schedule, Timetables, first_settings
from isoparam.specs.bounds import Shape
from isoparam.updates import Average, Clip, GradScaler, Segment

SHOWN = 64  # entries up to which a value is recorded whole
SUMMARY = ("min", "mean", "max")
FIXED = ("step", "loss", "grad_norm")
DTYPES = ("float64", "float32", "bfloat16")
WIDTHS = {"float64": 64, "float32": 32, "bfloat16": 16, "float16": 16}
NARROW = ("float16", "bfloat16")
METHODS = ("transform", "projected")

NORM_RANGES = {64: (2.0**-400, 2.0**400, 2.0**540), 32: (2.0**-30, 2.0**30, 2.0**75)}
"""By bits: between which norms the squares of what counts neither underflow nor overflow, and what to multiply by below (to
divide by above) so that the squares of every normal number are normal."""


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
    """The settings of one run, resolved and checked; hashable, since JAX traces with it.

    Attributes:
        layout: of the parameters.
        columns: what is recorded.
        optimizer: as it was asked for; `segments` say what updates which parameters.
        segments: of the flat vector.
        dtype: of parameters and optimizer.
        narrow: dtype in which the loss is computed from the values; None: that of the values.
    """

    layout: Layout
    columns: tuple[Column, ...]
    optimizer: Optimizer
    segments: tuple[Segment, ...]
    dtype: str
    device: str
    record_every: int
    batch_size: int | None
    seed: int
    schedule: Schedule | None = None
    numerics: str = "fast"
    clip: Clip | None = None
    average: Average | None = None
    accumulate: int = 1
    narrow: str | None = None
    scaler: GradScaler | None = None

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
    def timetables(self) -> Timetables | None:
        """Fresh tables of what the schedule sets for each segment; None without one that knows its rates beforehand."""
        if self.schedule is None or isinstance(self.schedule, ReduceLROnPlateau):
            return None
        return Timetables(tuple(segment.optimizer for segment in self.segments), self.schedule)

    @property
    def plateau(self) -> ReduceLROnPlateau | None:
        """The schedule that follows the loss, if that is the schedule."""
        return self.schedule if isinstance(self.schedule, ReduceLROnPlateau) else None

    @property
    def first_optimizers(self) -> tuple[Optimizer, ...]:
        """The optimizers of the segments with the settings of their first update, which decide about their buffers."""
        schedule, own = self.schedule, tuple(segment.optimizer for segment in self.segments)
        if schedule is None or isinstance(schedule, ReduceLROnPlateau):
            return own
        return tuple(first_settings(optimizer, schedule) for optimizer in own)

    @property
    def maximizes(self) -> bool:
        """Whether the optimizer climbs."""
        return self.optimizer.maximize

    @property
    def frozen(self) -> tuple[str, ...]:
        """Parameters that are not trained, although they could be."""
        groups = (group for group in self.layout.groups if group.start >= self.layout.free and group.start < group.stop)
        return tuple(entry.name for group in groups for entry in group.entries)

    @property
    def capacity(self) -> int:
        """Most steps in one chunk: what history and row numbers of about 4 MiB hold."""
        indices = (self.batch_size or 0) * self.accumulate
        row = 8 * (2 + -(-sum(column.width for column in self.columns) // self.record_every)) + 4 * indices
        return max(16, min(2**16, 2**22 // row))


class Rows(NamedTuple):
    """What a chunk recorded: loss and gradient norm of every step, and a row of columns for every recorded step."""

    loss: np.ndarray
    grad_norm: np.ndarray
    columns: np.ndarray

    def rounded(self, dtype: str) -> "Rows":
        """The same in another dtype; nothing is copied where it is that already."""
        with np.errstate(over="ignore"):  # a run that diverges, which is for those who look at the rows to say
            return Rows(*(part.astype(dtype, copy=False) for part in self))


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
