"""The formulas of the vector specs."""

from itertools import pairwise
from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.scalar import link, link_inverse, link_log_slope, link_log_slope_slope, link_slope


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
