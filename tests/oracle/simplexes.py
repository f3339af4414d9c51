"""The formulas of the further simplexes, of ordered vectors between bounds, and of angles."""

from itertools import pairwise
from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.scalar import Scalar
from oracle.vector import Simplex


@formula_of(iso.Circular)
class Circular(Scalar):
    """The angle between -pi and pi that differs by a whole number of turns."""

    value = staticmethod(lambda spec, x: x - 2 * mp.pi * mp.floor((x + mp.pi) / (2 * mp.pi)))
    raw = staticmethod(lambda spec, y: y)
    slope = staticmethod(lambda spec, x: mp.mpf(1))
    log_slope = log_slope_slope = staticmethod(lambda spec, x: mp.mpf(0))


@formula_of(iso.StickBreakingSimplex)
class StickBreakingSimplex:
    """Each entry takes a share of what is left; with m entries behind it the share is exp(x)/(m + exp(x))."""

    @staticmethod
    def shares(raw: list) -> list:
        return [1 / (1 + m * mp.exp(-x)) for m, x in zip(range(len(raw), 0, -1), raw, strict=True)]

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        left, value = mp.mpf(1), []
        for m, x, share in zip(range(len(raw), 0, -1), raw, StickBreakingSimplex.shares(raw), strict=True):
            value.append(left * share)
            left *= m / (m + mp.exp(x))
        return [*value, left]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        behind = range(len(value) - 1, 0, -1)
        return [mp.log(m * y / mp.fsum(value[k + 1 :])) for k, (m, y) in enumerate(zip(behind, value[:-1], strict=True))]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        behind = range(len(raw), 0, -1)
        terms = (-mp.log1p(m * mp.exp(-x)) - m * mp.log1p(mp.exp(x) / m) for m, x in zip(behind, raw, strict=True))
        return [mp.fsum(terms)]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        value, result = StickBreakingSimplex.forward(spec, raw), []
        for k, share in enumerate(StickBreakingSimplex.shares(raw)):
            behind = zip(value[k + 1 :], cotangent[k + 1 :], strict=True)
            result.append(share * mp.fsum(y * (cotangent[k] - w) for y, w in behind))
        return result

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        shares = StickBreakingSimplex.shares(raw)
        return [1 - (m + 1) * share for m, share in zip(range(len(raw), 0, -1), shares, strict=True)]


@formula_of(iso.SoftmaxSimplex)
class SoftmaxSimplex:
    """softmax of raw, with a 0 behind it where the last weight is the reference."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        weights = [mp.exp(x) for x in (raw if spec.reference is None else [*raw, mp.mpf(0)])]
        return [weight / mp.fsum(weights) for weight in weights]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return [mp.log(y) for y in value] if spec.reference is None else [mp.log(y / value[-1]) for y in value[:-1]]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        return [mp.fsum(mp.log(y) for y in SoftmaxSimplex.forward(spec, raw))]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        value = SoftmaxSimplex.forward(spec, raw)
        mean = mp.fdot(value, cotangent)
        return [y * (w - mean) for y, w in zip(value, cotangent, strict=True)][: len(raw)]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return [1 - (len(raw) + 1) * y for y in SoftmaxSimplex.forward(spec, raw)[:-1]]


@formula_of(iso.OrderedInterval)
class OrderedInterval:
    """Gaps between the bounds: the smallest one, and a share of what is left, the shares on a simplex."""

    @staticmethod
    def room(spec: Any, count: int) -> mp.mpf:
        return mp.mpf(spec.high) - mp.mpf(spec.low) - (count + 1) * mp.mpf(spec.min_gap)

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        shares = Simplex.forward(spec, raw)
        room, gap = OrderedInterval.room(spec, len(raw)), mp.mpf(spec.min_gap)
        return [mp.mpf(spec.low) + k * gap + room * mp.fsum(shares[:k]) for k in range(1, len(shares))]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        ends = [mp.mpf(spec.low), *value, mp.mpf(spec.high)]
        return Simplex.inverse(spec, [b - a - mp.mpf(spec.min_gap) for a, b in pairwise(ends)])

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        return [len(raw) * mp.log(OrderedInterval.room(spec, len(raw))) + Simplex.log_abs_det(spec, raw)[0]]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        # Share j moves all entries from the j-th on.
        room = OrderedInterval.room(spec, len(raw))
        return Simplex.pullback(spec, raw, [room * mp.fsum(cotangent[j:]) for j in range(len(raw) + 1)])

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return Simplex.log_abs_det_gradient(spec, raw)
