"""Vector specs: one axis is constrained as a whole."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.specs.base import Border, Facts, VectorSpec, check_link
from isoparam.specs.bounds import Shape, above
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

    def border(self, value: np.ndarray) -> Border:
        return Border(above(value, 0.0) if value.shape[-1] > 1 else np.empty(0), 0.25)

    def _cure(self, wrong: np.ndarray) -> str:
        if (wrong <= 0).any():
            return super()._cure(wrong)
        return f"its sum is {wrong.sum():.17g}: write value / value.sum(), or train float32 weights with dtype='float32'"


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

    def border(self, value: np.ndarray) -> Border:
        return Border(np.diff(value.astype(np.float64), axis=-1))


@dataclass(frozen=True)
class PositiveOrdered(VectorSpec):
    """Vectors of positive entries that increase.

        value_k = value_{k-1} + gap_k,   value_0 = 0
        link="softplus"   gap_k = log(1 + exp(raw_k))
        link="exp"        gap_k = exp(raw_k)

    Args:
        link: "softplus" (default) or "exp", for the first entry and the gaps.
        axis: the axis along which the value increases, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for an unknown link, an empty axis, or an axis that is not there.

    Limits: two entries become equal when a gap is under half the last digit of the entry; `inverse` refuses such
        a value, since the gap is lost.

    Source: Stan Reference Manual, "Positive ordered vector".

    Example:
        >>> import isoparam as iso
        >>> iso.PositiveOrdered(link="exp").raw_shape((5,))
        (5,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : 0 < v_1 < v_2 < ... < v_N}",
        raw_size="N for N entries",
        formula="v_1 = link(raw_1), v_k = v_{k-1} + link(raw_k), link softplus or exp",
        log_abs_det="sum_k log sigmoid(raw_k), or sum_k raw_k",
        volume="Lebesgue on all N entries",
        projection="isotonic regression (pool adjacent violators), then max(., 0)",
        limits="a gap under half an ULP of its entry is absorbed",
        source="Stan Reference Manual, Positive ordered vector",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    link: str = "softplus"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_link("PositiveOrdered", self.link, HALF_LINE_LINKS)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.diff(value.astype(np.float64), axis=-1, prepend=0.0))


@dataclass(frozen=True)
class SumToZero(VectorSpec):
    """Vectors whose entries sum to 0: effects and contrasts.

        value = H^T raw

    H is the N-1 by N Helmert matrix of `Simplex`: its rows are orthonormal and sum to 0, so lengths and angles of raw
    are those of the value. Independent raw of variance s^2 give each entry the variance s^2 (N-1)/N.

    Args:
        axis: the axis that sums to 0, by default the last.

    Shapes: raw has N-1 entries along the axis where the value has N; other axes are batch axes.

    Raises:
        SpecError: for a value without entries along the axis, or an axis that is not there.

    Limits: each entry is rounded by itself, so the sum is 0 up to an eps of the sum of the sizes, which `contains`
        allows four times; |raw| up to 1e30 (float32) or 1e300 (float64).

    Source: Stan Reference Manual >= 2.36, "Zero sum vector".

    Example:
        >>> import isoparam as iso
        >>> iso.SumToZero().raw_shape((10, 4))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : sum v = 0}",
        raw_size="N - 1 for N entries",
        formula="H^T raw, H the Helmert matrix with orthonormal rows",
        log_abs_det="0",
        volume="surface of the plane sum v = 0 (Lebesgue on the first N - 1 entries: add -log(N) / 2)",
        projection="point - mean(point)",
        limits="the sum is 0 up to rounding of each entry; |raw| up to 1e30 / 1e300",
        source="Stan Reference Manual >= 2.36, Zero sum vector",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 0, "value": 1}

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, -1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, +1)

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        return f"its sum is {wrong.sum():.3g}: write value - value.mean(), or train float32 numbers with dtype='float32'"


@dataclass(frozen=True)
class UnitVector(VectorSpec):
    """Vectors of Euclidean length 1: directions.

        value = raw / |raw|

    The length of raw has no influence, so raw is not unique: `inverse` gives the one of length 1, which is the value.

    Args:
        axis: the axis along which the length is 1, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for an empty axis, or an axis that is not there.

    Limits: any finite raw but 0, from the smallest subnormal to the largest number. At raw = 0, which has no direction,
        the value is the first basis vector, its derivative 0 and log_abs_det = inf; `initial` starts at raw = that
        vector. The derivative grows as 1/|raw|. log_abs_det counts the N-1 directions across raw and leaves its length
        without a density: for a proper one on raw add one of |raw|, as Stan's -|raw|^2/2 in place of log_abs_det.

    Source: Stan Reference Manual, "Unit vector"; Muller (1959), "A note on a method for generating points uniformly
        on n-dimensional spheres", Communications of the ACM 2(4).

    Example:
        >>> import isoparam as iso
        >>> iso.UnitVector().start((2, 3)).tolist()
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : |v| = 1}",
        raw_size="N for N entries (one more than the sphere has dimensions)",
        formula="raw / |raw|; the first basis vector at raw = 0",
        log_abs_det="(1 - N) log |raw|",
        volume="surface of the sphere, from the N - 1 directions across raw; the length of raw is left without a density",
        projection="point / |point|; the first basis vector for 0",
        limits="any finite raw but 0; the derivative overflows below |raw| = 3e-39 / 6e-309",
        source="Stan Reference Manual, Unit vector; Muller (1959)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    @property
    def unique(self) -> bool:
        """Not: raw has a length, which the value has not."""
        return False

    def start(self, value_shape: Shape) -> np.ndarray:
        """The first basis vector."""
        raw = np.zeros(self.raw_shape(value_shape))
        np.moveaxis(raw, self.axis, -1)[..., 0] = 1.0
        return raw

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        length = np.linalg.norm(wrong)
        if length == 0:
            return "it has no direction: give any other vector"
        return f"its length is {length:.17g}: divide by it, or train float32 numbers with dtype='float32'"
