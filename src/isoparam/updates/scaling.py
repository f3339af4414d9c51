"""Losses scaled up before they are differentiated, so that small gradients do not vanish in float16."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers.base import above_zero, counts

MOST = 2**24  # whole numbers up to which float32 counts


@dataclass(frozen=True)
class GradScaler:
    """The loss times a scale, its gradient divided by it; the scale follows what happens, as in `torch.amp.GradScaler`.

    A step whose gradient is not finite is skipped, and the scale falls by backoff_factor; after growth_interval updates in a
    row it rises by growth_factor.

    Args:
        init_scale: the scale of the first step, above 0.
        growth_factor: above 1.
        backoff_factor: between 0 and 1.
        growth_interval: updates in a row after which the scale rises.

    Raises:
        SpecError: for an argument outside its range.

    The `DynamicLossScale` of jmp differs: it begins at 2**15, and never falls below 1.

    Example:
        >>> import isoparam as iso
        >>> problem = iso.problems.get("linkage")
        >>> settings = {"dtype": "float32", "compute_dtype": "float16", "grad_scaler": iso.GradScaler(init_scale=1024.0)}
        >>> iso.train(problem, backend="torch", optimizer=iso.Adam(), steps=10, **settings).steps
        10
    """

    init_scale: float = 65536.0
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000

    def __post_init__(self) -> None:
        above_zero(self, "init_scale", "growth_factor", "backoff_factor")
        counts(self, "growth_interval")
        if self.growth_factor <= 1:
            raise SpecError(f"GradScaler: growth_factor={self.growth_factor!r} must be above 1")
        if self.backoff_factor >= 1:
            raise SpecError(f"GradScaler: backoff_factor={self.backoff_factor!r} must be below 1")
        if self.growth_interval > MOST:
            raise SpecError(f"GradScaler: growth_interval={self.growth_interval!r} must be at most {MOST}")

    def begin(self) -> np.ndarray:
        """The scale of the first step, and the updates since it last changed."""
        return np.array([self.init_scale, 0], np.float32)

    def fallen(self, state: np.ndarray) -> np.ndarray:
        """The state after a step that was skipped."""
        return np.array([state[0] * np.float32(self.backoff_factor), 0], np.float32)


def check_scaler(scaler: Any) -> None:
    """Raise SpecError unless this is None or a GradScaler."""
    if scaler is not None and not isinstance(scaler, GradScaler):
        raise SpecError(f"grad_scaler={scaler!r} must be isoparam.GradScaler(), for instance")
