"""The settings of every update of a run, as tables that any part of the run can be read from."""

from copy import copy, deepcopy
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers import SGD, Optimizer, RMSprop
from isoparam.schedules.base import Course, Schedule

BLOCK = 2**12
"""Updates between two states of a schedule that may be kept."""

RECENT = 32
"""Blocks of which the settings are kept: more than the updates of a chunk, which may be done again."""

STARTS = 64
"""States of a schedule that are kept, spread over the whole of its way."""


class Timetable:
    """What a schedule sets, update by update; computed where it is asked for, and kept for a while.

    The courses are recursions, in which the rounding of the step before lives on. So the way to an update is gone once, from
    the nearest state that is kept; where a schedule knows a rate by its number alone, it is gone in one stride.

    Args:
        optimizer: whose settings.
        schedule: what changes them.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self._width = 2 if schedule.cycles_momentum else 1
        self._starts = {0: schedule.course(dict(vars(optimizer)))}
        self._stride = 1
        self._recent: dict[int, _Block] = {}

    def rows(self, first: int, count: int) -> np.ndarray:
        """The settings of `count` updates from number `first` on: lr, and momentum where it is cycled; (count, 1 or 2)."""
        parts, stop = [], first + count
        while first < stop:
            number = first // BLOCK
            last = min(stop, (number + 1) * BLOCK)
            parts.append(self._block(number).rows(first - number * BLOCK, last - number * BLOCK))
            first = last
        return np.concatenate([np.empty((0, 2)), *parts])[:, : self._width]

    def _block(self, number: int) -> "_Block":
        block = self._recent.pop(number, None)
        if block is None:
            block = _Block(self._state(number), number == 0)
        self._recent[number] = block
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return block

    def _state(self, number: int) -> Course:
        """The course before the updates of a block."""
        before = self._recent.get(number - 1)
        if before is not None and before.is_full:
            course = deepcopy(before.course)
        else:
            near = max(start for start in self._starts if start <= number)
            course = deepcopy(self._starts[near])
            while near < number:
                stop = min(number, (near // self._stride + 1) * self._stride)
                course.skip((stop - near) * BLOCK - (near == 0))
                near = stop
                self._keep(near, course)
        self._keep(number, course)
        return course

    def _keep(self, number: int, course: Course) -> None:
        if number % self._stride == 0 and number not in self._starts:
            self._starts[number] = deepcopy(course)
        if len(self._starts) > STARTS:
            self._stride *= 2
            self._starts = {start: kept for start, kept in self._starts.items() if start % self._stride == 0}


class _Block:
    """The settings of one block, as far as they were asked for, and the course that stands there."""

    def __init__(self, course: Course, is_first: bool) -> None:
        self.course = course
        self._table = np.empty((BLOCK, 2))
        self._known = 0
        if is_first:  # the first update has what the making of the scheduler set
            self._table[0], self._known = course.settings(), 1

    @property
    def is_full(self) -> bool:
        return self._known == BLOCK

    def rows(self, first: int, stop: int) -> np.ndarray:
        if stop > self._known:
            course = deepcopy(self.course)  # the schedule may end within, and what is known should stay
            self._table[self._known : stop] = course.follow(stop - self._known)
            self.course, self._known = course, stop
        return self._table[first:stop]


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
