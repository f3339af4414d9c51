"""What each optimizer keeps between updates: names, shapes and dtypes, as torch.optim names them. One row per optimizer."""

from collections.abc import Callable
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers import LBFGS, SGD, Adam, AdamW, Optimizer
from isoparam.plan import Layout
from isoparam.specs.base import Shape

Kind = Literal["run", "whole"]
"""dtype of an entry: that of the run (float32 for bfloat16, which numpy lacks), or whole numbers."""


def like_raw(shape: Shape) -> Shape:
    """The shape of raw itself."""
    return shape


class Slot(NamedTuple):
    """One entry of an optimizer's state.

    Attributes:
        shape: of the entry of a parameter, from the shape of its raw; None: one entry for the whole run.
        ahead: axes before those of `shape`.
        kind: its dtype.
    """

    shape: Callable[[Shape], Shape] | None = like_raw
    ahead: Shape = ()
    kind: Kind = "run"

    @property
    def shared(self) -> bool:
        """Whether the run has one such entry, not each parameter."""
        return self.shape is None

    def shape_for(self, raw: Shape) -> Shape:
        """The shape of the entry of a parameter with a raw of this shape."""
        return self.ahead if self.shape is None else (*self.ahead, *self.shape(raw))


MOMENT = Slot()
NUMBER = Slot(None)
COUNT = Slot(None, kind="whole")


def _sgd(spec: SGD) -> dict[str, Slot]:
    return {"momentum_buffer": MOMENT} if spec.momentum else {}


def _adam(spec: Adam | AdamW) -> dict[str, Slot]:
    return {"exp_avg": MOMENT, "exp_avg_sq": MOMENT} | ({"max_exp_avg_sq": MOMENT} if spec.amsgrad else {})


def _lbfgs(spec: LBFGS) -> dict[str, Slot]:
    pairs = (spec.history_size,)
    vectors = {"d": MOMENT, "prev_flat_grad": MOMENT, "old_dirs": Slot(ahead=pairs), "old_stps": Slot(ahead=pairs)}
    numbers = {"ro": Slot(None, pairs), "t": NUMBER, "H_diag": NUMBER, "prev_loss": NUMBER}
    return vectors | numbers | dict.fromkeys(("n_iter", "func_evals", "stored"), COUNT)


_ROWS: dict[type, Callable[[Any], dict[str, Slot]]] = {SGD: _sgd, Adam: _adam, AdamW: _adam, LBFGS: _lbfgs}


def slots(spec: Optimizer) -> dict[str, Slot]:
    """{name: entry} of the state of an optimizer, besides the count of its updates.

    Raises:
        SpecError: for an optimizer without a row here.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.slots import slots
        >>> list(slots(iso.Adam(amsgrad=True)))
        ['exp_avg', 'exp_avg_sq', 'max_exp_avg_sq']
    """
    if type(spec) not in _ROWS:
        raise SpecError(f"{type(spec).__name__} has no row in isoparam.slots, so its state cannot be saved; add one there")
    return _ROWS[type(spec)](spec)


def split(slot: Slot, array: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """{parameter: its own entry}, from one array of all of them, flat along the last axis in the order of the layout."""
    parts, start = {}, 0
    for entry in (entry for group in layout.groups for entry in group.entries):
        shape = slot.shape_for(entry.raw_shape)
        size = prod(shape[len(slot.ahead) :])
        parts[entry.name] = np.array(array[..., start : start + size]).reshape(shape)
        start += size
    return {name: parts[name] for name in layout.names}


def joined(slot: Slot, parts: dict[str, np.ndarray], layout: Layout) -> np.ndarray:
    """The reverse of `split`."""
    names = [entry.name for group in layout.groups for entry in group.entries]
    return np.concatenate([parts[name].reshape(*slot.ahead, -1) for name in names], axis=-1)
