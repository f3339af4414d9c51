"""Further simplexes: the maps of other packages, value for value, and ordered vectors between two bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, VectorSpec
from isoparam.specs.bounds import FrozenArray, Numbers, Shape, above, as_bound
from isoparam.specs.numbers import RoomNumbers, room_numbers

_SUM_CURE = "write value / value.sum(), or train float32 weights with dtype='float32'"


@dataclass(frozen=True)
class StickBreakingSimplex(VectorSpec):
    """Positive weights that sum to 1, broken off a stick one after the other: the values of torch.distributions and NumPyro.

        value_k = z_k (1 - z_1) ... (1 - z_{k-1}),   z_k = sigmoid(raw_k - log(N - k)) for k < N,   z_N = 1

    The offset log(N - k) makes raw = 0 the uniform vector. The entries are not treated alike: `Simplex` does that, and is
    to be preferred where no raw numbers of another package have to be taken over.

    Args:
        axis: the axis that sums to 1, by default the last.

    Shapes: raw has N-1 entries along the axis where the value has N; other axes are batch axes.

    Raises:
        SpecError: for a value without entries along the axis, or an axis that is not there.

    Limits: entries below exp(-87.3) (float32) or exp(-708.3) (float64) are subnormal. `inverse` divides each entry by the
        sum of those behind it, and is infinite where that sum is 0.

    Source: torch.distributions.transforms.StickBreakingTransform; numpyro.distributions.transforms.StickBreakingTransform;
        Stan Reference Manual < 2.37, "Unit simplex".

    Example:
        >>> import isoparam as iso
        >>> iso.StickBreakingSimplex().raw_shape((10, 4))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{w : w_k > 0, sum w = 1}",
        raw_size="N - 1 for N weights",
        formula="w_k = z_k prod_{j<k} (1 - z_j), z_k = sigmoid(raw_k - log(N - k)), z_N = 1",
        log_abs_det="sum_{k<N} log z_k + (N - k) log(1 - z_k)",
        volume="Lebesgue on the first N - 1 weights (surface of the simplex: add log(N) / 2)",
        projection="max(point - t, 0) with t such that the sum is 1 (sort)",
        limits="weights under exp(-87.3) / exp(-708.3) are subnormal",
        source="StickBreakingTransform of torch.distributions and NumPyro; Stan Reference Manual < 2.37, Unit simplex",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 0, "value": 1}

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, -1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, +1)

    def border(self, value: np.ndarray) -> Border:
        return _border_of_weights(value)

    def _cure(self, wrong: np.ndarray) -> str:
        return super()._cure(wrong) if (wrong <= 0).any() else f"its sum is {wrong.sum():.17g}: {_SUM_CURE}"


