"""Numbers that follow from a spec, computed once in numpy for each dtype: what the rules of both backends compute with."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.bounds import Bound, bound_in, plain


class IntervalNumbers(NamedTuple):
    """The bounds of an `Interval` in one dtype, and what follows from them: floats, or arrays for array bounds.

    `mid + mid_tail` is the midpoint to twice the precision, so that a value near it carries one rounding, and
    `half_head + half_rest` half the width, of which the head has half the digits. The map is read as
    mid + half * tanh(x / 2), where x = rate * raw, or rate * raw / half with a slope of 1. Four facts choose among
    formulas before anything is traced: `steep`, the slope at a given distance exceeds that of exp(-|x|), which underflows
    first; `huge`, high - low may overflow; `crosses`, the value passes 0 inside; `form`, the shortest formula that is
    right to the last places of the larger bound: "odd" (mid is 0), "low" or "high" (measured from that bound), "any".
    """

    low: Any
    high: Any
    mid: Any
    mid_tail: Any
    half: Any
    half_head: Any
    half_rest: Any
    log_peak: Any
    log_far: Any
    rate: float
    steep: bool
    huge: bool
    crosses: bool
    form: str


@lru_cache(maxsize=256)
def interval_numbers(low_bound: Bound, high_bound: Bound, link: str, dtype: type[np.floating]) -> IntervalNumbers:
    """The numbers of an interval in a dtype; SpecError where the two bounds are one number there."""
    low, high = bound_in(low_bound, dtype), bound_in(high_bound, dtype)
    if not np.all(low < high):
        raise SpecError(
            f"low={low_bound!r} and high={high_bound!r} are the same number in {np.dtype(dtype).name}; use a wider dtype"
        )
    low64, high64 = low.astype(np.float64), high.astype(np.float64)
    exact_mid, tail = _halved_sum(low64, high64)
    mid = exact_mid.astype(dtype)
    half64 = high64 / 2 - low64 / 2
    half = half64.astype(dtype)
    half_tail = _halved_sum(high64, -low64)[1] + (half64 - half.astype(np.float64))
    half_head, half_rest = _halved(half.astype(np.float64), half_tail, (np.finfo(dtype).nmant + 1) // 2)
    rate = 1.0 if link == "sigmoid" else 2.0
    log_peak = np.zeros_like(half64) if link == "unit" else np.log(half64) - (0.0 if link == "tanh" else np.log(2.0))
    return IntervalNumbers(
        low=plain(low),
        high=plain(high),
        mid=plain(mid),
        mid_tail=plain(((exact_mid - mid.astype(np.float64)) + tail).astype(dtype)),
        half=plain(half),
        half_head=plain(half_head.astype(dtype)),
        half_rest=plain(half_rest.astype(dtype)),
        log_peak=plain(log_peak.astype(dtype)),
        log_far=plain((log_peak + np.log(4.0)).astype(dtype)),
        rate=rate,
        steep=bool(np.any(half64 > 0.5 / rate)),
        huge=bool(np.any(half > np.finfo(dtype).max / 4)),
        crosses=bool(np.any((low < 0) & (high > 0))),
        form=_form(low, high, half),
    )


def _form(low: np.ndarray, high: np.ndarray, half: np.ndarray) -> str:
    """The `form` of IntervalNumbers.

    Measured from one bound, sigmoid brings its rounding near 1 to the other: up to 3/4 eps of the width, which has to stay
    within 3/2 ULP of the larger bound; that other bound must be reached exactly, and must not lie so near 0 that numbers
    close to it have more digits. Measured from 0 in both directions, nothing is lost.
    """
    if np.all(low == -high):
        return "odd"
    largest = np.maximum(np.abs(low), np.abs(high))
    if np.any(half > np.finfo(low.dtype).max / 4):
        return "any"
    width = 2 * half
    if np.all(width <= 2 * 2.0 ** np.floor(np.log2(largest))):
        if np.all((low + width == high) & (np.abs(high) >= width / 16)):
            return "low"
        if np.all((high - width == low) & (np.abs(low) >= width / 16)):
            return "high"
    return "any"


class AffineNumbers(NamedTuple):
    """`loc` and `scale` of an `Affine` in one dtype, and the logarithm of that scale: floats, or arrays."""

    loc: Any
    scale: Any
    log_scale: Any


@lru_cache(maxsize=256)
def affine_numbers(loc_bound: Bound, scale_bound: Bound, dtype: type[np.floating]) -> AffineNumbers:
    """The numbers of an affine map in a dtype; SpecError where the scale is below its normal numbers."""
    loc, scale = bound_in(loc_bound, dtype), bound_in(scale_bound, dtype)
    if not np.all(scale >= np.finfo(dtype).tiny):
        raise SpecError(f"scale={scale_bound!r} underflows in {np.dtype(dtype).name}; use a wider dtype, or another unit")
    log_scale = np.log(scale.astype(np.float64)).astype(dtype)
    return AffineNumbers(loc=plain(loc), scale=plain(scale), log_scale=plain(log_scale))


def _halved_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a + b)/2 as a rounded number and its rounding error (Knuth's two-sum)."""
    a, b = a / 2, b / 2
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


