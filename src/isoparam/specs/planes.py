"""Planes of any position: the vectors on one, and those on one side of it."""

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import frexp, isqrt, ldexp
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, VectorSpec, check_link
from isoparam.specs.bounds import Entries, FrozenArray, Shape, as_bound, bound_in
from isoparam.specs.scalar import HALF_LINE_LINKS


class PlaneNumbers(NamedTuple):
    """A plane a.v = b in one dtype, with a and b divided by a power of 2 that leaves the largest |a_k| between 1 and 2.

    `normal` and `mirror` are w of the two products w.x that are taken, each as a head with half the digits, the rest of
    the number and what is left of its digits. `lean` and `turn` are what those products are multiplied with, to twice
    the precision: x - lean (a.x - b) is the nearest point of the plane, and x - turn (mirror.x) is x mirrored so that
    the entry `pivot`, where |a_k| is largest, and the normal change places, up to the sign `side`. `alone`: every other
    entry is 0.
    """

    normal: Any
    normal_rest: Any
    normal_tail: Any
    offset: float
    lean: Any
    lean_tail: Any
    foot: Any
    foot_tail: Any
    mirror: Any
    mirror_rest: Any
    mirror_tail: Any
    turn: Any
    turn_tail: Any
    at_pivot: Any
    per_length: float
    per_length_tail: float
    side: float
    pivot: int
    alone: bool


