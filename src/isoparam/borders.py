"""How near a value is to the border of its set, and how much of it is stuck there: from the value alone, in numpy."""

import numpy as np

from isoparam.specs import Spec, VectorSpec
from isoparam.specs.base import Border


def distance(spec: Spec, value: np.ndarray) -> float:
    """The distance of the entry nearest to a border, in the unit of the value.

    For an entry between bounds the gap to the nearer one, for a simplex the least weight, for ordered entries the least
    gap; in general the slack of the tightest inequality that makes the set.

    Args:
        spec: what the value obeys.
        value: a float array, as a backend computed it; bounds are taken in its dtype.

    Returns:
        0 for a value on the border, such as one that was rounded to it, and negative outside; inf for a set without a
        border; nan for nan, and for a spec that does not define `border`.

    Raises:
        SpecError: for a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso, numpy as np
        >>> iso.borders.distance(iso.Interval(0, 10), np.array([4.0, 9.0]))
        1.0
    """
    return float(np.min(border_of(spec, value).distances, initial=np.inf))


def saturation(spec: Spec, value: np.ndarray) -> float:
    """The share of the value that is stuck at the border: 0 for none of it, 1 for all.

    A distance counts as stuck when it is 0 after rounding, or so small that the derivative of the value with respect to
    raw is at most eps of its largest, eps being that of the dtype of the value: a step in raw moves the value by less
    than one part in 1e7 (float32) or 5e15 (float64) of what it would at the middle. With link="exp", whose derivative has
    no largest, it is compared with that at raw = 0. bfloat16 values come as float32 arrays and are judged by float32.

    Args:
        spec: what the value obeys.
        value: a float array.

    Returns:
        A share of the entries, or of the gaps for ordered entries; 0 for a set without a border; nan for nan, and for a
        spec that does not define `border`.

    Raises:
        SpecError: for a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso, numpy as np
        >>> iso.borders.saturation(iso.UnitInterval(), np.array([0.5, 1.0, 1e-20, 1e-10]))
        0.5
    """
    distances, scale = border_of(spec, value)
    if distances.size == 0:
        return 0.0
    stuck = np.where(np.isnan(distances), np.nan, distances <= np.finfo(value.dtype).eps * scale)
    return float(np.mean(stuck))


def border_of(spec: Spec, value: np.ndarray) -> Border:
    """The distances of a value to the border of its set, along whichever axis."""
    spec.raw_shape(value.shape)
    return spec.border(np.moveaxis(value, spec.axis, -1) if isinstance(spec, VectorSpec) else value)
