"""The warning about parameters that no longer move: once per parameter, at the line of the user."""

import sys
import warnings
from typing import Any

import numpy as np

from isoparam.errors import SaturationWarning
from isoparam.layout import Layout
from isoparam.specs import Spec

SUSPECT = 20.0  # no derivative underflows while every |raw| is below this


class Saturation:
    """Which parameters of a run have been warned about.

    Args:
        layout: of the flat vector.
        specs: of the constrained names.
    """

    def __init__(self, layout: Layout, specs: dict[str, Spec]) -> None:
        self._layout, self._specs = layout, specs
        self._warned: set[str] = set()

    def look(self, loop: Any, flat: np.ndarray) -> None:
        """Warn of each parameter, for the first time, with an entry whose value no longer moves with raw.

        Args:
            loop: the training, asked for its slopes where some |raw| is large.
            flat: raw where it stands. In projected training nothing saturates.
        """
        if self._layout.projected or np.max(np.abs(flat), initial=0.0) <= SUSPECT:
            return
        raw = self._layout.unflatten(flat)
        names = [name for name in self._specs if name not in self._warned]
        far = {name for name in names if np.max(np.abs(raw[name]), initial=0.0) > SUSPECT}
        if not far:
            return
        for name, slope in loop.slopes().items():
            stuck = np.argwhere(slope == 0)
            if name in far and len(stuck):
                self._warned.add(name)
                where = tuple(int(i) for i in stuck[0])
                warnings.warn(
                    f"parameter {name!r} is saturated: raw = {raw[name][where]:.6g}{f' at {where}' if where else ''}, where "
                    f"the derivative of {self._specs[name]} has underflowed to 0, so it cannot move any more; use a "
                    f"smaller lr, start further inside, or loosen the constraint",
                    SaturationWarning,
                    stacklevel=caller(),
                )


def caller() -> int:
    """The `stacklevel` with which a warning of the calling function points at the first line outside of isoparam."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "isoparam":
        level, frame = level + 1, frame.f_back
    return level
