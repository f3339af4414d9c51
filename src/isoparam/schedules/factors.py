"""Rates that are multiplied as time goes on."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers.base import counts, is_number, kept, numbers
from isoparam.schedules.base import Course, Group, Multiplied, Numbered, Schedule


@dataclass(frozen=True)
class LambdaLR(Schedule):
    """lr times a function of the step, as `torch.optim.lr_scheduler.LambdaLR`: lr(k) = lr * lr_lambda(k).

    Args:
        lr_lambda: a function of the number of the update, 0 at first.

    Raises:
        SpecError: for what cannot be called.

    Example:
        >>> import isoparam as iso
        >>> iso.LambdaLR(lambda k: 1 / (1 + k)).rates(0.5, 3).round(4).tolist()
        [0.5, 0.25, 0.1667]
    """

    lr_lambda: Callable[[int], float]

    def __post_init__(self) -> None:
        if not callable(self.lr_lambda):
            raise SpecError(f"LambdaLR: lr_lambda={self.lr_lambda!r} must be a function of the step, such as lambda k: 0.9**k")

    def course(self, group: Group) -> Course:
        return _Lambda(self, group)


class _Lambda(Numbered):
    def next(self) -> float:
        factor = self.spec.lr_lambda(self.t)
        try:
            return self.base * float(factor)
        except (TypeError, ValueError):
            raise SpecError(f"LambdaLR: lr_lambda({self.t}) gives {factor!r}; it must give a number") from None

    first = again = next


@dataclass(frozen=True)
class StepLR(Schedule):
    """lr times gamma at every step_size-th step, as `torch.optim.lr_scheduler.StepLR`.

    Args:
        step_size: updates at one rate, at least 1.
        gamma: the factor.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.StepLR(2, gamma=0.5).rates(1.0, 5).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        counts(self, "step_size")
        numbers(self, "gamma")

    def course(self, group: Group) -> Course:
        return _Step(self, group)


