"""Gradients kept within a size before the optimizer sees them."""

from dataclasses import dataclass
from math import inf
from typing import Any

from isoparam.errors import SpecError
from isoparam.optimizers.base import at_least_zero, is_number


@dataclass(frozen=True)
class ClipByNorm:
    """All gradients together times min(1, max_norm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`.

    Args:
        max_norm: the norm that is let through, at least 0.
        norm_type: p of the norm, at least 1; float("inf") for the largest entry.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> problem = iso.problems.get("linkage")
        >>> run = iso.train(problem, backend="torch", optimizer=iso.SGD(lr=1.0), steps=1, clip=iso.ClipByNorm(0.25))
        >>> start = iso.train(problem, backend="torch", optimizer=iso.SGD(lr=0.0), steps=1)
        >>> round(float(abs(run.raw["t"] - start.raw["t"])), 6)
        0.25
    """

    max_norm: float
    norm_type: float = 2.0

    def __post_init__(self) -> None:
        at_least_zero(self, "max_norm")
        if self.norm_type != inf and not (is_number(self.norm_type) and self.norm_type >= 1):
            raise SpecError(f"ClipByNorm: norm_type={self.norm_type!r} must be a number, at least 1, or float('inf')")
        object.__setattr__(self, "norm_type", float(self.norm_type))


@dataclass(frozen=True)
class ClipByValue:
    """Every entry of the gradients moved into [-clip_value, clip_value], as `torch.nn.utils.clip_grad_value_`.

    Args:
        clip_value: the largest size that is let through, at least 0.

    Raises:
        SpecError: for a clip_value below 0.

    Example:
        >>> import isoparam as iso
        >>> iso.ClipByValue(0.5)
        ClipByValue(clip_value=0.5)
    """

    clip_value: float

    def __post_init__(self) -> None:
        at_least_zero(self, "clip_value")


Clip = ClipByNorm | ClipByValue


def check_clip(clip: Any) -> None:
    """Raise SpecError unless this is None or one of the classes of this file."""
    if clip is not None and not isinstance(clip, Clip):
        raise SpecError(f"clip={clip!r} must be isoparam.ClipByNorm(max_norm=1.0) or isoparam.ClipByValue(...), for instance")
