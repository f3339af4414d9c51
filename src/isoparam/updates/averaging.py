"""Averages of the parameters over updates, which training itself does not see."""

from dataclasses import dataclass
from typing import Any

from isoparam.errors import SpecError
from isoparam.optimizers.base import counts, is_number, kept


@dataclass(frozen=True)
class Average:
    """What every average is: the parameters of update start + 1, start + 1 + every, ... are in it.

    Averaged is raw; the average of constrained values is the value of that raw, and so inside the set. In projected training
    the values are averaged, and the average is projected.
    """

    start: int = 0
    every: int = 1

    # Without annotation it is no field; None: all steps count alike.
    decay = None

    def count(self, updates: Any) -> Any:
        """How many updates are in the average after so many updates; whole numbers of a backend too."""
        return (updates - self.start + self.every - 1) // self.every

    def _check(self) -> None:
        counts(self, "every")
        start = kept(self, "start")
        if type(start) is not int or start < 0:
            raise SpecError(f"{type(self).__name__}: start={start!r} must be a whole number, at least 0")


@dataclass(frozen=True)
class EMA(Average):
    """Exponential moving average: the first step taken, then average + (1 - decay) * (raw - average).

    The same as `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn(decay)`.

    Args:
        start: updates that are left out at the begin.
        every: the parameters of one update in so many are taken.
        decay: share of the average that a step keeps, in [0, 1].

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.ema` begins at 0 with a bias correction, and `optax.incremental_update` at the start, not at
    the first step.

    Example:
        >>> import isoparam as iso
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch", average=iso.EMA(decay=0.99))
        >>> sorted(run.average)
        ['x']
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        self._check()
        if not (is_number(self.decay) and 0 <= self.decay <= 1):
            raise SpecError(f"EMA: decay={self.decay!r} must be a number in [0, 1]")
        object.__setattr__(self, "decay", float(self.decay))


@dataclass(frozen=True)
class SWA(Average):
    """Stochastic weight averaging: the mean of the steps taken, as `torch.optim.swa_utils.AveragedModel`.

        average + (raw - average) / (count + 1)

    torch's `get_swa_multi_avg_fn` differs: it rounds 1 / (count + 1) to float32.

    Args:
        start: updates that are left out at the begin.
        every: the parameters of one update in so many are taken.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.SWA(start=100, every=10).count(121)
        3
    """

    def __post_init__(self) -> None:
        self._check()


def check_average(average: Any) -> None:
    """Raise SpecError unless this is None or an average."""
    if average is not None and not isinstance(average, EMA | SWA):
        raise SpecError(f"average={average!r} must be isoparam.EMA(decay=0.999) or isoparam.SWA(start=100), for instance")
