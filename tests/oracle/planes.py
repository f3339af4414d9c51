"""The formulas of the plane and the half space, with the whole reflection as a matrix."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.scalar import link, link_inverse, link_log_slope, link_log_slope_slope, link_slope


class Frame:
    """Normal and offset, the entry p of the largest size, and the reflection 1 - 2 w w^T/|w|^2, w = a/|a| + sign(a_p) e_p."""

    def __init__(self, spec: Any) -> None:
        self.a = [mp.mpf(float(entry)) for entry in spec.normal.data]
        self.length = mp.sqrt(mp.fdot(self.a, self.a))
        self.p = max(range(len(self.a)), key=lambda k: (abs(self.a[k]), -k))
        self.side = 1 if self.a[self.p] > 0 else -1
        self.foot = [mp.mpf(spec.offset) * entry / self.length**2 for entry in self.a]
        self.w = [entry / self.length + (self.side if k == self.p else 0) for k, entry in enumerate(self.a)]

    def mirrored(self, x: list) -> list:
        factor = 2 * mp.fdot(self.w, x) / mp.fdot(self.w, self.w)
        return [entry - factor * w for entry, w in zip(x, self.w, strict=True)]

    def onto(self, x: list) -> list:
        return [entry + foot for entry, foot in zip(self.mirrored(x), self.foot, strict=True)]


@formula_of(iso.Hyperplane)
class Hyperplane:
    """foot + reflection of raw with 0 as entry p."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        frame = Frame(spec)
        return frame.onto([*raw[: frame.p], mp.mpf(0), *raw[frame.p :]])

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        frame = Frame(spec)
        mirrored = frame.mirrored([v - foot for v, foot in zip(value, frame.foot, strict=True)])
        return mirrored[: frame.p] + mirrored[frame.p + 1 :]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        frame = Frame(spec)
        mirrored = frame.mirrored(cotangent)
        return mirrored[: frame.p] + mirrored[frame.p + 1 :]

    log_abs_det = staticmethod(lambda spec, raw: [mp.mpf(0)])
    log_abs_det_gradient = staticmethod(lambda spec, raw: [mp.mpf(0) for _ in raw])


@formula_of(iso.HalfSpace)
class HalfSpace:
    """foot + reflection of raw with sign(a_p) link(raw_p) as entry p, which the reflection turns into -link(raw_p) a/|a|."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        frame = Frame(spec)
        depth = frame.side * link(spec.link, raw[frame.p])
        return frame.onto([*raw[: frame.p], depth, *raw[frame.p + 1 :]])

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        frame = Frame(spec)
        below = (mp.mpf(spec.offset) - mp.fdot(frame.a, value)) / frame.length
        mirrored = frame.mirrored(value)
        mirrored[frame.p] = link_inverse(spec.link, below) if below > 0 else mp.nan
        return mirrored

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        frame = Frame(spec)
        mirrored = frame.mirrored(cotangent)
        mirrored[frame.p] *= frame.side * link_slope(spec.link, raw[frame.p])
        return mirrored

    log_abs_det = staticmethod(lambda spec, raw: [link_log_slope(spec.link, raw[Frame(spec).p])])

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        p = Frame(spec).p
        return [link_log_slope_slope(spec.link, x) if k == p else mp.mpf(0) for k, x in enumerate(raw)]
