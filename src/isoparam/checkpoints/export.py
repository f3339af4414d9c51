"""The numbers of a run in the files of others: a state_dict of torch, a checkpoint of Orbax, an npz of numpy."""

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from isoparam.backends import load
from isoparam.checkpoints import disk
from isoparam.errors import CheckpointError, SpecError
from isoparam.run import Run

BACKENDS = {"torch": "torch", "orbax": "jax"}
FORMATS = (*BACKENDS, "npz")
CONTENTS = ("values", "raw", "all")


def export(run: Run, path: Path, form: str, what: str) -> None:
    """Write the numbers of a run: see `Run.export`."""
    if form not in FORMATS:
        raise SpecError(f"unknown format={form!r}; choose one of {', '.join(map(repr, FORMATS))}")
    if what not in CONTENTS:
        raise SpecError(f"unknown what={what!r}; choose one of {', '.join(map(repr, CONTENTS))}")
    arrays = contents(run, what)
    if form == "npz":
        file = BytesIO()
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        write_file(path, file.getvalue())
    else:
        load(BACKENDS[form]).exports.write(path, arrays, run.dtype)


def contents(run: Run, what: str) -> dict[str, np.ndarray]:
    """{name: array} of what is written."""
    if what == "values":
        return run.values | run.variables
    if what == "raw":
        return {_leaf(run, name): array for name, array in run.raw.items()} | run.variables
    return run.checkpoint.state | {f"history/{name}": column for name, column in run.history.items()}


def write_file(path: Path, content: bytes) -> None:
    """Write a file at once.

    Raises:
        CheckpointError: where it cannot be written; a file that was there is as it was.
    """
    if os.path.isdir(path):
        raise CheckpointError(f"cannot write {str(path)!r}: it is a directory; name a file in it")
    try:
        disk.replace(path, content)
    except OSError as error:
        raise disk.failed(f"cannot write {str(path)!r}: {error.strerror or error}", error) from error


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": array} as {"a": {"b": array}}.

    Raises:
        SpecError: where one name is that of an array and of a dict.
    """
    result: dict[str, Any] = {}
    for name, array in arrays.items():
        *path, last = name.replace("/", ".").split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise SpecError(f"{name!r} is the name of an array within another array; rename one of them")
        place[last] = array
    return result


def _leaf(run: Run, name: str) -> str:
    """The name of the trained leaf in a module: `x_raw` where x is constrained."""
    constrained = run.method == "transform" and name in run.checkpoint.settings["constrained"]
    return f"{name}_raw" if constrained else name