@lru_cache(maxsize=256)
def plane_numbers(normal: FrozenArray, offset: float, dtype: type[np.floating]) -> PlaneNumbers:
    """The numbers of a plane in a dtype, from exact fractions; SpecError where it has none there."""
    a64 = bound_in(normal, dtype).astype(np.float64)
    pivot = int(np.argmax(np.abs(a64)))
    if a64[pivot] == 0:
        raise SpecError(f"normal={normal!r} underflows in {np.dtype(dtype).name}; multiply normal and offset by a number")
    power = Fraction(2) ** (frexp(a64[pivot])[1] - 1)
    a = [Fraction(float(entry)) / power for entry in a64]
    b = Fraction(float(bound_in(offset, dtype))) / power
    square = sum(entry * entry for entry in a)
    length = Fraction(isqrt((square.numerator << 400) // square.denominator), 1 << 200)
    side = 1 if a[pivot] > 0 else -1
    mirror = [entry / length for entry in a]
    mirror[pivot] += side
    turn = [entry / (1 + abs(a[pivot]) / length) for entry in mirror]
    foot = [b * entry / square for entry in a]
    if abs(b) > 2 ** (np.finfo(dtype).maxexp - 8):
        raise SpecError(f"offset={offset!r} puts the plane beyond the numbers of {np.dtype(dtype).name}; use another unit")
    parts: tuple[Any, ...] = (
        *_in_thirds(a, dtype),
        float(b),
        *_twice([entry / square for entry in a], dtype),
        *_twice(foot, dtype),
        *_in_thirds(mirror, dtype),
        *_twice(turn, dtype),
        np.arange(len(a)) == pivot,
        *(float(part[0]) for part in _twice([1 / length], dtype)),
        float(side),
        pivot,
        square == a[pivot] ** 2,
    )
    return PlaneNumbers(*parts)


def _twice(numbers: list[Fraction], dtype: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as rounded ones and their rounding errors."""
    head = [dtype(float(number)) for number in numbers]
    tail = [dtype(float(number - Fraction(float(top)))) for number, top in zip(numbers, head, strict=True)]
    return np.array(head), np.array(tail)


def _in_thirds(numbers: list[Fraction], dtype: type[np.floating]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers as heads with half the digits, rests likewise, and what is left."""
    digits = (np.finfo(dtype).nmant + 1) // 2
    parts = []
    left = list(numbers)
    for _ in range(2):
        parts.append(np.array([dtype(_cut(float(number), digits)) for number in left]))
        left = [number - Fraction(float(top)) for number, top in zip(left, parts[-1], strict=True)]
    return parts[0], parts[1], np.array([dtype(float(number)) for number in left])


def _cut(number: float, digits: int) -> float:
    mantissa, exponent = frexp(number)
    return ldexp(round(ldexp(mantissa, digits)), exponent - digits)


@dataclass(frozen=True)
class Plane(VectorSpec):
    """What the two share: normal and offset."""

    normal: Entries
    offset: float

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        normal: Any = as_bound(name, "normal", self.normal)
        if np.ndim(normal) != 1:
            raise SpecError(f"{name}: normal={self.normal!r} must be one vector, such as normal=[1.0, 1.0]")
        if not normal.data.any():
            raise SpecError(f"{name}: normal={self.normal!r} has no direction: give a vector that is not 0")
        offset: Any = as_bound(name, "offset", self.offset)
        if not isinstance(offset, float):
            raise SpecError(f"{name}: offset={self.offset!r} must be one number")
        object.__setattr__(self, "normal", normal)
        object.__setattr__(self, "offset", offset)
        self.numbers(np.float64)

    def numbers(self, dtype: type[np.floating]) -> PlaneNumbers:
        """The plane as the dtype holds it; SpecError where it does not."""
        return plane_numbers(self.normal, self.offset, dtype)

    def above(self, value: np.ndarray) -> np.ndarray:
        """How far vectors along the last axis are on the side of the normal, in float64."""
        length = np.linalg.norm(self.normal.data / np.abs(self.normal.data).max()) * np.abs(self.normal.data).max()
        return value.astype(np.float64) @ (self.normal.data / length) - self.offset / length

    @abstractmethod
    def _cure(self, wrong: np.ndarray) -> str:
        """How far it is off, and what to do."""

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        size = self.normal.shape[0] - (self.smallest["value"] - self.smallest["raw"])
        size = self.normal.shape[0] if name == "value" else size
        if shape[self.axis] != size:
            raise SpecError(
                f"{self}: a {name} of shape {tuple(shape)} has {shape[self.axis]} entries along axis {self.axis}; "
                f"with a normal of {self.normal.shape[0]} it needs {size}"
            )


@dataclass(frozen=True)
class Hyperplane(Plane):
    """Vectors on a plane: one linear equation holds.

        a.v = b,   value = b a/|a|^2 + N raw

    a is `normal` and b is `offset`. The columns of N are orthonormal and normal to a, so lengths and angles of raw are
    those of the value, and raw = 0 is the point nearest to 0. N is the mirror image (Householder reflection) of the
    axes but that of the largest |a_k|: where a lies along an axis, raw is the value without that entry.

    Args:
        normal: the vector a, not 0.
        offset: the number b.
        axis: the axis of the vectors, by default the last.

    Shapes: raw has n-1 entries along the axis where normal and value have n; other axes are batch axes.

    Raises:
        SpecError: for a normal that is 0 or no vector, numbers that are not finite, or a value of another size.

    Limits: each entry is rounded by itself, so a.v = b holds up to rounding of the terms: `contains` allows
        4 eps (sum |a_k v_k| + |b|). normal and offset are taken as the dtype of the parameter holds them.

    Source: Householder (1958), "Unitary triangularization of a nonsymmetric matrix", Journal of the ACM 5(4).

    Example:
        >>> import isoparam as iso
        >>> iso.Hyperplane([1.0, 1.0, 1.0], 1.0).raw_shape((10, 3))
        (10, 2)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : a.v = b}, a = normal, b = offset",
        raw_size="n - 1 for n entries",
        formula="b a/|a|^2 + N raw, N orthonormal and normal to a (Householder)",
        log_abs_det="0",
        volume="surface of the plane",
        projection="point - a (a.point - b)/|a|^2",
        limits="a.v = b holds up to rounding of each entry",
        source="Householder (1958)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 0, "value": 1}

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, -1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, +1)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        return f"it is {abs(float(self.above(wrong))):.3g} off the plane: give project(spec, value)"


@dataclass(frozen=True)
class HalfSpace(Plane):
    """Vectors on one side of a plane: one linear inequality holds.

        a.v < b,   value = b a/|a|^2 + N raw_others - depth a/|a|
        link="softplus"   depth = log(1 + exp(raw_p))
        link="exp"        depth = exp(raw_p)

    a is `normal` and b is `offset`; N as in `Hyperplane`, and p the entry where |a_k| is largest, the first of them. So
    n-1 entries of raw move along the plane and entry p is the depth below it. Where a lies along an axis, raw is the value
    but for that entry. For a.v > b write HalfSpace(-normal, -offset).

    Args:
        normal: the vector a, not 0; it points out of the set.
        offset: the number b.
        link: "softplus" (default) or "exp", for the depth.
        axis: the axis of the vectors, by default the last.

    Shapes: raw and value are equal, with as many entries along the axis as the normal.

    Raises:
        SpecError: for a normal that is 0 or no vector, numbers that are not finite, an unknown link, or a value of
            another size.

    Limits: those of `Positive` for the depth, which is absorbed where it is under half an ULP of the entries: such a
        value may lie on the plane or a rounding error behind it, and `inverse` refuses it.

    Source: Stan Reference Manual, "Lower bounded scalar" (exp), across the plane; Householder (1958).

    Example:
        >>> import isoparam as iso
        >>> iso.HalfSpace([1.0, 1.0, 1.0], 1.0).raw_shape((10, 3))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : a.v < b}, a = normal, b = offset",
        raw_size="n for n entries",
        formula="b a/|a|^2 + N raw_others - link(raw_p) a/|a|, N orthonormal and normal to a, p the largest |a_k|",
        log_abs_det="log sigmoid(raw_p), or raw_p",
        volume="Lebesgue on all n entries",
        projection="point - a max(a.point - b, 0)/|a|^2",
        limits="those of Positive for the depth, and a depth under half an ULP of the entries is absorbed",
        source="Stan Reference Manual, Lower bounded scalar, across the plane; Householder (1958)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    link: str = "softplus"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_link("HalfSpace", self.link, HALF_LINE_LINKS)

    def border(self, value: np.ndarray) -> Border:
        return Border(-self.above(value)[..., None])

    def _cure(self, wrong: np.ndarray) -> str:
        return f"it is {float(self.above(wrong)):.3g} beyond the plane: give project(spec, value) moved off it"
