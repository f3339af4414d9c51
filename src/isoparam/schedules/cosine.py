"""Rates along a cosine."""

from dataclasses import dataclass
from math import cos, pi

import numpy as np

from isoparam.optimizers.base import counts, numbers
from isoparam.schedules.base import Course, Group, Schedule


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """From lr to eta_min along half a cosine, as `torch.optim.lr_scheduler.CosineAnnealingLR`; after T_max it climbs back.

    Args:
        T_max: updates from the top to the bottom, at least 1.
        eta_min: the bottom.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.CosineAnnealingLR(T_max=2).rates(1.0, 5).round(12).tolist()
        [1.0, 0.5, 0.0, 0.5, 1.0]
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        counts(self, "T_max")
        numbers(self, "eta_min")

    def course(self, group: Group) -> Course:
        return _Cosine(self, group)


class _Cosine(Course):
    def follow(self, count: int) -> np.ndarray:
        if self.t < 0:
            return super().follow(count)
        first, half, low = self.t, self.spec.T_max, self.spec.eta_min
        rate, momentum = self.settings()
        cosines = [cos(pi * t / half) for t in range(first, first + count + 1)]  # the cosine of numpy is rounded otherwise
        rises = (self.base - low) * (1 - cos(pi / half)) / 2
        rows = []
        for k in range(count):
            at_bottom = (first + k - half) % (2 * half) == 0
            rate = rate + rises if at_bottom else (1 + cosines[k + 1]) / (1 + cosines[k]) * (rate - low) + low
            rows.append((rate, momentum))
        self.t, self.group["lr"] = first + count, rate
        return np.array(rows, np.float64).reshape(count, 2)

    def next(self) -> float:
        t, half, low, lr = self.t, self.spec.T_max, self.spec.eta_min, self.group["lr"]
        if (t - 1 - half) % (2 * half) == 0:
            return lr + (self.base - low) * (1 - cos(pi / half)) / 2
        return (1 + cos(pi * t / half)) / (1 + cos(pi * (t - 1) / half)) * (lr - low) + low

    def again(self) -> float:
        return self.spec.eta_min + (self.base - self.spec.eta_min) * (1 + cos(0.0)) / 2


@dataclass(frozen=True)
class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine from lr to eta_min again and again, as `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.

    Args:
        T_0: updates of the first fall, at least 1.
        T_mult: how many times longer each fall is than the one before, at least 1.
        eta_min: the bottom.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.CosineAnnealingWarmRestarts(2).rates(1.0, 5).round(12).tolist()
        [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        counts(self, "T_0", "T_mult")
        numbers(self, "eta_min")

    def course(self, group: Group) -> Course:
        return _Restarts(self, group)


class _Restarts(Course):
    def begin(self) -> None:
        self.length = self.spec.T_0
        super().begin()

    def step(self) -> None:
        if self.t < 0:  # a step before the first one leads to the first one
            self.t = -1
            self.begin()
        else:
            super().step()

    def first(self) -> float:
        self.since = 0
        return self.again()

    def next(self) -> float:
        self.since += 1
        if self.since >= self.length:
            self.since, self.length = self.since % self.length, self.length * self.spec.T_mult
        return self.again()

    def again(self) -> float:
        low = self.spec.eta_min
        return low + (self.base - low) * (1 + cos(pi * self.since / self.length)) / 2
