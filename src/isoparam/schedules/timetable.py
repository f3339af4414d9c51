"""The settings of every update of a run, as tables that any part of the run can be read from."""

from copy import copy
from itertools import islice
from typing import Any

import numpy as np

from isoparam.optimizers import Optimizer
from isoparam.schedules.base import Schedule


class Timetable:
    """What a schedule sets, update by update; computed as far as it has been asked for.

    Args:
        optimizer: whose settings.
        schedule: what changes them.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self._every = schedule.settings(optimizer)
        self._columns = ("lr", "momentum") if schedule.cycles_momentum else ("lr",)
        self._known: list[tuple[float, ...]] = []

    def rows(self, first: int, count: int) -> np.ndarray:
        """The settings of `count` updates from number `first` on: lr, and momentum where it is cycled; (count, 1 or 2)."""
        for settings in islice(self._every, max(0, first + count - len(self._known))):
            both = {"lr": settings["lr"], "momentum": settings["betas"][0] if "betas" in settings else settings.get("momentum")}
            self._known.append(tuple(both[name] for name in self._columns))
        return np.array(self._known[first : first + count], np.float64).reshape(count, len(self._columns))


class Timetables:
    """The settings of several optimizers under one schedule, such as those of parameter groups.

    Args:
        optimizers: whose settings.
        schedule: what changes them.
    """

    def __init__(self, optimizers: tuple[Optimizer, ...], schedule: Schedule) -> None:
        self._tables = tuple(Timetable(optimizer, schedule) for optimizer in optimizers)

    def rows(self, first: int, count: int) -> np.ndarray:
        """The settings of `count` updates from number `first` on; (count, optimizers, 1 or 2)."""
        return np.stack([table.rows(first, count) for table in self._tables], axis=1)


def with_settings(optimizer: Optimizer, lr: Any, momentum: Any = None) -> Any:
    """The optimizer of one update: a copy that is not checked, since its settings may be numbers of a backend.

    Args:
        optimizer: the spec.
        lr: its step size.
        momentum: its momentum, or first beta; None leaves that of the spec.
    """
    settled = copy(optimizer)
    object.__setattr__(settled, "lr", lr)
    if momentum is not None:
        betas = vars(optimizer).get("betas")
        name, value = ("momentum", momentum) if betas is None else ("betas", (momentum, *betas[1:]))
        object.__setattr__(settled, name, value)
    return settled
