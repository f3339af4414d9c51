"""Sinks that write text files: CSV and JSON lines."""

import csv
import json
import weakref
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.sinks.base import Row, Sink, cells, check_columns, check_open


class CSV(Sink):
    """Writes a table of comma-separated values: a line of names, then a line per row.

    Numbers are written in full: read back as float64 they are the same, float32 ones too.

    Args:
        path: the file.
        append: go on below what an earlier run wrote there, which must have the same columns; False writes it anew.

    Raises:
        SpecError: for a file that cannot be written, other columns than before, and a row after `close`.

    Example:
        >>> import isoparam as iso, tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.csv"
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch", steps=2, callbacks=(iso.sinks.CSV(file),))
        >>> [line.split(",")[0] for line in file.read_text().splitlines()]
        ['step', '0', '1']
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        self._path = Path(path)
        self._columns = _header(self._path) if append else None
        self._file = _opened(self._path, append)
        self._close = weakref.finalize(self, self._file.close)

    def write(self, row: Row) -> None:
        """Write a line, after the line of names where there is none yet."""
        check_open(self._path, self._file.closed)
        numbers = dict(cells(row))
        writer = csv.writer(self._file, lineterminator="\n")
        if self._columns is None:
            self._columns = list(numbers)
            writer.writerow(self._columns)
        check_columns(str(self._path), self._columns, list(numbers))
        writer.writerow([repr(number) for number in numbers.values()])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._close()


class JSONL(Sink):
    """Writes a line of JSON per row; arrays are lists.

    JSON has no nan and no infinities: they are the texts "nan", "inf" and "-inf", which `float()` reads.

    Args:
        path: the file.
        append: go on below what is there; False writes it anew.

    Raises:
        SpecError: for a file that cannot be written, and a row after `close`.

    Example:
        >>> import isoparam as iso, tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.jsonl"
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch", steps=1, callbacks=(iso.sinks.JSONL(file),))
        >>> print(file.read_text(), end="")
        {"step": 0, "loss": 0.16000000000000003, "grad_norm": 0.2, "x": 0.5}
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        self._path = Path(path)
        self._file = _opened(self._path, append)
        self._close = weakref.finalize(self, self._file.close)

    def write(self, row: Row) -> None:
        """Write a line."""
        check_open(self._path, self._file.closed)
        plain = {name: _json(np.asarray(value).tolist()) for name, value in row.items()}
        self._file.write(json.dumps(plain, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._close()


def _json(value: Any) -> Any:
    """Nested lists of numbers with texts for the numbers that JSON lacks."""
    if isinstance(value, list):
        return [_json(entry) for entry in value]
    return value if isfinite(value) else str(value)


def _opened(path: Path, append: bool) -> Any:
    try:
        return path.open("a" if append else "w", encoding="utf-8", newline="")
    except OSError as error:
        raise SpecError(f"cannot write {str(path)!r}: {error.strerror}; name a file in a folder that exists") from None


def _header(path: Path) -> list[str] | None:
    """The names of the columns in a file; None where there are none."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), None)
