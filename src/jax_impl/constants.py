"""Numbers that follow from a spec, in the dtype of an array: floats, or arrays for array bounds.

They are computed in numpy, outside of what jax.jit traces, which takes each result as a constant.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.specs import GreaterThan, Interval, LessThan
from isoparam.specs.base import bound_in, plain
from isoparam.specs.numbers import Helmert, IntervalNumbers, helmert


def bound_like(spec: GreaterThan | LessThan, array: Array) -> Any:
    """The bound of a half line in the dtype of an array: a float, or an array on its device."""
    return _placed(plain(bound_in(spec.bound, _numpy(array))))


def numbers_like(spec: Interval, array: Array) -> IntervalNumbers:
    """The numbers of an interval in the dtype of an array: floats, or arrays on its device."""
    return IntervalNumbers(*(_placed(part) for part in spec.numbers(_numpy(array))))


def helmert_like(array: Array) -> Helmert:
    """The Helmert matrix with a row for each entry of the last axis of an array."""
    return Helmert(*(_placed(part) for part in helmert(array.shape[-1], _numpy(array))))


def _numpy(array: Array) -> Any:
    return np.dtype(array.dtype).type


def _placed(part: Any) -> Any:
    return jnp.asarray(part) if isinstance(part, np.ndarray) else part
