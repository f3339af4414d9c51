"""The rows of a Monitor: which calls make one, what it holds, and where it goes. Without a framework."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from isoparam.borders import distance, saturation
from isoparam.errors import SpecError
from isoparam.plan import FIXED, SHOWN, SUMMARY
from isoparam.specs import Spec

Row = dict[str, np.ndarray]


class Reading(NamedTuple):
    """One constrained value as it is now; `grad_norm` is that of its raw, nan without a gradient."""

    name: str
    spec: Spec
    value: np.ndarray
    grad_norm: float


class Log:
    """Which calls of `record` make a row, and the sinks that the rows go to.

    Args:
        sinks: each is called with every row.
        every: keep the steps that this divides.

    Raises:
        SpecError: for something that is no tuple of sinks, or an `every` below 1.
    """

    def __init__(self, sinks: Sequence[Callable[[Row], Any]], every: int) -> None:
        if not isinstance(sinks, Sequence) or not all(map(callable, sinks)):
            raise SpecError(f"Monitor: sinks={sinks!r} must be a tuple of sinks, such as (isoparam.sinks.CSV('run.csv'),)")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise SpecError(f"Monitor: every={every!r} must be a whole number from 1 on")
        self._sinks = tuple(sinks)
        self._every = every
        self._next = 0

    def due(self, step: int | None) -> int | None:
        """The step of this call where it makes a row, else None; a call without a step is one after the call before."""
        if step is not None and (isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0):
            raise SpecError(f"Monitor.record: step={step!r} must be a whole number from 0 on, such as step=0")
        taken = self._next if step is None else int(step)
        self._next = taken + 1
        return taken if taken % self._every == 0 else None

    def keep(self, step: int, loss: np.ndarray | None, grad_norm: float, readings: Iterable[Reading]) -> Row:
        """Make a row, give it to every sink and back."""
        row = {"step": np.asarray(step), "loss": _scalar(loss), "grad_norm": np.asarray(grad_norm)}
        for reading in readings:
            row |= _columns(reading)
        for sink in self._sinks:
            sink(row)
        return row


def check_names(names: Iterable[str]) -> None:
    """Raise SpecError where two columns of a row would have one name, or there is nothing to watch."""
    columns: list[str] = list(FIXED)
    for name in names:
        columns += [name, *(f"{name}.{what}" for what in (*SUMMARY, "distance", "saturation", "grad_norm"))]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise SpecError(f"Monitor: two columns of a row would both be called {twice[0]!r}; rename a parameter")
    if len(columns) == len(FIXED):
        raise SpecError("Monitor: nothing here is constrained; give constraints={'name': isoparam.Positive()}")


def check_grads(found: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise SpecError for given gradients of which none belongs to a watched parameter: their names must be wrong."""
    found, wanted = list(found), list(wanted)
    if not set(found) & set(wanted):
        shown = ", ".join(map(repr, found[:8])) or "none"
        raise SpecError(f"Monitor.record: grads has {shown}; it needs the names of the raw parameters, such as {wanted[0]!r}")


def total(norms: Iterable[float]) -> float:
    """The norm of all gradients together from those of the parts; nan without any."""
    parts = np.asarray(list(norms), dtype=np.float64)
    return float(np.linalg.norm(parts)) if parts.size else float("nan")


def _columns(reading: Reading) -> Row:
    """The value, or of more than SHOWN entries min, mean and max as `train` records them, and what is measured at it."""
    name, spec, value, grad_norm = reading
    if value.size <= SHOWN:
        row = {name: value}
    else:
        shown = (value.min(), value.mean(dtype=np.float64), value.max())
        row = {f"{name}.{what}": np.asarray(number) for what, number in zip(SUMMARY, shown, strict=True)}
    return row | {
        f"{name}.distance": np.asarray(distance(spec, value)),
        f"{name}.saturation": np.asarray(saturation(spec, value)),
        f"{name}.grad_norm": np.asarray(grad_norm),
    }


def _scalar(loss: np.ndarray | None) -> np.ndarray:
    if loss is None:
        return np.asarray(np.nan)
    if loss.size != 1:
        raise SpecError(f"Monitor.record: loss has shape {loss.shape}; it must be one number")
    return loss.reshape(())
