"""What every sink is, and the one that keeps its rows in memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from isoparam.errors import SpecError

Row = Mapping[str, Any]


class Sink(ABC):
    """Takes rows. Called as a function it writes and returns None, so that as a callback it never stops a run.

    Files are complete after every row. A sink closes by itself when it is no longer used, at the latest when Python ends;
    `with` closes it sooner.

    Example:
        A sink of your own needs `write` only:

        >>> import isoparam as iso
        >>> class Printed(iso.sinks.Sink):
        ...     def write(self, row):
        ...         print(int(row["step"]), f"{row['x']:.4f}")
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch", steps=3, callbacks=(Printed(),))
        0 0.5000
        1 0.5125
        2 0.5250
    """

    @abstractmethod
    def write(self, row: Row) -> None:
        """Take one row."""

    def close(self) -> None:
        """Finish; a file takes no more rows. Doing it twice is harmless."""
        return

    def __call__(self, row: Row) -> None:
        """Take one row, as a callback does."""
        self.write(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Memory(Sink):
    """Keeps the rows.

    Attributes:
        rows: the rows, in order.

    Example:
        >>> import isoparam as iso
        >>> memory = iso.sinks.Memory()
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch", steps=3, callbacks=(memory,))
        >>> memory.history["step"].tolist(), bool((memory.history["x"] == run.history["x"]).all())
        ([0, 1, 2], True)
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, row: Row) -> None:
        """Keep a copy of the row."""
        kept = {name: np.array(value) for name, value in row.items()}
        if self.rows:
            check_columns("Memory", list(self.rows[0]), list(kept))
        self.rows.append(kept)

    @property
    def history(self) -> dict[str, np.ndarray]:
        """{column: array whose first axis counts the rows}, as the history of a run."""
        return {name: np.stack([row[name] for row in self.rows]) for name in self.rows[0]} if self.rows else {}


def cells(row: Row, before: str = "[", after: str = "]") -> Iterator[tuple[str, int | float]]:
    """Every number of a row with the name of its column."""
    for name, value in row.items():
        array = np.asarray(value)
        if array.ndim == 0:
            yield name, array.item()
        else:
            for index in np.ndindex(array.shape):
                yield f"{name}{before}{','.join(map(str, index))}{after}", array[index].item()


def check_open(path: Path, closed: bool) -> None:
    """Raise SpecError for a sink that was closed."""
    if closed:
        raise SpecError(f"{str(path)!r} was closed and takes no more rows; make a new sink, with append=True for the same file")


def check_columns(place: str, columns: list[str], given: list[str]) -> None:
    """Raise SpecError unless a row has the columns of the rows before it, in their order."""
    if columns != given:
        other = sorted(set(columns) ^ set(given)) or given
        raise SpecError(
            f"{place} has the columns {', '.join(columns)}; this row differs in {', '.join(other)}. Every row of a sink has "
            f"the same columns; use a sink for each kind of row"
        )
