"""Schedules after one another, and on top of one another."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.schedules.base import Course, Group, Schedule
from isoparam.schedules.factors import whole_numbers
from isoparam.schedules.plateau import ReduceLROnPlateau


@dataclass(frozen=True)
class SequentialLR(Schedule):
    """One schedule after the other, as `torch.optim.lr_scheduler.SequentialLR`; each begins at its own step 0.

    Args:
        schedulers: the schedules; one that is combined itself must begin at update 0, since torch restarts none.
        milestones: the numbers of the updates with which the second, third, ... begins.

    Raises:
        SpecError: for a number of milestones other than that of schedules less one, or a schedule that cannot be restarted.

    Limits: torch steps a combined schedule that stands first while it is made, and warns of a step before the optimizer's.

    Example:
        >>> import isoparam as iso
        >>> warm = iso.SequentialLR((iso.LinearLR(0.5, total_iters=2), iso.ExponentialLR(0.5)), milestones=(2,))
        >>> warm.rates(1.0, 5).tolist()
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    schedulers: tuple[Schedule, ...]
    milestones: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_parts(self)
        whole_numbers(self, "milestones")
        if len(self.milestones) != len(self.schedulers) - 1:
            raise SpecError(
                f"SequentialLR: {len(self.schedulers)} schedules need {len(self.schedulers) - 1} milestones, and there are "
                f"{len(self.milestones)}: {self.milestones}"
            )
        for part, begin in zip(self.schedulers[1:], self.milestones, strict=True):
            if isinstance(part, SequentialLR | ChainedScheduler) and begin > 0:
                raise SpecError(
                    f"SequentialLR: a {type(part).__name__} can only be the first of its schedules, as in torch, and not begin "
                    f"at {begin}: {part}"
                )

    @property
    def momenta(self) -> tuple[float, ...]:
        return tuple(momentum for part in self.schedulers for momentum in part.momenta)

    @property
    def longest(self) -> int | None:
        begins = (0, *self.milestones)
        ends = [begin + (part.longest or inf) for begin, part in zip(begins, self.schedulers, strict=True)]
        early = [end for end, following in zip(ends, (*begins[1:], inf), strict=True) if end < following]
        return int(min(early)) if early else None

    def course(self, group: Group) -> Course:
        return _Sequential(self, group)


class _Combined(Course):
    """A course of courses. Its own count is never taken back, as that of torch is not: within another it is one ahead."""

    def __init__(self, spec: Any, group: Group) -> None:
        self.spec, self.group, self.t = spec, group, 0
        self.parts = [part.course(group) for part in spec.schedulers]

    def begin(self) -> None:
        self.step()

    def undo(self) -> None:
        for part in self.parts:
            part.undo()


class _Sequential(_Combined):
    def __init__(self, spec: SequentialLR, group: Group) -> None:
        super().__init__(spec, group)
        group["lr"] = group["initial_lr"]
        self.undo()
        self.parts[bisect_right(spec.milestones, 0)].begin()

    def step(self) -> None:
        self.t += 1
        i = bisect_right(self.spec.milestones, self.t)
        begins = i > 0 and self.spec.milestones[i - 1] == self.t
        (self.parts[i].restart if begins else self.parts[i].step)()

    def follow(self, count: int) -> np.ndarray:
        rows = [part.follow(many) for part, many in self._stretches(count)]
        return np.concatenate([np.empty((0, 2)), *rows])

    def skip(self, count: int) -> None:
        for part, many in self._stretches(count):
            part.skip(many)

    def _stretches(self, count: int) -> Iterator[tuple[Course, int]]:
        """What goes so many steps further, one after the other: a schedule up to its end, or the step that begins the next."""
        milestones, end = self.spec.milestones, self.t + count
        while self.t < end:
            i = bisect_right(milestones, self.t + 1)
            many = min(end, milestones[i] - 1 if i < len(milestones) else end) - self.t
            if (i > 0 and milestones[i - 1] == self.t + 1) or many < 1:  # or milestones that fall
                yield _Single(self), 1
            else:
                self.t += many
                yield self.parts[i], many


class _Single(Course):
    """One step of another course, as the generic course takes it."""

    def __init__(self, course: Course) -> None:
        self.spec, self.group, self.t, self.step = course.spec, course.group, course.t, course.step


@dataclass(frozen=True)
class ChainedScheduler(Schedule):
    """All schedules at once, as `torch.optim.lr_scheduler.ChainedScheduler`: each changes the rate that the one before left.

    Args:
        schedulers: the schedules, in this order.

    Raises:
        SpecError: for what is no schedule, or needs a loss.

    Example:
        >>> import isoparam as iso
        >>> iso.ChainedScheduler((iso.ConstantLR(0.5, total_iters=2), iso.ExponentialLR(0.5))).rates(1.0, 4).tolist()
        [0.5, 0.25, 0.25, 0.125]
    """

    schedulers: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        _check_parts(self)

    @property
    def momenta(self) -> tuple[float, ...]:
        return tuple(momentum for part in self.schedulers for momentum in part.momenta)

    @property
    def longest(self) -> int | None:
        return min((part.longest for part in self.schedulers if part.longest is not None), default=None)

    def course(self, group: Group) -> Course:
        return _Chained(self, group)


class _Chained(_Combined):
    def step(self) -> None:
        for part in self.parts:
            part.step()


def _check_parts(spec: Any) -> None:
    name, parts = type(spec).__name__, spec.schedulers
    if not (isinstance(parts, tuple | list) and parts and all(isinstance(part, Schedule) for part in parts)):
        raise SpecError(f"{name}: schedulers={parts!r} must be one schedule of isoparam or more, in a tuple")
    for part in parts:
        if isinstance(part, ReduceLROnPlateau):
            raise SpecError(f"{name}: a {type(part).__name__} cannot be one of its schedules, as in torch: {part}")
    object.__setattr__(spec, "schedulers", tuple(parts))
