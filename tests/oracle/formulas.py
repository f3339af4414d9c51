"""The third witness: every spec written down again, from its definition, in 50-digit arithmetic; never code under test.

A formula gives `forward`, `inverse`, `log_abs_det`, `pullback` (J^T w) and `log_abs_det_gradient` of one vector, as mpmath
numbers. A scalar spec is a vector of independent entries whose log_abs_det has one number per entry. Bounds arrive as
the numbers that the dtype holds. `exact` evaluates a formula with more and more digits until 50 of them stand still,
so that no formula has to care about cancellation.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath as mp

import isoparam as iso

DIGITS = 50
NOTHING = mp.mpf(10) ** -900
FORMULAS: dict[type[iso.Spec], Any] = {}


def formula_of(spec_type: type[iso.Spec]) -> Callable[[type], type]:
    def register(formula: type) -> type:
        FORMULAS[spec_type] = formula
        return formula

    return register


def exact(formula: Callable[..., list[mp.mpf]], *arguments: Any) -> list[mp.mpf]:
    """The results of a formula, with more digits each time until two runs agree to 50 digits of each result."""
    digits, before = 70, None
    while digits < 3000:
        with mp.workdps(digits):
            now = formula(*arguments)
            if before is not None and all(_settled(a, b, digits) for a, b in zip(before, now, strict=True)):
                return now
        digits, before = 2 * digits, now
    raise ArithmeticError(f"{formula} does not settle at {arguments}")


def _settled(before: mp.mpf, now: mp.mpf, digits: int) -> bool:
    if mp.isnan(before) or mp.isnan(now):
        return bool(mp.isnan(before) and mp.isnan(now))
    if abs(now) < NOTHING:  # believed only with more digits than any number of a dtype, or its square, has zeros
        return digits > 1000
    return bool(before == now or abs(before - now) <= abs(now) * mp.mpf(10) ** -DIGITS)


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
    def rate(spec: Any) -> int:
        return 2 if spec.link == "tanh" else 1

    @staticmethod
    def value(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        if spec.link == "tanh":
            return (low + high) / 2 + (high - low) / 2 * mp.tanh(x)
        return low + (high - low) * sigmoid(x)

    @staticmethod
    def raw(spec: Any, y: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        if not low < y < high:
            return mp.mpf("-inf") if y == low else mp.mpf("inf") if y == high else mp.nan
        return mp.log((y - low) / (high - y)) / Interval.rate(spec)

    @staticmethod
    def slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        return Interval.rate(spec) * (high - low) * sigmoid(Interval.rate(spec) * x) * sigmoid(-Interval.rate(spec) * x)

    @staticmethod
    def log_slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        # -2 log(2 cosh(x/2)), where 2 cosh(x/2) = 2 (1 + 2 sinh(x/4)^2): small x leaves no cancellation to 0.
        x = Interval.rate(spec) * x
        if mp.isinf(x):
            return mp.mpf("-inf")
        return mp.log(Interval.rate(spec) * (high - low) / 4) - 2 * mp.log1p(2 * mp.sinh(x / 4) ** 2)

    @staticmethod
    def log_slope_slope(spec: Any, x: mp.mpf, low: mp.mpf, high: mp.mpf) -> mp.mpf:
        return -Interval.rate(spec) * mp.tanh(Interval.rate(spec) * x / 2)


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


@formula_of(iso.Simplex)
class Simplex:
    """softmax(H^T raw), where row j of H is (1, ..., 1, -j, 0, ..., 0)/sqrt(j (j + 1)) with j ones."""

    @staticmethod
    def helmert(u: list) -> list:
        ones, result = mp.mpf(0), []
        for j in range(1, len(u)):
            ones += u[j - 1]
            result.append((ones - j * u[j]) / mp.sqrt(j * (j + 1)))
        return result

    @staticmethod
    def helmert_transposed(x: list) -> list:
        n = len(x)
        scaled = [entry / mp.sqrt(j * (j + 1)) for j, entry in enumerate(x, start=1)]
        after, ones = [mp.mpf(0)] * (n + 1), mp.mpf(0)
        for k in reversed(range(n)):
            ones += scaled[k]
            after[k] = ones
        return [after[k] - (k * scaled[k - 1] if k else 0) for k in range(n + 1)]

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        weights = [mp.exp(entry) for entry in Simplex.helmert_transposed(raw)]
        total = mp.fsum(weights)
        return [weight / total for weight in weights]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return Simplex.helmert([mp.log(entry) for entry in value])

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        logits = Simplex.helmert_transposed(raw)
        total = mp.log(mp.fsum(mp.exp(entry) for entry in logits))
        return [mp.fsum(entry - total for entry in logits) + mp.log(len(logits)) / 2]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        value = Simplex.forward(spec, raw)
        mean = mp.fdot(value, cotangent)
        return Simplex.helmert([y * (w - mean) for y, w in zip(value, cotangent, strict=True)])

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        # sum_k log w_k = sum_k z_k - N log sum exp z, z = H^T raw, and the rows of H sum to 0.
        value = Simplex.forward(spec, raw)
        return [-len(value) * entry for entry in Simplex.helmert(value)]


@formula_of(iso.Ordered)
class Ordered:
    """The first entry, then gaps."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        value = raw[:1]
        for entry in raw[1:]:
            value = [*value, value[-1] + link(spec.link, entry)]
        return value

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        gaps = (b - a for a, b in pairwise(value))
        return [*value[:1], *(link_inverse(spec.link, gap) for gap in gaps)]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        return [mp.fsum(link_log_slope(spec.link, entry) for entry in raw[1:])]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        from_here = [mp.fsum(cotangent[k:]) for k in range(len(raw))]
        return [from_here[0], *(link_slope(spec.link, x) * w for x, w in zip(raw[1:], from_here[1:], strict=True))]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return [mp.mpf(0), *(link_log_slope_slope(spec.link, entry) for entry in raw[1:])]


