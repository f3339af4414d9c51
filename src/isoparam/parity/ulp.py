"""How far apart two arrays are: in units in the last place (ULP), and relative to a scale. numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoparam.errors import SpecError

BITS = {"float64": np.uint64, "float32": np.uint32, "float16": np.uint16, "bfloat16": np.uint16}
FRACTION = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}  # bits after the point


@dataclass(frozen=True)
class Worst:
    """The entry where two arrays are furthest apart.

    Attributes:
        distance: how far, in the measure that was asked for; 0.0 for empty arrays.
        index: where, as a tuple of ints; `()` for numbers without axes and for empty arrays.
        a: the entry of the first array there, as a float; nan for empty arrays.
        b: the entry of the second array there.
    """

    distance: float
    index: tuple[int, ...]
    a: float
    b: float


def ulp_distance(a: Any, b: Any, floor: float | np.ndarray = 0.0, *, dtype: str | None = None) -> np.ndarray:
    """How many floating point numbers further `b` lies than `a`, entry by entry.

    All finite numbers of a dtype stand on one line, the smallest subnormals next to a single zero; neighbours are
    1 ULP apart. +0 and -0 are the same point, two nans are 0 apart, and so are two equal infinities; nan or an
    infinity against anything else is inf.

    Args:
        a: array of float64, float32, float16 or bfloat16 (`ml_dtypes`), or what numpy turns into one.
        b: array of the same dtype and shape.
        floor: entries smaller than this are counted in the last place of `floor`, rounded up. A number that is the
            difference of two larger ones is as exact as they are: give their size where it may cross zero.
        dtype: count in the last places of this dtype instead: for bfloat16 numbers kept in float32 arrays, say.
            Every entry must be a number of that dtype already; nothing is rounded.

    Returns:
        float64 array of whole numbers, exact up to 2**53, or inf.

    Raises:
        SpecError: for different shapes or dtypes, a dtype that is none of the four, or numbers that are not of `dtype`.

    Example:
        >>> import numpy as np
        >>> from isoparam.parity import ulp_distance
        >>> ulp_distance(np.array([1.0, 0.0, -1.0]), np.array([1.0 + 2**-52, -0.0, np.nan])).tolist()
        [1.0, 0.0, inf]
        >>> ulp_distance(np.array([1e-17]), np.array([-1e-17]), floor=1.0).tolist()
        [1.0]
    """
    a, b = _pair(a, b, same_dtype=True)
    unit = a.dtype.name if dtype is None else dtype
    a_bits, b_bits = _bits(a, unit), _bits(b, unit)
    top = np.uint64(8 * np.dtype(BITS[unit]).itemsize - 1)
    a_sign, b_sign = a_bits >> top, b_bits >> top
    a_size, b_size = a_bits & ~(a_sign << top), b_bits & ~(b_sign << top)
    apart = np.where(a_sign == b_sign, np.maximum(a_size, b_size) - np.minimum(a_size, b_size), a_size + b_size)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    last_place = np.exp2(np.frexp(floor)[1] - 1.0 - FRACTION[unit])
    with np.errstate(invalid="ignore", over="ignore"):
        coarse = np.ceil(np.abs(wide_a - wide_b) / last_place)
    small = np.maximum(np.abs(wide_a), np.abs(wide_b)) < floor
    distance = np.where(small, coarse, apart.astype(np.float64))
    distance = np.where(np.isfinite(wide_a) & np.isfinite(wide_b), distance, np.inf)
    return np.where(_same(wide_a, wide_b), 0.0, distance)


def relative_difference(a: Any, b: Any, floor: float | np.ndarray = 0.0) -> np.ndarray:
    """|a - b| / max(|a|, |b|, floor), entry by entry, in float64.

    A number close to 0 that is the difference of larger ones keeps their absolute error, so its own size is the
    wrong scale: give as `floor` the size of what it came from. `isoparam.parity.compare` gives the largest entry
    of the parameter.

    Args:
        a: array of numbers.
        b: array of the same shape.
        floor: smallest scale that an entry is divided by; one number, or one per entry.

    Returns:
        float64 array; 0 where both are equal or both nan, inf where only one is finite or the infinities differ.

    Raises:
        SpecError: for different shapes.

    Example:
        >>> from isoparam.parity import relative_difference
        >>> relative_difference([100.0, 1e-9], [101.0, 0.0], floor=1.0).tolist()
        [0.009900990099009901, 1e-09]
    """
    a, b = (array.astype(np.float64) for array in _pair(a, b, same_dtype=False))
    scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.abs(a / scale - b / scale)  # divided first: the difference itself may overflow
        small = np.abs(a - b) / scale  # and subtracted first: exact for neighbours
    relative = np.where(np.isfinite(small), small, relative)
    finite = np.isfinite(a) & np.isfinite(b)
    return np.where(_same(a, b), 0.0, np.where(finite, relative, np.inf))


def bits_apart(a: np.ndarray, b: np.ndarray) -> int:
    """How many bits of two arrays of one shape are not the same; -0 and 0 differ in one.

    Example:
        >>> import numpy as np
        >>> from isoparam.parity.ulp import bits_apart
        >>> bits_apart(np.float32(0.0), np.float32(-0.0))
        1
    """
    kind = np.result_type(a, b)
    one, other = (np.frombuffer(np.asarray(array, kind).tobytes(), np.uint8) for array in (a, b))
    return int(np.unpackbits(one ^ other).sum())


def max_ulp(a: Any, b: Any, floor: float | np.ndarray = 0.0, *, dtype: str | None = None) -> Worst:
    """The entry with the largest `ulp_distance`, the first of them if several; same arguments and errors.

    Example:
        >>> import numpy as np
        >>> from isoparam.parity import max_ulp
        >>> max_ulp(np.float32([1, 2, 3]), np.nextafter(np.float32([1, 2, 3]), np.float32([1, 9, 3])))
        Worst(distance=1.0, index=(1,), a=2.0, b=2.000000238418579)
    """
    return _worst(ulp_distance(a, b, floor, dtype=dtype), a, b)


def max_relative(a: Any, b: Any, floor: float | np.ndarray = 0.0) -> Worst:
    """The entry with the largest `relative_difference`, the first of them if several; same arguments and errors.

    Example:
        >>> from isoparam.parity import max_relative
        >>> max_relative([[1.0, 2.0]], [[1.0, 4.0]])
        Worst(distance=0.5, index=(0, 1), a=2.0, b=4.0)
    """
    return _worst(relative_difference(a, b, floor), a, b)


def _worst(distance: np.ndarray, a: Any, b: Any) -> Worst:
    if distance.size == 0:
        return Worst(0.0, (), float("nan"), float("nan"))
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(distance)), distance.shape))
    return Worst(float(distance[index]), index, float(np.asarray(a)[index]), float(np.asarray(b)[index]))


def _pair(a: Any, b: Any, *, same_dtype: bool) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise SpecError(f"the two arrays must have the same shape, got {a.shape} and {b.shape}")
    if same_dtype and a.dtype != b.dtype:
        raise SpecError(f"the two arrays must have the same dtype, got {a.dtype} and {b.dtype}: cast one with .astype")
    return a, b


def _bits(array: np.ndarray, unit: str) -> np.ndarray:
    """The bits of an array in the dtype called `unit`, as uint64."""
    if unit not in BITS:
        raise SpecError(f"no last place is known for dtype {unit!r}; choose one of {', '.join(map(repr, BITS))}")
    if array.dtype.name == unit:
        return np.ascontiguousarray(array).view(BITS[unit]).reshape(array.shape).astype(np.uint64)
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32 if unit == "bfloat16" else unit)
    bits = _bits(narrow, narrow.dtype.name)
    cut = np.where(np.isnan(wide), 0, bits & np.uint64(0xFFFF)) if unit == "bfloat16" else np.uint64(0)
    if np.any(cut) or not _same(narrow.astype(np.float64), wide).all():
        raise SpecError(f"the array holds numbers that are not {unit}: round it to {unit} first")
    return bits >> np.uint64(16) if unit == "bfloat16" else bits


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b) | (np.isnan(a) & np.isnan(b))