@dataclass(frozen=True)
class SoftmaxSimplex(VectorSpec):
    """Positive weights that sum to 1, by softmax.

        reference="last"   value = softmax(raw_1, ..., raw_{N-1}, 0)   a bijection: the last weight is the reference
        reference=None     value = softmax(raw_1, ..., raw_N)          one number too many: a shift of raw has no influence

    The first is TFP's SoftmaxCentered, with raw_k = log(value_k / value_N). The second is the SoftmaxTransform of
    torch.distributions: raw is not unique, `inverse` gives log(value), and log_abs_det has no meaning.

    Args:
        reference: "last" (default) or None.
        axis: the axis that sums to 1, by default the last.

    Shapes: with reference="last" raw has N-1 entries along the axis where the value has N, with None as many; other axes
        are batch axes.

    Raises:
        SpecError: for an unknown reference, a value without entries along the axis, or an axis that is not there.

    Limits: entries below exp(-87.3) (float32) or exp(-708.3) (float64) are subnormal.

    Source: tfp.bijectors.SoftmaxCentered; torch.distributions.transforms.SoftmaxTransform; Aitchison (1982), "The
        statistical analysis of compositional data" (the additive log-ratio).

    Example:
        >>> import isoparam as iso
        >>> iso.SoftmaxSimplex().raw_shape((10, 4)), iso.SoftmaxSimplex(reference=None).raw_shape((10, 4))
        ((10, 3), (10, 4))
    """

    facts: ClassVar[Facts] = Facts(
        domain="{w : w_k > 0, sum w = 1}",
        raw_size="N - 1 for N weights; N with reference=None",
        formula="softmax(raw, 0), or softmax(raw) with reference=None",
        log_abs_det="sum_k log w_k; none with reference=None",
        volume="Lebesgue on the first N - 1 weights (surface of the simplex: add log(N) / 2)",
        projection="max(point - t, 0) with t such that the sum is 1 (sort)",
        limits="weights under exp(-87.3) / exp(-708.3) are subnormal",
        source="tfp.bijectors.SoftmaxCentered; torch.distributions SoftmaxTransform; Aitchison (1982)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 0, "value": 1}

    reference: str | None = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference not in ("last", None):
            raise SpecError(f"SoftmaxSimplex: unknown reference={self.reference!r}; choose 'last' or None")

    @property
    def unique(self) -> bool:
        """Without a reference a shift of raw has no influence."""
        return self.reference is not None

    @property
    def absent(self) -> Mapping[str, str]:
        if self.reference == "last":
            return {}
        return {
            "log_abs_det": "raw has one number more than the simplex has dimensions, so the map is no bijection; "
            "use reference='last', or Simplex()"
        }

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        if self.reference is None and shape[self.axis] == 0:
            raise SpecError(
                f"{self}: a {name} of shape {tuple(shape)} is empty along axis {self.axis}; it needs at least 1 there"
            )

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return value_shape if self.reference is None else self._resized(value_shape, -1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return raw_shape if self.reference is None else self._resized(raw_shape, +1)

    def border(self, value: np.ndarray) -> Border:
        return _border_of_weights(value)

    def _cure(self, wrong: np.ndarray) -> str:
        return super()._cure(wrong) if (wrong <= 0).any() else f"its sum is {wrong.sum():.17g}: {_SUM_CURE}"


@dataclass(frozen=True)
class OrderedInterval(VectorSpec):
    """Vectors whose entries increase between two bounds, with a smallest gap: knots of a spline, bin edges, cut points.

        value_k = low + k min_gap + room (w_1 + ... + w_k),   w = softmax(H^T raw)
        room = high - low - (N + 1) min_gap

    w are the N + 1 weights of `Simplex`: each gap, those to the two bounds included, is min_gap and a share of the room.
    raw = 0 spaces the entries evenly.

    Args:
        low: the lower bound, in the unit of the value; a number.
        high: the upper bound, likewise; low < high.
        min_gap: what neighbours, and the outer entries and the bounds, are at least apart; 0 or a positive number.
        axis: the axis along which the value increases, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: unless low < high and min_gap >= 0 are finite numbers; for a value with so many entries that
            (N + 1) min_gap leaves no room between the bounds; for an empty axis, or an axis that is not there.

    Limits: a share of the room under half the last digit of the entry is absorbed, so that neighbours may become equal, or
        entries equal a bound; `inverse` refuses such a value, since the gap is lost.

    Source: RealToIncreasingOnInterval of paramax; Durkan et al. (2019), "Neural spline flows", NeurIPS.

    Example:
        >>> import isoparam as iso
        >>> iso.OrderedInterval(0, 1, min_gap=0.1).raw_shape((5,))
        (5,)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : v_k - v_{k-1} > min_gap, v_0 = low, v_{N+1} = high}",
        raw_size="N for N entries",
        formula="low + k min_gap + room sum_{j<=k} w_j, w = softmax(H^T raw), room = high - low - (N + 1) min_gap",
        log_abs_det="N log room + sum_k log w_k + log(N + 1) / 2",
        volume="Lebesgue on all N entries",
        projection="k min_gap + clip(isotonic regression of point - k min_gap, low, high - (N + 1) min_gap)",
        limits="a gap under half an ULP of its entry is absorbed",
        source="paramax, RealToIncreasingOnInterval; Durkan et al. (2019)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    low: Numbers
    high: Numbers
    min_gap: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "min_gap"):
            number = as_bound("OrderedInterval", name, getattr(self, name))
            if isinstance(number, FrozenArray):
                raise SpecError(f"OrderedInterval: {name}={number!r} must be one number; every vector has the same bounds")
            object.__setattr__(self, name, number)
        if not np.less(self.low, self.high):
            raise SpecError(f"OrderedInterval(low={self.low!r}, high={self.high!r}): low must be below high")
        if self.min_gap < 0:
            raise SpecError(f"OrderedInterval: min_gap={self.min_gap!r} must not be negative; 0 asks for no smallest gap")

    def numbers(self, count: int, dtype: type[np.floating]) -> RoomNumbers:
        """What the two rules compute with, in the dtype of the parameter, for `count` entries."""
        return room_numbers(float(np.asarray(self.low)), float(np.asarray(self.high)), self.min_gap, count, dtype)

    def border(self, value: np.ndarray) -> Border:
        wide = value.astype(np.float64)
        low, high = (np.full((*value.shape[:-1], 1), float(np.asarray(bound))) for bound in (self.low, self.high))
        return Border(np.diff(np.concatenate([low, wide, high], axis=-1), axis=-1) - self.min_gap)

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        count = shape[self.axis]
        width = float(np.asarray(self.high)) - float(np.asarray(self.low))
        if (count + 1) * self.min_gap >= width:
            raise SpecError(
                f"OrderedInterval(low={self.low!r}, high={self.high!r}, min_gap={self.min_gap!r}): {count} entries need "
                f"{count + 1} gaps of {self.min_gap!r} and room to move, but high - low is {width!r}; "
                f"give a min_gap below {width / (count + 1):.4g}"
            )

    def _cure(self, wrong: np.ndarray) -> str:
        gaps = self.border(wrong).distances
        return f"its smallest gap is {gaps.min() + self.min_gap:.3g}: start from project(spec, value) moved off the border"


def _border_of_weights(value: np.ndarray) -> Border:
    return Border(above(value, 0.0) if value.shape[-1] > 1 else np.empty(0), 0.25)
