"""Scalar specs: every entry is constrained by itself."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, ScalarSpec, check_link
from isoparam.specs.bounds import Numbers, above, as_bound, check_shapes
from isoparam.specs.numbers import IntervalNumbers, interval_numbers

HALF_LINE_LINKS = ("softplus", "exp")
INTERVAL_LINKS = ("sigmoid", "tanh", "unit")
_STAN = "Stan Reference Manual, Constraint Transforms"


@dataclass(frozen=True)
class Real(ScalarSpec):
    """Every real number: value = raw. What an unnamed parameter is.

    Shapes: raw and value are equal, any shape.

    Limits: in torch the value is the raw tensor itself, no copy: what is written into one stands in the other.

    Example:
        >>> import isoparam as iso
        >>> iso.Real().raw_shape((3, 2))
        (3, 2)
    """

    facts: ClassVar[Facts] = Facts(
        domain="all real numbers",
        raw_size="as the value",
        formula="raw",
        log_abs_det="0",
        volume="Lebesgue, per entry",
        projection="the point itself",
        limits="none",
        source="identity",
    )

    def border(self, value: np.ndarray) -> Border:
        return Border(np.empty(0))


@dataclass(frozen=True)
class Positive(ScalarSpec):
    """Numbers above 0.

        link="softplus"   value = log(1 + exp(raw))   near raw when large: steady steps
        link="exp"        value = exp(raw)            scale free: multiplicative steps

    Args:
        link: "softplus" (default) or "exp".

    Shapes: raw and value are equal, any shape.

    Raises:
        SpecError: for an unknown link.

    Limits: exp overflows above raw = 88.7 (float32) or 709.7 (float64); below -87.3 or -708.3 the value is
        subnormal, which XLA on the CPU flushes to 0.

    Source: Stan Reference Manual, "Lower bounded scalar" (exp); softplus as in GPyTorch and TFP.

    Example:
        >>> import isoparam as iso
        >>> iso.Positive(link="exp")
        Positive(link='exp')
    """

    facts: ClassVar[Facts] = Facts(
        domain="(0, inf)",
        raw_size="as the value",
        formula="log(1 + exp(raw)), or exp(raw) with link='exp'",
        log_abs_det="log sigmoid(raw), or raw",
        volume="Lebesgue, per entry",
        projection="max(point, 0)",
        limits="exp: overflow at raw > 88.7 / 709.7; both: subnormal at raw < -87.3 / -708.3",
        source=f"{_STAN}, Lower bounded scalar; softplus: GPyTorch, TFP",
    )

    link: str = "softplus"

    def __post_init__(self) -> None:
        check_link("Positive", self.link, HALF_LINE_LINKS)
        super().__post_init__()

    def border(self, value: np.ndarray) -> Border:
        return Border(above(value, 0.0))


@dataclass(frozen=True)
class GreaterThan(ScalarSpec):
    """Numbers above a bound.

        link="softplus"   value = bound + log(1 + exp(raw))
        link="exp"        value = bound + exp(raw)

    Args:
        bound: the open lower bound, in the unit of the value; a number, or an array that broadcasts into the value.
        link: "softplus" (default) or "exp".

    Shapes: raw and value are equal, any shape into which the bound broadcasts.

    Raises:
        SpecError: for a bound that is not finite or not a number, or an unknown link.

    Limits: the value is rounded to the bound itself once the gap is under half its last digit
        (bound = 1: raw < -16.6 in float32, -36.7 in float64); the gradient stays right.

    Source: Stan Reference Manual, "Lower bounded scalar".

    Example:
        >>> import isoparam as iso
        >>> iso.GreaterThan([0.0, 1.0]).raw_shape((5, 2))
        (5, 2)
    """

    facts: ClassVar[Facts] = Facts(
        domain="(bound, inf)",
        raw_size="as the value",
        formula="bound + log(1 + exp(raw)), or bound + exp(raw)",
        log_abs_det="log sigmoid(raw), or raw",
        volume="Lebesgue, per entry",
        projection="max(point, bound)",
        limits="the gap is absorbed by the bound below half an ULP of it",
        source=f"{_STAN}, Lower bounded scalar",
    )

    bound: Numbers
    link: str = "softplus"

    def __post_init__(self) -> None:
        check_link("GreaterThan", self.link, HALF_LINE_LINKS)
        object.__setattr__(self, "bound", as_bound("GreaterThan", "bound", self.bound))
        super().__post_init__()

    def border(self, value: np.ndarray) -> Border:
        return Border(above(value, self.bound))


@dataclass(frozen=True)
class LessThan(ScalarSpec):
    """Numbers below a bound.

        link="softplus"   value = bound - log(1 + exp(-raw))   increases with raw
        link="exp"        value = bound - exp(raw)             decreases with raw, as in Stan

    Args:
        bound: the open upper bound, in the unit of the value; a number, or an array that broadcasts into the value.
        link: "softplus" (default) or "exp".

    Shapes: raw and value are equal, any shape into which the bound broadcasts.

    Raises:
        SpecError: for a bound that is not finite or not a number, or an unknown link.

    Limits: as `GreaterThan`, mirrored.

    Source: Stan Reference Manual, "Upper bounded scalar".

    Example:
        >>> import isoparam as iso
        >>> iso.LessThan(3, link="exp")
        LessThan(bound=3.0, link='exp')
    """

    facts: ClassVar[Facts] = Facts(
        domain="(-inf, bound)",
        raw_size="as the value",
        formula="bound - log(1 + exp(-raw)), or bound - exp(raw)",
        log_abs_det="log sigmoid(-raw), or raw",
        volume="Lebesgue, per entry",
        projection="min(point, bound)",
        limits="the gap is absorbed by the bound below half an ULP of it",
        source=f"{_STAN}, Upper bounded scalar",
    )

    bound: Numbers
    link: str = "softplus"

    def __post_init__(self) -> None:
        check_link("LessThan", self.link, HALF_LINE_LINKS)
        object.__setattr__(self, "bound", as_bound("LessThan", "bound", self.bound))
        super().__post_init__()

    def border(self, value: np.ndarray) -> Border:
        return Border(-above(value, self.bound))


@dataclass(frozen=True)
class Interval(ScalarSpec):
    """Numbers between two bounds.

        link="sigmoid"   value = low + (high - low) * sigmoid(raw)
        link="tanh"      value = (low + high)/2 + (high - low)/2 * tanh(raw)   the same map at twice the rate
        link="unit"      value = (low + high)/2 + (high - low)/2 * tanh(2 raw / (high - low))   slope 1 at raw = 0

    With link="unit" raw has the unit of the value, and a step of an optimizer moves the value in the middle of any
    interval as it would move an unbounded number.

    Args:
        low: the open lower bound, in the unit of the value; a number, or an array that broadcasts into the value.
        high: the open upper bound, likewise; low < high everywhere.
        link: "sigmoid" (default), "tanh" or "unit".

    Shapes: raw and value are equal, any shape into which the bounds broadcast.

    Raises:
        SpecError: unless low < high, both are finite numbers, and the link is known.

    Limits: the value is rounded to a bound of size 1 beyond |raw| = 16.6 (float32) or 36.7 (float64). The gradient
        stays right and non-zero until it is subnormal itself, near |raw| = 87 or 708. Those numbers are of the sigmoid:
        they are halved for tanh, and for unit multiplied by (high - low)/4.

    Source: Stan Reference Manual, "Lower and upper bounded scalar".

    Example:
        >>> import isoparam as iso
        >>> iso.Interval(1, 0)
        Traceback (most recent call last):
        ...
        isoparam.errors.SpecError: Interval(low=1, high=0): low must be below high; swap them
    """

    facts: ClassVar[Facts] = Facts(
        domain="(low, high)",
        raw_size="as the value",
        formula="low + (high - low) sigmoid(raw), mid + half tanh(raw), or mid + half tanh(raw / half)",
        log_abs_det="log(high - low) + log sigmoid(raw) + log sigmoid(-raw); tanh: log half + log sech^2(raw); "
        "unit: log sech^2(raw / half)",
        volume="Lebesgue, per entry",
        projection="min(max(point, low), high)",
        limits="the value rounds to a bound beyond |raw| = 16.6 / 36.7; the gradient is subnormal beyond 87 / 708",
        source=f"{_STAN}, Lower and upper bounded scalar",
    )

    low: Numbers
    high: Numbers
    link: str = "sigmoid"

    def __post_init__(self) -> None:
        check_link("Interval", self.link, INTERVAL_LINKS)
        shown = f"Interval(low={self.low!r}, high={self.high!r})"
        object.__setattr__(self, "low", as_bound(shown, "low", self.low))
        object.__setattr__(self, "high", as_bound(shown, "high", self.high))
        check_shapes(shown, low=self.low, high=self.high)
        if not np.all(np.less(self.low, self.high)):
            hint = "swap them" if np.all(np.greater(self.low, self.high)) else "every entry needs room between its bounds"
            raise SpecError(f"{shown}: low must be below high; {hint}")
        super().__post_init__()

    def numbers(self, dtype: type[np.floating]) -> IntervalNumbers:
        """What the two rules compute with, in the dtype of the parameter."""
        return interval_numbers(self.low, self.high, self.link, dtype)

    def border(self, value: np.ndarray) -> Border:
        return Border(
            np.minimum(above(value, self.low), -above(value, self.high)), np.divide(self.high, 4) - np.divide(self.low, 4)
        )


@dataclass(frozen=True)
class UnitInterval(ScalarSpec):
    """Numbers between 0 and 1: probabilities, fractions.

        value = sigmoid(raw) = 1 / (1 + exp(-raw))

    Shapes: raw and value are equal, any shape.

    Limits: the value is rounded to 1 above raw = 16.6 (float32) or 36.7 (float64), and subnormal below -87.3 or
        -708.3. The gradient stays right and non-zero until it is subnormal itself.

    Source: Stan Reference Manual, "Lower and upper bounded scalar" with bounds 0 and 1.

    Example:
        >>> import isoparam as iso
        >>> iso.UnitInterval().facts.domain
        '(0, 1)'
    """

    facts: ClassVar[Facts] = Facts(
        domain="(0, 1)",
        raw_size="as the value",
        formula="sigmoid(raw)",
        log_abs_det="log sigmoid(raw) + log sigmoid(-raw)",
        volume="Lebesgue, per entry",
        projection="min(max(point, 0), 1)",
        limits="the value rounds to 1 above raw = 16.6 / 36.7; the gradient is subnormal beyond 87 / 708",
        source=f"{_STAN}, Lower and upper bounded scalar",
    )

    def border(self, value: np.ndarray) -> Border:
        return Border(np.minimum(above(value, 0.0), -above(value, 1.0)), 0.25)
