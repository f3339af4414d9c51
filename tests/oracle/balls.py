"""The formulas of the balls."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of


def sign(x: mp.mpf) -> int:
    """-1, 0 or 1."""
    return int(x > 0) - int(x < 0)


def sech2(x: mp.mpf) -> mp.mpf:
    return 1 / mp.cosh(x) ** 2


class Radial:
    """radius f(rho) raw, with rho a norm of raw, f rho the new length and n its gradient."""

    link_powers: dict[str, Any]
    radius = staticmethod(lambda spec, raw: mp.mpf(spec.radius))

    @classmethod
    def stretch(cls, spec: Any, rho: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        """f, and the derivative of f rho."""
        if spec.link == "tanh":
            return (mp.tanh(rho) / rho if rho else mp.mpf(1)), sech2(rho)
        return cls.alg(rho)

    @classmethod
    def forward(cls, spec: Any, raw: list) -> list:
        f, _ = cls.stretch(spec, cls.rho(raw))
        return [cls.radius(spec, raw) * f * x for x in raw]

    @classmethod
    def inverse(cls, spec: Any, value: list) -> list:
        inside = [v / cls.radius(spec, value) for v in value]
        length = cls.rho(inside)
        if length >= 1:
            return [mp.nan for _ in value]
        rho = mp.atanh(length) if spec.link == "tanh" else cls.alg_inverse(length)
        return [v * (rho / length if length else 1) for v in inside]

    @classmethod
    def log_abs_det(cls, spec: Any, raw: list) -> list:
        n = len(raw)
        f, slope = cls.stretch(spec, cls.rho(raw))
        return [n * mp.log(cls.radius(spec, raw)) + (n - 1) * mp.log(f) + mp.log(slope)]

    @classmethod
    def pullback(cls, spec: Any, raw: list, cotangent: list) -> list:
        rho = cls.rho(raw)
        f, slope = cls.stretch(spec, rho)
        along = mp.fdot(raw, cotangent) / rho if rho else mp.mpf(0)
        return [
            cls.radius(spec, raw) * (f * w + (slope - f) * n * along) for w, n in zip(cotangent, cls.normal(raw), strict=True)
        ]

    @classmethod
    def log_abs_det_gradient(cls, spec: Any, raw: list) -> list:
        rho, n = cls.rho(raw), len(raw)
        if not rho:
            return [mp.mpf(0) for _ in raw]
        k = -2 * mp.tanh(rho) + (n - 1) * (2 / mp.sinh(2 * rho) - 1 / rho) if spec.link == "tanh" else cls.alg_log_slope(rho, n)
        return [k * entry for entry in cls.normal(raw)]


@formula_of(iso.L2Ball)
class L2Ball(Radial):
    rho = staticmethod(lambda raw: mp.sqrt(mp.fdot(raw, raw)))
    alg = staticmethod(lambda rho: (1 / mp.sqrt(1 + rho**2), (1 + rho**2) ** mp.mpf(-1.5)))
    alg_inverse = staticmethod(lambda length: length / mp.sqrt(1 - length**2))
    alg_log_slope = staticmethod(lambda rho, n: -(n + 2) * rho / (1 + rho**2))

    @staticmethod
    def normal(raw: list) -> list:
        rho = L2Ball.rho(raw)
        return [x / rho if rho else mp.mpf(0) for x in raw]


@formula_of(iso.L1Ball)
class L1Ball(Radial):
    """Also "stick": value_k = radius t_k prod_{j<k} (1 - |t_j|), t = tanh(raw)."""

    rho = staticmethod(lambda raw: mp.fsum(abs(x) for x in raw))
    alg = staticmethod(lambda rho: (1 / (1 + rho), (1 + rho) ** -2))
    alg_inverse = staticmethod(lambda length: length / (1 - length))
    alg_log_slope = staticmethod(lambda rho, n: -(n + 1) / (1 + rho))
    normal = staticmethod(lambda raw: [sign(x) for x in raw])

    @staticmethod
    def pieces(raw: list) -> tuple[list, list]:
        """What is left of the radius 1 before each entry, and the entries."""
        left, lefts, value = mp.mpf(1), [], []
        for x in raw:
            lefts.append(left)
            value.append(mp.tanh(x) * left)
            left *= 1 - abs(mp.tanh(x))
        return lefts, value

    @classmethod
    def forward(cls, spec: Any, raw: list) -> list:
        if spec.link != "stick":
            return super().forward(spec, raw)
        return [cls.radius(spec, raw) * entry for entry in cls.pieces(raw)[1]]

    @classmethod
    def inverse(cls, spec: Any, value: list) -> list:
        if spec.link != "stick":
            return super().inverse(spec, value)
        left, raw = cls.radius(spec, value), []
        for v in value:
            raw.append(mp.atanh(v / left) if abs(v) < left else mp.nan)
            left -= abs(v)
        return raw

    @classmethod
    def log_abs_det(cls, spec: Any, raw: list) -> list:
        if spec.link != "stick":
            return super().log_abs_det(spec, raw)
        n = len(raw)
        terms = (mp.log(sech2(x)) + (n - k) * mp.log(1 - abs(mp.tanh(x))) for k, x in enumerate(raw, start=1))
        return [n * mp.log(cls.radius(spec, raw)) + mp.fsum(terms)]

    @classmethod
    def pullback(cls, spec: Any, raw: list, cotangent: list) -> list:
        if spec.link != "stick":
            return super().pullback(spec, raw, cotangent)
        lefts, value = cls.pieces(raw)
        result = []
        for k, x in enumerate(raw):
            behind = mp.fdot(value[k + 1 :], cotangent[k + 1 :])  # each holds a factor 1 - |tanh x|
            result.append(lefts[k] * sech2(x) * cotangent[k] - sign(x) * (1 + abs(mp.tanh(x))) * behind)
        return [cls.radius(spec, raw) * entry for entry in result]

    @classmethod
    def log_abs_det_gradient(cls, spec: Any, raw: list) -> list:
        if spec.link != "stick":
            return super().log_abs_det_gradient(spec, raw)
        n = len(raw)
        return [-2 * mp.tanh(x) - (n - k) * sign(x) * (1 + abs(mp.tanh(x))) for k, x in enumerate(raw, start=1)]


@formula_of(iso.LInfBall)
class LInfBall:
    """radius tanh(raw_k)."""

    forward = staticmethod(lambda spec, raw: [mp.mpf(spec.radius) * mp.tanh(x) for x in raw])
    inverse = staticmethod(
        lambda spec, value: [mp.atanh(v / mp.mpf(spec.radius)) if abs(v) < spec.radius else mp.nan for v in value]
    )
    log_abs_det = staticmethod(
        lambda spec, raw: [len(raw) * mp.log(mp.mpf(spec.radius)) + mp.fsum(mp.log(sech2(x)) for x in raw)]
    )
    log_abs_det_gradient = staticmethod(lambda spec, raw: [-2 * mp.tanh(x) for x in raw])

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return [mp.mpf(spec.radius) * sech2(x) * w for x, w in zip(raw, cotangent, strict=True)]