@formula_of(iso.PositiveOrdered)
class PositiveOrdered:
    """Gaps from 0 on: what follows an entry 0 of an ordered vector."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return Ordered.forward(spec, [mp.mpf(0), *raw])[1:]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return Ordered.inverse(spec, [mp.mpf(0), *value])[1:]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        return Ordered.log_abs_det(spec, [mp.mpf(0), *raw])

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return Ordered.pullback(spec, [mp.mpf(0), *raw], [mp.mpf(0), *cotangent])[1:]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return Ordered.log_abs_det_gradient(spec, [mp.mpf(0), *raw])[1:]


@formula_of(iso.SumToZero)
class SumToZero:
    """H^T raw, with the H of the simplex."""

    forward = staticmethod(lambda spec, raw: Simplex.helmert_transposed(raw))
    inverse = staticmethod(lambda spec, value: Simplex.helmert(value))
    pullback = staticmethod(lambda spec, raw, cotangent: Simplex.helmert(cotangent))
    log_abs_det = staticmethod(lambda spec, raw: [mp.mpf(0)])
    log_abs_det_gradient = staticmethod(lambda spec, raw: [mp.mpf(0) for _ in raw])


@formula_of(iso.UnitVector)
class UnitVector:
    """raw/|raw|, and the first basis vector with derivative 0 where raw is 0."""

    @staticmethod
    def length(raw: list) -> mp.mpf:
        return mp.sqrt(mp.fdot(raw, raw))

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        if not any(raw):
            return [mp.mpf(1), *(mp.mpf(0) for _ in raw[1:])]
        return [entry / UnitVector.length(raw) for entry in raw]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return value

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        if len(raw) == 1:
            return [mp.mpf(0)]
        return [(1 - len(raw)) * mp.log(UnitVector.length(raw)) if any(raw) else mp.inf]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        if not any(raw):
            return [mp.mpf(0) for _ in raw]
        # sum_j (w_i x_j - w_j x_i) x_j / |x|^3, whose terms do not cancel where w is along x
        pairs = list(zip(raw, cotangent, strict=True))
        cube = UnitVector.length(raw) ** 3
        return [mp.fsum((w * other - v * x) * other for other, v in pairs) / cube for x, w in pairs]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        if not any(raw):
            return [mp.mpf(0) for _ in raw]
        return [(1 - len(raw)) * entry / mp.fdot(raw, raw) for entry in raw]
