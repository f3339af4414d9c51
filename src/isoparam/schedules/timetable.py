"""The settings of every update of a run, as tables that any part of the run can be read from."""

from copy import copy
from itertools import islice
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers import SGD, Optimizer, RMSprop
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
        object.__setattr__(settled, "cycled", True)
    return settled


def first_settings(optimizer: Optimizer, schedule: Schedule) -> Optimizer:
    """The optimizer of the first update, which decides about its buffers.

    SGD of torch makes its buffer when the momentum is first above 0: it has one here if there is any such update.

    Raises:
        SpecError: for RMSprop that begins without momentum and has it later, where torch ends with a KeyError.
    """
    first = with_settings(optimizer, *Timetable(optimizer, schedule).rows(0, 1)[0].tolist())
    most = max(schedule.momenta, default=0.0)
    if not isinstance(first, SGD | RMSprop) or first.momentum or not most:
        return first
    if isinstance(first, RMSprop):
        raise SpecError(
            f"{schedule} begins with a momentum of 0, and RMSprop makes no buffer later (a KeyError in torch); give it "
            "max_momentum > 0, or take SGD"
        )
    return with_settings(first, first.lr, most)
