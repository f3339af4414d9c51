"""Balls around 0: vectors whose norm stays below a radius."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import frexp
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, VectorSpec, check_link
from isoparam.specs.bounds import as_bound, bound_in
from isoparam.specs.logarithms import log_parts
from isoparam.specs.scalar import Interval

RADIAL_LINKS = ("alg", "tanh")


class BallNumbers(NamedTuple):
    """The radius of a ball in one dtype, its logarithm and the rounding error of that, and the radius in units of a power of
    2 below it: `whole`.

    A number times `scale`, the reciprocal of that power, is in those units.
    """

    radius: float
    log_radius: float
    log_radius_rest: float
    whole: float
    scale: float


@dataclass(frozen=True)
class Ball(VectorSpec):
    """What the balls share: a radius, and the sizes of raw and value, which are equal."""

    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    radius: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        radius: Any = as_bound(name, "radius", self.radius)
        if not isinstance(radius, float) or radius <= 0:
            raise SpecError(f"{name}: radius={self.radius!r} must be one number above 0, such as radius=1.0")
        object.__setattr__(self, "radius", radius)

    def numbers(self, dtype: type[np.floating]) -> BallNumbers:
        """The radius as the dtype holds it; SpecError where it overflows or underflows there."""
        radius = float(bound_in(self.radius, dtype))
        if radius < np.finfo(dtype).tiny:
            raise SpecError(f"radius={self.radius!r} underflows in {np.dtype(dtype).name}; use a wider dtype, or another unit")
        smallest = float(np.finfo(dtype).tiny)
        power = min(max(2.0 ** (frexp(radius)[1] - 1), smallest), 1 / smallest)
        return BallNumbers(radius, *log_parts(radius, dtype), radius / power, 1 / power)

    @abstractmethod
    def length(self, value: np.ndarray) -> np.ndarray:
        """The norm of vectors along the last axis, in float64."""

    def border(self, value: np.ndarray) -> Border:
        return Border((self.radius - self.length(value))[..., None], self.radius)

    def _cure(self, wrong: np.ndarray) -> str:
        return f"its norm is {self.length(wrong):.17g}: shrink it below radius={self.radius:g}"


@dataclass(frozen=True)
class L2Ball(Ball):
    """Vectors of Euclidean length below a radius.

        link="alg"    value = radius * raw / sqrt(1 + |raw|^2)
        link="tanh"   value = radius * tanh(|raw|) * raw / |raw|

    Both keep the direction of raw and are radius * raw near 0. Far out the derivative of the length falls as |raw|^-3
    ("alg", the default: an optimizer that went too far comes back, and the inverse has no logarithm), or as
    4 exp(-2 |raw|) ("tanh"), which is 1e-34 at |raw| = 40.

    Args:
        radius: above 0; not reached.
        link: "alg" (default) or "tanh".
        axis: the axis along which the length is taken, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for a radius that is no number above 0 (in the dtype of the parameter too), an unknown link, an empty axis,
            or an axis that is not there.

    Limits: any finite raw. The value rounds to the border from about |raw| = 3e3 (float32) or 7e7 (float64) with "alg", and
        9 or 19 with "tanh"; `inverse` refuses it there.

    Source: radial maps, as in Wright (1999) for "alg" on the line; log-determinants by polar coordinates.

    Example:
        >>> import isoparam as iso
        >>> iso.L2Ball(2.0).raw_shape((10, 3))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : |v| < radius}, Euclidean length",
        raw_size="N for N entries",
        formula="radius raw / sqrt(1 + |raw|^2), or radius tanh(|raw|) raw / |raw| with link='tanh'",
        log_abs_det="N log radius - (N + 2)/2 log(1 + |raw|^2), or N log radius + log sech(|raw|)^2 "
        "+ (N - 1) log(tanh(|raw|)/|raw|)",
        volume="Lebesgue on all N entries",
        projection="radius point / |point| where |point| > radius",
        limits="at the border from |raw| = 3e3 / 7e7 (alg), 9 / 19 (tanh)",
        source="radial map; log-determinant by polar coordinates",
    )
    link: str = "alg"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_link("L2Ball", self.link, RADIAL_LINKS)

    def length(self, value: np.ndarray) -> np.ndarray:
        """The Euclidean length, in float64."""
        return _norm(value, 2)