class Helmert(NamedTuple):
    """Entries of the Helmert matrix: row j (1..n) is `ahead[j-1]` on the first j columns and -`behind[j-1]` on the next.

    ahead = 1/sqrt(j (j+1)) and behind = sqrt(j/(j+1)). Each is a head with half the digits of the dtype, whose
    product with another such head is exact, and the rest, so that head + rest carries 1.5 times the digits.
    `half_digits` = 2^k cuts a number to the other half: (half_digits * largest + x) - half_digits * largest.
    """

    ahead: Any
    ahead_rest: Any
    behind: Any
    behind_rest: Any
    half_digits: float


@lru_cache(maxsize=64)
def helmert(n: int, dtype: type[np.floating]) -> Helmert:
    """The Helmert matrix with n rows, in a dtype."""
    j = np.arange(1, n + 1, dtype=np.float64)
    size = j * (j + 1)
    ahead = 1.0 / np.sqrt(size)
    square, square_tail = _two_product(ahead, ahead)
    unit, unit_tail = _two_product(size, square)
    ahead_tail = ahead * (((1.0 - unit) - unit_tail) - size * square_tail) / 2
    behind, behind_tail = _two_product(j, ahead)
    digits = (np.finfo(dtype).nmant + 1) // 2
    parts = *_halved(ahead, ahead_tail, digits), *_halved(behind, behind_tail + j * ahead_tail, digits)
    return Helmert(*(part.astype(dtype) for part in parts), half_digits=2.0 ** (digits + 1))


@lru_cache(maxsize=64)
def helmert_matrix(n: int, dtype: type[np.floating]) -> np.ndarray:
    """The Helmert matrix with n rows and n + 1 columns, in a dtype."""
    parts = helmert(n, np.float64)
    row, column = np.arange(n)[:, None], np.arange(n + 1)
    ahead, behind = parts.ahead + parts.ahead_rest, parts.behind + parts.behind_rest
    return np.where(column <= row, ahead[:, None], np.where(column == row + 1, -behind[:, None], 0.0)).astype(dtype)


def _halved(number: np.ndarray, tail: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    mantissa, exponent = np.frexp(number)
    head = np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits)
    return head, (number - head) + tail


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a*b as a rounded number and its exact rounding error (Dekker's product, Veltkamp's split)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = 134217729.0 * a  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


class RoomNumbers(NamedTuple):
    """The bounds of an `OrderedInterval` in one dtype, and what follows from them for a number of entries: floats.

    `gaps` are k * min_gap for k = 1..N, an array, and `top` is high - (N + 1) min_gap.
    """

    low: float
    high: float
    min_gap: float
    gaps: Any
    room: float
    log_room: float
    top: float


@lru_cache(maxsize=256)
def room_numbers(low: float, high: float, min_gap: float, count: int, dtype: type[np.floating]) -> RoomNumbers:
    """The numbers of an ordered interval with `count` entries, in a dtype; SpecError where no room is left there."""
    bottom, ceiling, gap = (float(bound_in(bound, dtype)) for bound in (low, high, min_gap))
    room = (ceiling - bottom) - (count + 1) * gap
    top = np.asarray(ceiling - (count + 1) * gap).astype(dtype)
    with np.errstate(over="ignore"):
        room_there = np.asarray(room).astype(dtype)
    if not (room_there > 0 and np.isfinite(room_there) and top > bottom):
        raise SpecError(
            f"low={low!r}, high={high!r} and {count + 1} gaps of {min_gap!r} leave no room, or one that overflows, in "
            f"{np.dtype(dtype).name}; use a wider dtype, or other bounds"
        )
    gaps = (gap * np.arange(1, count + 1)).astype(dtype)
    return RoomNumbers(bottom, ceiling, gap, gaps, float(room_there), float(np.log(room)), float(top))
