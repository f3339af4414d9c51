"""Rates that fall when the loss no longer does."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers.base import at_least_zero, kept, numbers
from isoparam.schedules.base import Course, Group, Schedule


@dataclass(frozen=True)
class ReduceLROnPlateau(Schedule):
    """lr times factor after patience + 1 steps without improvement, as `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Args:
        mode: "min" or "max": what is an improvement.
        factor: below 1.
        patience: steps without improvement that are borne.
        threshold: least improvement that counts.
        threshold_mode: "rel": share of the best so far; "abs": difference to it.
        cooldown: steps after a fall in which nothing is counted.
        min_lr: the lowest rate, at least 0.
        eps: falls of at most this size are left out.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.ReduceLROnPlateau(patience=1).rates_for(1.0, [3.0, 3.0, 3.0, 3.0]).tolist()
        [1.0, 1.0, 1.0, 0.1]
    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        numbers(self, "factor", "threshold")
        at_least_zero(self, "min_lr", "eps")
        if self.factor >= 1:
            raise SpecError(f"ReduceLROnPlateau: factor={self.factor!r} must be below 1")
        if self.mode not in ("min", "max") or self.threshold_mode not in ("rel", "abs"):
            raise SpecError(
                f"ReduceLROnPlateau: mode={self.mode!r} must be 'min' or 'max', and threshold_mode={self.threshold_mode!r} "
                "'rel' or 'abs'"
            )
        for name in ("patience", "cooldown"):
            value = kept(self, name)
            if type(value) is not int or value < 0:
                raise SpecError(f"ReduceLROnPlateau: {name}={value!r} must be a whole number, at least 0")

    def course(self, group: Group) -> Course:
        raise SpecError(
            "ReduceLROnPlateau follows a loss: its rates come from rates_for(lr, losses), the losses of the updates"
        )

    def begin(self, rates: Iterable[float]) -> tuple[float, ...]:
        """The state before the first loss, for optimizers of these rates: best loss, steps without improvement, steps of the
        cooldown that are left, and the rates.
        """
        return (inf if self.mode == "min" else -inf, 0.0, 0.0, *rates)

    def told(self, state: Iterable[float], loss: float) -> tuple[float, ...]:
        """The state after the loss of one more update."""
        best, bad, cooling, *rates = state
        best, bad = (loss, 0.0) if self.is_better(loss, best) else (best, bad + 1)
        if cooling > 0:
            cooling, bad = cooling - 1, 0.0
        if bad > self.patience:
            cooling, bad = float(self.cooldown), 0.0
            lower = [max(rate * self.factor, self.min_lr) for rate in rates]
            rates = [low if rate - low > self.eps else rate for rate, low in zip(rates, lower, strict=True)]
        return (best, bad, cooling, *rates)

    def rates_for(self, lr: float, losses: Iterable[float]) -> np.ndarray:
        """The rates of as many updates as losses are given; each loss is told after its update, as torch is.

        Args:
            lr: of the optimizer.
            losses: of the updates, in their order.
        """
        state, rates = self.begin([lr]), []
        for loss in losses:
            rates.append(state[3])
            state = self.told(state, float(loss))
        return np.array(rates)

    def is_better(self, loss: Any, best: Any) -> Any:
        """Whether a loss counts as an improvement; numbers of a backend too."""
        if self.mode == "min":
            return loss < (best * (1.0 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold)
        return loss > (best * (self.threshold + 1.0) if self.threshold_mode == "rel" else best + self.threshold)
