"""Vector specs: one axis is constrained as a whole."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.specs.base import Border, Facts, Shape, VectorSpec, above, check_link
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
        return Border(above(value, 0.0) if value.shape[-1] > 1 else np.empty(0))


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