class _Step(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        return np.where(steps % self.spec.step_size, 1.0, self.spec.gamma)

    def next(self) -> float:
        return self.group["lr"] if self.t == 0 or self.t % self.spec.step_size else self.group["lr"] * self.spec.gamma


@dataclass(frozen=True)
class MultiStepLR(Schedule):
    """lr times gamma at each milestone, as `torch.optim.lr_scheduler.MultiStepLR`; one that stands twice counts twice.

    Args:
        milestones: the numbers of the updates that begin with the next rate.
        gamma: the factor.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.MultiStepLR((1, 3, 3), gamma=0.5).rates(1.0, 5).tolist()
        [1.0, 0.5, 0.5, 0.125, 0.125]
    """

    milestones: tuple[int, ...]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        whole_numbers(self, "milestones")
        numbers(self, "gamma")

    def course(self, group: Group) -> Course:
        return _MultiStep(self, group)


class _MultiStep(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        factors = np.ones(len(steps))
        for milestone, times in Counter(self.spec.milestones).items():
            factors[steps == milestone] = self.spec.gamma**times
        return factors

    def next(self) -> float:
        times = Counter(self.spec.milestones)[self.t]
        return self.group["lr"] * self.spec.gamma**times if times else self.group["lr"]

    first = next

    def again(self) -> float:
        return self.base * self.spec.gamma ** bisect_right(sorted(self.spec.milestones), 0)


@dataclass(frozen=True)
class ConstantLR(Schedule):
    """lr times factor for the first updates, as `torch.optim.lr_scheduler.ConstantLR`.

    Args:
        factor: in [0, 1]; 0 is for runs that are no longer than total_iters, since torch divides by it at its end.
        total_iters: how many updates have it.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.ConstantLR(factor=0.5, total_iters=2).rates(1.0, 3).tolist()
        [0.5, 0.5, 1.0]
    """

    factor: float = 1.0 / 3
    total_iters: int = 5

    def __post_init__(self) -> None:
        shares(self, "factor")
        counts(self, "total_iters")

    @property
    def longest(self) -> int | None:
        return None if self.factor else self.total_iters

    def course(self, group: Group) -> Course:
        return _Constant(self, group)


class _Constant(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        factors = np.ones(len(steps))
        if self.spec.total_iters in steps:
            factors[steps == self.spec.total_iters] = self._at_the_end()
        return factors

    def first(self) -> float:
        return self.group["lr"] * self.spec.factor

    def next(self) -> float:
        if self.t == 0:
            return self.first()
        return self.group["lr"] * self._at_the_end() if self.t == self.spec.total_iters else self.group["lr"]

    def again(self) -> float:
        return self.base * self.spec.factor

    def _at_the_end(self) -> float:
        if not self.spec.factor:
            raise SpecError(
                f"{self.spec}: factor=0.0 ends before update {self.spec.total_iters + 1}, where torch divides by it; give a "
                f"factor above 0, or a total_iters that is no shorter than the run"
            )
        return 1.0 / self.spec.factor


@dataclass(frozen=True)
class LinearLR(Schedule):
    """lr times a factor that runs on a line, then stays, as `torch.optim.lr_scheduler.LinearLR`.

    Args:
        start_factor: the first, in (0, 1].
        end_factor: the last, in [0, 1].
        total_iters: updates on the way, at least 1.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.LinearLR(start_factor=0.5, total_iters=2).rates(1.0, 4).tolist()
        [0.5, 0.75, 1.0, 1.0]
    """

    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        shares(self, "start_factor", "end_factor")
        counts(self, "total_iters")
        if self.start_factor == 0:
            raise SpecError("LinearLR: start_factor=0.0 must be above 0 and at most 1")

    def course(self, group: Group) -> Course:
        return _Linear(self, group)


class _Linear(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        total, start = self.spec.total_iters, self.spec.start_factor
        rise = self.spec.end_factor - start
        return np.where(steps > total, 1.0, 1.0 + rise / (total * start + (steps - 1) * rise))

    def first(self) -> float:
        return self.group["lr"] * self.spec.start_factor

    def next(self) -> float:
        total, start = self.spec.total_iters, self.spec.start_factor
        if self.t == 0:
            return self.first()
        if self.t > total:
            return self.group["lr"]
        rise = self.spec.end_factor - start
        return self.group["lr"] * (1.0 + rise / (total * start + (self.t - 1) * rise))

    def again(self) -> float:
        return self.base * self.spec.start_factor


@dataclass(frozen=True)
class ExponentialLR(Schedule):
    """lr times gamma at every step, as `torch.optim.lr_scheduler.ExponentialLR`.

    Args:
        gamma: the factor.

    Raises:
        SpecError: for an argument that is no number.

    Example:
        >>> import isoparam as iso
        >>> iso.ExponentialLR(0.5).rates(1.0, 3).tolist()
        [1.0, 0.5, 0.25]
    """

    gamma: float

    def __post_init__(self) -> None:
        numbers(self, "gamma")

    def course(self, group: Group) -> Course:
        return _Exponential(self, group)


class _Exponential(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        return np.full(len(steps), self.spec.gamma)

    def next(self) -> float:
        return self.group["lr"] * self.spec.gamma


@dataclass(frozen=True)
class PolynomialLR(Schedule):
    """lr times (1 - k / total_iters)^power, then 0, as `torch.optim.lr_scheduler.PolynomialLR`.

    Args:
        total_iters: updates until 0, at least 1.
        power: of the fall.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.PolynomialLR(total_iters=4).rates(1.0, 6).round(12).tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self) -> None:
        counts(self, "total_iters")
        numbers(self, "power")

    def course(self, group: Group) -> Course:
        return _Polynomial(self, group)


class _Polynomial(Multiplied):
    def factors(self, steps: np.ndarray) -> np.ndarray:
        factors = np.ones(len(steps))
        here = steps <= self.spec.total_iters
        factors[here] = [self._factor(t) for t in steps[here].tolist()]  # the power of numpy is rounded otherwise
        return factors

    def next(self) -> float:
        return self.group["lr"] if self.t > self.spec.total_iters else self.group["lr"] * self._factor(self.t)

    def _factor(self, t: int) -> float:
        total = self.spec.total_iters
        return ((1.0 - t / total) / (1.0 - (t - 1) / total)) ** self.spec.power


def shares(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are numbers in [0, 1]; keep them as floats."""
    for name in names:
        value = getattr(spec, name)
        if not is_number(value) or not 0 <= value <= 1:
            raise SpecError(f"{type(spec).__name__}: {name}={value!r} must be a number in [0, 1]")
        object.__setattr__(spec, name, float(value))


def whole_numbers(spec: Any, name: str) -> None:
    """Raise SpecError unless this argument holds whole numbers of at least 0; keep it as a tuple."""
    value = kept(spec, name)
    good = isinstance(value, tuple | list) and all(type(n) is int and n >= 0 for n in value)
    if not good:
        raise SpecError(f"{type(spec).__name__}: {name}={value!r} must be whole numbers of updates, such as (100, 200)")
    object.__setattr__(spec, name, tuple(value))