@dataclass(frozen=True)
class L1Ball(Ball):
    """Vectors whose sizes of entries add up to less than a radius.

        link="alg"     value = radius * raw / (1 + |raw|),   |raw| = sum_k |raw_k|
        link="tanh"    value = radius * tanh(|raw|) * raw / |raw|
        link="stick"   value_k = radius * t_k * prod_{j<k} (1 - |t_j|),   t = tanh(raw)

    The first two keep the direction of raw and are radius * raw near 0; far out the derivative of the length falls as
    |raw|^-2 ("alg", the default) or 4 exp(-2 |raw|). "stick" breaks pieces off the radius one after the other, as NumPyro
    does; its entries are not treated alike.

    Args:
        radius: above 0; not reached.
        link: "alg" (default), "tanh" or "stick".
        axis: the axis along which the norm is taken, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for a radius that is no number above 0 (in the dtype of the parameter too), an unknown link, an empty axis,
            or an axis that is not there.

    Limits: the derivative jumps where an entry of raw is 0, since |raw_k| bends there; the one given is that with
        d|raw_k| = 0, half way between the two sides. At raw = 0 the radial maps have the derivative radius * identity.
        The value rounds to the border from about |raw| = 8e6 (float32) or 4e15 (float64) with "alg", and 9 or 19 with "tanh".

    Source: radial maps; "stick": NumPyro, L1BallTransform (times radius).

    Example:
        >>> import isoparam as iso
        >>> iso.L1Ball(link="stick").raw_shape((10, 3))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : sum_k |v_k| < radius}",
        raw_size="N for N entries",
        formula="radius raw / (1 + |raw|); tanh: radius tanh(|raw|) raw / |raw|; "
        "stick: v_k = radius t_k prod_{j<k} (1 - |t_j|), t = tanh(raw)",
        log_abs_det="N log radius - (N + 1) log(1 + |raw|); tanh: as L2Ball with |raw| = sum_k |raw_k|; "
        "stick: N log radius + sum_k log sech(raw_k)^2 + (N - k) log(1 - |t_k|)",
        volume="Lebesgue on all N entries",
        projection="sign(point) max(|point| - t, 0) with t such that the sum of sizes is the radius (sort)",
        limits="no derivative where an entry of raw is 0; at the border from |raw| = 8e6 / 4e15 (alg), 9 / 19 (tanh)",
        source="radial map; stick: NumPyro, L1BallTransform",
    )
    link: str = "alg"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_link("L1Ball", self.link, (*RADIAL_LINKS, "stick"))

    def length(self, value: np.ndarray) -> np.ndarray:
        """The sum of the sizes, in float64."""
        return _norm(value, 1)


@dataclass(frozen=True)
class LInfBall(Ball):
    """Vectors whose entries are all smaller in size than a radius: a cube, as one set of vectors.

        value_k = radius * tanh(raw_k)

    Args:
        radius: above 0; not reached.
        axis: the axis of the vectors, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for a radius that is no number above 0 (in the dtype of the parameter too), an empty axis, or an axis that
            is not there.

    Limits: those of Interval(-radius, radius, link="tanh"), which this is for each entry: at the border from |raw| = 9
        (float32) or 19 (float64).

    Source: Stan Reference Manual, "Lower and upper bounded scalar", for each entry.

    Example:
        >>> import isoparam as iso
        >>> iso.LInfBall(2.0).raw_shape((10, 3))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{v : max_k |v_k| < radius}",
        raw_size="N for N entries",
        formula="radius tanh(raw_k)",
        log_abs_det="N log radius + sum_k log sech(raw_k)^2",
        volume="Lebesgue on all N entries",
        projection="clip to [-radius, radius]",
        limits="at the border from |raw_k| = 9 / 19",
        source="Stan Reference Manual, Lower and upper bounded scalar, for each entry",
    )

    @cached_property
    def _interval(self) -> Interval:
        return Interval(-self.radius, self.radius, link="tanh")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._interval  # kept from here on: torch.compile cannot enter the lock of a cached_property

    @property
    def interval(self) -> Interval:
        """What each entry obeys."""
        return self._interval

    def length(self, value: np.ndarray) -> np.ndarray:
        """The largest size, in float64."""
        return _norm(value, np.inf)

    def border(self, value: np.ndarray) -> Border:
        return self._interval.border(value)


def _norm(value: np.ndarray, order: float) -> np.ndarray:
    largest = np.max(np.abs(value.astype(np.float64)), axis=-1, keepdims=True)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return unit[..., 0] * np.linalg.norm(value.astype(np.float64) / unit, ord=order, axis=-1)
