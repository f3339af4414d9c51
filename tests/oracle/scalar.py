"""The formulas of the scalar specs, and the links."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of


def sigmoid(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


def link(name: str, x: mp.mpf) -> mp.mpf:
    return mp.log1p(mp.exp(x)) if name == "softplus" else mp.exp(x)


def link_inverse(name: str, gap: mp.mpf) -> mp.mpf:
    if gap <= 0:
        return mp.mpf("-inf") if gap == 0 else mp.nan
    return mp.log(mp.expm1(gap)) if name == "softplus" else mp.log(gap)


def link_slope(name: str, x: mp.mpf) -> mp.mpf:
    return sigmoid(x) if name == "softplus" else mp.exp(x)


def link_log_slope(name: str, x: mp.mpf) -> mp.mpf:
    return -mp.log1p(mp.exp(-x)) if name == "softplus" else x


def link_log_slope_slope(name: str, x: mp.mpf) -> mp.mpf:
    return sigmoid(-x) if name == "softplus" else mp.mpf(1)


class Scalar:
    """Entry by entry; a subclass gives value, raw, slope, log_slope and its slope of one entry."""

    @classmethod
    def forward(cls, spec: Any, raw: list, *bounds: Any) -> list:
        return [cls.value(spec, *entry) for entry in zip(raw, *bounds, strict=True)]

    @classmethod
    def inverse(cls, spec: Any, value: list, *bounds: Any) -> list:
        return [cls.raw(spec, *entry) for entry in zip(value, *bounds, strict=True)]

    @classmethod
    def log_abs_det(cls, spec: Any, raw: list, *bounds: Any) -> list:
        return [cls.log_slope(spec, *entry) for entry in zip(raw, *bounds, strict=True)]

    @classmethod
    def pullback(cls, spec: Any, raw: list, cotangent: list, *bounds: Any) -> list:
        slopes = [cls.slope(spec, *entry) for entry in zip(raw, *bounds, strict=True)]
        return [slope * weight for slope, weight in zip(slopes, cotangent, strict=True)]

    @classmethod
    def log_abs_det_gradient(cls, spec: Any, raw: list, *bounds: Any) -> list:
        return [cls.log_slope_slope(spec, *entry) for entry in zip(raw, *bounds, strict=True)]


@formula_of(iso.Real)
class Real(Scalar):
    value = raw = staticmethod(lambda spec, x: x)
    slope = staticmethod(lambda spec, x: mp.mpf(1))
    log_slope = log_slope_slope = staticmethod(lambda spec, x: mp.mpf(0))


@formula_of(iso.Affine)
class Affine(Scalar):
    value = staticmethod(lambda spec, x, loc, scale: loc + scale * x)
    raw = staticmethod(lambda spec, y, loc, scale: (y - loc) / scale)
    slope = staticmethod(lambda spec, x, loc, scale: scale)
    log_slope = staticmethod(lambda spec, x, loc, scale: mp.log(scale))
    log_slope_slope = staticmethod(lambda spec, x, loc, scale: mp.mpf(0))


@formula_of(iso.Positive)
class Positive(Scalar):
    value = staticmethod(lambda spec, x: link(spec.link, x))
    raw = staticmethod(lambda spec, y: link_inverse(spec.link, y))
    slope = staticmethod(lambda spec, x: link_slope(spec.link, x))
    log_slope = staticmethod(lambda spec, x: link_log_slope(spec.link, x))
    log_slope_slope = staticmethod(lambda spec, x: link_log_slope_slope(spec.link, x))


@formula_of(iso.GreaterThan)
class GreaterThan(Scalar):
    value = staticmethod(lambda spec, x, bound: bound + link(spec.link, x))
    raw = staticmethod(lambda spec, y, bound: link_inverse(spec.link, y - bound))
    slope = staticmethod(lambda spec, x, bound: link_slope(spec.link, x))
    log_slope = staticmethod(lambda spec, x, bound: link_log_slope(spec.link, x))
    log_slope_slope = staticmethod(lambda spec, x, bound: link_log_slope_slope(spec.link, x))


@formula_of(iso.LessThan)
class LessThan(Scalar):
    """softplus: bound - softplus(-x), increasing; exp: bound - exp(x), decreasing."""

    @staticmethod
    def sign(spec: Any) -> int:
        return -1 if spec.link == "softplus" else 1

    value = staticmethod(lambda spec, x, bound: bound - link(spec.link, LessThan.sign(spec) * x))
    raw = staticmethod(lambda spec, y, bound: LessThan.sign(spec) * link_inverse(spec.link, bound - y))
    slope = staticmethod(lambda spec, x, bound: -LessThan.sign(spec) * link_slope(spec.link, LessThan.sign(spec) * x))
    log_slope = staticmethod(lambda spec, x, bound: link_log_slope(spec.link, LessThan.sign(spec) * x))
    log_slope_slope = staticmethod(
        lambda spec, x, bound: LessThan.sign(spec) * link_log_slope_slope(spec.link, LessThan.sign(spec) * x)
    )


@formula_of(iso.Interval)
class Interval(Scalar):
    """low + (high - low) sigmoid(rate x), since mid + half tanh(x) is the same map at twice the rate."""

    @staticmethod
    def rate(spec: Any, low: mp.mpf, high: mp.mpf) -> Any:
        return {"sigmoid": 1, "tanh": 2, "unit": 4 / (high - low)}[spec.link]

    @staticmethod
    def value(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        if spec.link == "tanh":
            return (low + high) / 2 + (high - low) / 2 * mp.tanh(x)
        return low + (high - low) * sigmoid(Interval.rate(spec, low, high) * x)

    @staticmethod
    def raw(spec: Any, y: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        if not low < y < high:
            return mp.mpf("-inf") if y == low else mp.mpf("inf") if y == high else mp.nan
        return mp.log((y - low) / (high - y)) / Interval.rate(spec, low, high)

    @staticmethod
    def slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        return (
            Interval.rate(spec, low, high)
            * (high - low)
            * sigmoid(Interval.rate(spec, low, high) * x)
            * sigmoid(-Interval.rate(spec, low, high) * x)
        )

    @staticmethod
    def log_slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        # -2 log(2 cosh(x/2)), where 2 cosh(x/2) = 2 (1 + 2 sinh(x/4)^2): small x leaves no cancellation to 0.
        x = Interval.rate(spec, low, high) * x
        if mp.isinf(x):
            return mp.mpf("-inf")
        return mp.log(Interval.rate(spec, low, high) * (high - low) / 4) - 2 * mp.log1p(2 * mp.sinh(x / 4) ** 2)

    @staticmethod
    def log_slope_slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        return -Interval.rate(spec, low, high) * mp.tanh(Interval.rate(spec, low, high) * x / 2)


@formula_of(iso.UnitInterval)
class UnitInterval(Scalar):
    value = staticmethod(lambda spec, x: sigmoid(x))
    slope = staticmethod(lambda spec, x: sigmoid(x) * sigmoid(-x))
    log_slope = staticmethod(lambda spec, x: -mp.log1p(mp.exp(-x)) - mp.log1p(mp.exp(x)))
    log_slope_slope = staticmethod(lambda spec, x: -mp.tanh(x / 2))

    @staticmethod
    def raw(spec: Any, y: mp.mpf) -> mp.mpf:
        if not 0 < y < 1:
            return mp.mpf("-inf") if y == 0 else mp.mpf("inf") if y == 1 else mp.nan
        return mp.log(y / (1 - y))


@formula_of(iso.Box)
class Box(Scalar):
    """The formula of the spec that has the bounds of the entry."""

    @staticmethod
    def asked(question: str, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        below, above = mp.isfinite(low), mp.isfinite(high)
        if below and above:
            return getattr(Interval, question)(iso.Interval(0, 1), x, low, high)
        if below:
            return getattr(GreaterThan, question)(iso.GreaterThan(0), x, low)
        return getattr(LessThan, question)(iso.LessThan(0), x, high) if above else getattr(Real, question)(iso.Real(), x)

    value = staticmethod(lambda spec, x, low, high: Box.asked("value", x, low, high))
    raw = staticmethod(lambda spec, y, low, high: Box.asked("raw", y, low, high))
    slope = staticmethod(lambda spec, x, low, high: Box.asked("slope", x, low, high))
    log_slope = staticmethod(lambda spec, x, low, high: Box.asked("log_slope", x, low, high))
    log_slope_slope = staticmethod(lambda spec, x, low, high: Box.asked("log_slope_slope", x, low, high))
