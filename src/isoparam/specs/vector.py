"""Vector specs: one axis is constrained as a whole."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.specs.base import Facts, Shape, VectorSpec, check_link
from isoparam.specs.scalar import HALF_LINE_LINKS


@dataclass(frozen=True)
class Simplex(VectorSpec):
    """Positive weights that sum to 1.

        value = softmax(H^T raw)

    H is the N-1 by N Helmert matrix: its rows are orthonormal and sum to 0, so raw = 0 is the uniform vector, and
    all entries are treated alike up to rounding (the isometric log-ratio transform).

    Args:
        axis: the axis that sums to 1, by default the last.

    Shapes: raw has N-1 entries along the axis where the value has N; other axes are batch axes.

    Raises:
        SpecError: for a value without entries along the axis, or an axis that is not there.

    Limits: entries below exp(-87.3) (float32) or exp(-708.3) (float64) are subnormal; raw up to 1e30 (float32) or
        1e300 (float64).

    Source: Stan Reference Manual >= 2.37, "Unit simplex"; Egozcue et al. (2003), "Isometric logratio
        transformations for compositional data analysis", Mathematical Geology 35(3).

    Example:
        >>> import isoparam as iso
        >>> iso.Simplex().raw_shape((10, 4))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{w : w_k > 0, sum w = 1}",
        raw_size="N - 1 for N weights",
        formula="softmax(H^T raw), H the Helmert matrix with orthonormal rows",
        log_abs_det="sum_k log w_k + log(N) / 2",
        volume="Lebesgue on the first N - 1 weights (surface of the simplex: add log(N) / 2)",
        projection="max(point - t, 0) with t such that the sum is 1 (sort)",
        limits="weights under exp(-87.3) / exp(-708.3) are subnormal; |raw| up to 1e30 / 1e300",
        source="Stan Reference Manual >= 2.37, Unit simplex; Egozcue et al. (2003)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 0, "value": 1}

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, -1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, +1)


@dataclass(frozen=True)
class Ordered(VectorSpec):
    """Vectors whose entries increase.

        value_1 = raw_1,   value_k = value_{k-1} + gap_k
        link="softplus"   gap_k = log(1 + exp(raw_k))
        link="exp"        gap_k = exp(raw_k)

    Args:
        link: "softplus" (default) or "exp", for the gaps.
        axis: the axis along which the value increases, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for an unknown link, an empty axis, or an axis that is not there.

    Limits: two entries become equal when a gap is under half the last digit of the entry; `inverse` refuses such
        a value, since the gap is lost.

    Source: Stan Reference Manual, "Ordered vector".

    Example:
        >>> import isoparam as iso
        >>> iso.Ordered(link="exp").raw_shape((5,))
        (5,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : v_1 < v_2 < ... < v_N}",
        raw_size="N for N entries",
        formula="v_1 = raw_1, v_k = v_{k-1} + link(raw_k), link softplus or exp",
        log_abs_det="sum_{k>1} log sigmoid(raw_k), or sum_{k>1} raw_k",
        volume="Lebesgue on all N entries",
        projection="isotonic regression (pool adjacent violators)",
        limits="a gap under half an ULP of its entry is absorbed",
        source="Stan Reference Manual, Ordered vector",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    link: str = "softplus"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_link("Ordered", self.link, HALF_LINE_LINKS)


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
