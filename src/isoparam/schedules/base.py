"""What every schedule is: a law for the settings of an optimizer, followed step by step in torch's own recursions.

torch's schedulers multiply the rate of the step before, so that their rounding errors are part of the numbers that training
sees; a closed formula would not give the same ones. A `Course` therefore does what the scheduler does, on the settings of a
parameter group.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers import SGD, Optimizer

Group = dict[str, Any]

STRIDE = 2**16
"""Steps that are computed at once where they are passed over."""


class Course:
    """A schedule on its way: the number of its step, and the rate that it started from.

    Args:
        spec: the schedule.
        group: the settings of the optimizer, which the course changes; other courses may share them.
    """

    def __init__(self, spec: Any, group: Group) -> None:
        self.spec, self.group, self.t = spec, group, -1
        self.base = group.setdefault("initial_lr", group["lr"])
        self.begin()

    def begin(self) -> None:
        """The first step, which the making of a scheduler does."""
        self.t += 1
        self.group["lr"] = self.first()

    def step(self) -> None:
        """One step further; to step 0 too, where a schedule that is made of others begins again."""
        self.t += 1
        self.group["lr"] = self.next()

    def settings(self) -> tuple[float, float]:
        """The rate of now, and the momentum or first beta; nan where the optimizer has none."""
        group = self.group
        return group["lr"], group["betas"][0] if "betas" in group else group.get("momentum", nan)

    def follow(self, count: int) -> np.ndarray:
        """So many steps further, and the settings after each; (count, 2)."""
        rows = []
        for _ in range(count):
            self.step()
            rows.append(self.settings())
        return np.array(rows, np.float64).reshape(count, 2)

    def skip(self, count: int) -> None:
        """So many steps further, where nobody asks for what lies on the way."""
        while count:
            part = min(count, STRIDE)
            self.follow(part)
            count -= part

    def restart(self) -> None:
        """Begin at the start again, where another schedule has ended."""
        self.t = 0
        self.group["lr"] = self.again()

    def undo(self) -> None:
        """Take back the first step."""
        self.t -= 1

    def first(self) -> float:
        """The rate of the first step."""
        return self.group["lr"]

    def next(self) -> float:
        """The rate of step t, after that of the step before."""
        raise NotImplementedError

    def again(self) -> float:
        """The rate of step 0, whatever the one before was."""
        return self.base


class Multiplied(Course):
    """A course whose rate is that of the step before, times a factor that follows from the number of the step."""

    def factors(self, steps: np.ndarray) -> np.ndarray:
        """The factors of these steps, which count from 1 on."""
        raise NotImplementedError

    def follow(self, count: int) -> np.ndarray:
        if self.t < 0 or not count:
            return super().follow(count)
        rate, momentum = self.settings()
        with np.errstate(all="ignore"):  # as numbers of Python, which become inf without a word
            factors = self.factors(np.arange(self.t + 1, self.t + count + 1))
            rates = np.multiply.accumulate(np.concatenate([[rate], factors]))[1:]
        self.t += count
        self.group["lr"] = float(rates[-1])
        return np.stack([rates, np.full(count, momentum)], axis=1)


class Numbered(Course):
    """A course whose settings follow from the number of the step alone."""

    def skip(self, count: int) -> None:
        if count:
            self.t += count - 1
            self.step()


@dataclass(frozen=True)
class Schedule:
    """How the step size of an optimizer changes, in the names and meaning of torch.optim.lr_scheduler; a frozen dataclass.

    One step of a schedule is one update of the optimizer: update k = 0, 1, ... has the rate of torch after k calls of
    `scheduler.step()`.
    """

    def __deepcopy__(self, memo: Any) -> "Schedule":
        return self

    def course(self, group: Group) -> Course:
        """A fresh course over the settings of a parameter group: "lr", and "betas" or "momentum" where they are cycled."""
        raise NotImplementedError

    @property
    def cycles_momentum(self) -> bool:
        """Whether the momentum of the optimizer changes too."""
        return bool(self.momenta)

    @property
    def momenta(self) -> tuple[float, ...]:
        """Between which numbers the momentum of the optimizer runs; none where it does not change."""
        return ()

    @property
    def longest(self) -> int | None:
        """Updates after which there are no more rates; None for a schedule without end."""
        return None

    def settings(self, optimizer: Optimizer) -> Iterator[Group]:
        """The settings of every update, without end: "lr", and where the schedule cycles them "betas" or "momentum"."""
        group = dict(vars(optimizer))
        course = self.course(group)
        while True:
            yield {name: group[name] for name in ("lr", "betas", "momentum") if name in group}
            course.step()

    def rates(self, lr: float, steps: int) -> np.ndarray:
        """The rates of the first updates, for an optimizer of this rate.

        Args:
            lr: of the optimizer.
            steps: how many updates.
        """
        course = self._of(lr)
        return np.concatenate([[course.group["lr"]], course.follow(max(0, steps - 1))[:, 0]])[:steps]

    def at(self, step: int, lr: float) -> float:
        """The rate of update number `step` = 0, 1, ..., for an optimizer of rate `lr`."""
        course = self._of(lr)
        course.skip(step)
        return float(course.group["lr"])

    def _of(self, lr: float) -> Course:
        return self.course(dict(vars(SGD(lr=lr))))


def as_schedule(spec: Any) -> Schedule:
    """The spec itself, or SpecError for anything else."""
    if isinstance(spec, Schedule):
        return spec
    raise SpecError(f"schedule={spec!r} is no schedule of isoparam; write one such as isoparam.CosineAnnealingLR(T_max=1000)")
