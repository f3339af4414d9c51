"""Starts: what `start=` of a module may say, which numbers may be assigned, and which points lie in a closed set."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec

STARTS = ("value", "raw", "project")

MARGIN = 0.01
"""`start="project"` moves a point outside to its nearest point, then this part of the way to the value at raw = 0."""

Start = str | np.ndarray | np.random.Generator


def as_start(start: Any) -> Start:
    """One of STARTS, a numpy Generator, or an array of starting values as float64.

    Raises:
        SpecError: for anything else.
    """
    if isinstance(start, np.random.Generator) or (isinstance(start, str) and start in STARTS):
        return start
    try:
        return as_numbers(start, "numpy array")
    except SpecError:
        known = ", ".join(map(repr, STARTS))
        raise SpecError(f"start={start!r} must be {known}, a float, a numpy array of floats or a numpy Generator") from None


def as_numbers(value: Any, native: str) -> np.ndarray:
    """A Python float or a floating numpy array as float64; `native` names what else the caller takes.

    Raises:
        SpecError: for integers, booleans and anything else, so that nothing is rounded or cast silently.
    """
    if isinstance(value, float | np.ndarray | np.generic) and np.asarray(value).dtype.kind == "f":
        return np.asarray(value, dtype=np.float64)
    if isinstance(value, bool | np.bool_):
        raise SpecError(f"{value!r} is a boolean, not a floating number")
    if isinstance(value, int | np.integer):
        raise SpecError(f"{value!r} is an integer; write {int(value)}.0")
    if isinstance(value, np.ndarray):
        raise SpecError(f"an array of {value.dtype} is not floating; write array.astype(float)")
    raise SpecError(f"expected a float, a floating numpy array or a floating {native}, got {type(value).__name__}")


def check_range(init: Mapping[str, np.ndarray | None], dtype: str) -> None:
    """Raise DomainError for a start that overflows in the dtype of the run."""
    wide = np.float64 if dtype == "float64" else np.float32  # bfloat16 reaches as far as float32
    for name, value in init.items():
        if value is not None and np.max(np.abs(value)) > np.finfo(wide).max:
            raise DomainError(
                f"init[{name!r}] has the entry {value.flat[np.argmax(np.abs(value))]!s}, which overflows in {dtype}; "
                f"start smaller, or train in float64"
            )


def check_closed(name: str, spec: Spec, point: np.ndarray, near: np.ndarray) -> None:
    """Raise DomainError for a start that is not its own projection `near`: exactly for scalar specs, else up to rounding."""
    size = np.max(np.abs(point), initial=1.0)
    room = 0.0 if spec.kind == "scalar" else 4 * np.finfo(point.dtype).eps * size * max(point.shape, default=1)
    outside = np.argwhere(~(np.abs(point - near) <= room))
    if len(outside):
        where = tuple(int(i) for i in outside[0])
        raise DomainError(
            f"init[{name!r}] in {point.dtype}: {point[where]}{f' at {where}' if where else ''} is not in the closed set of "
            f"{spec}; the nearest point has {near[where]} there"
        )
