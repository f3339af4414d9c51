"""The formulas of the structure specs, from those of their parts. Bounds of the parts are numbers that every dtype holds."""

from typing import Any

import mpmath as mp
import numpy as np

import isoparam as iso
from oracle.exact import FORMULAS, formula_of

BOUNDS = ("low", "high", "bound", "loc", "scale")


def of_part(part: Any, verb: str, *vectors: list) -> list:
    """A formula of one part: a scalar spec is asked with a bound for each entry."""
    given = [getattr(part, name) for name in BOUNDS if part.kind == "scalar" and name in vars(part)]
    return getattr(FORMULAS[type(part)], verb)(part, *vectors, *([mp.mpf(bound)] * len(vectors[0]) for bound in given))


def flat(rows: list) -> list:
    return [entry for row in rows for entry in row] if rows and isinstance(rows[0], list) else rows


@formula_of(iso.Compose)
class Compose:
    """One map after another, by the chain rule."""

    @staticmethod
    def points(spec: Any, raw: list) -> list[list]:
        """What each part is given, the last part first, and then the value."""
        points = [raw]
        for part in reversed(spec.specs):
            points.append(of_part(part, "forward", points[-1]))
        return points

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return Compose.points(spec, raw)[-1]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        for part in spec.specs:
            value = of_part(part, "inverse", value)
        return value

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        points = Compose.points(spec, raw)
        terms = [of_part(part, "log_abs_det", x) for part, x in zip(reversed(spec.specs), points[:-1], strict=True)]
        if spec.kind == "scalar":
            return [mp.fsum(entries) for entries in zip(*terms, strict=True)]
        # A map onto a set without an interior stands below similarities only, which scale each free dimension alike.
        thin = [len(x) > len(raw) for x in points[:-1]]
        return [mp.fsum(len(raw) * term[0] if less else mp.fsum(term) for term, less in zip(terms, thin, strict=True))]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        for part, x in zip(spec.specs, reversed(Compose.points(spec, raw)[:-1]), strict=True):
            cotangent = of_part(part, "pullback", x, cotangent)
        return cotangent

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        total = [mp.mpf(0)] * len(raw)
        points = Compose.points(spec, raw)
        for level, x in enumerate(points[:-1]):
            slope = of_part(spec.specs[-1 - level], "log_abs_det_gradient", x)
            for part, below in zip(spec.specs[len(spec.specs) - level :], reversed(points[:level]), strict=True):
                slope = of_part(part, "pullback", below, slope)
            total = [a + b for a, b in zip(total, slope, strict=True)]
        return total


class Blocks:
    """Parts side by side; a subclass cuts raw and value into those of the parts."""

    @classmethod
    def each(cls, spec: Any, verb: str, *vectors: tuple[list, str]) -> list[list]:
        parts = zip(spec.specs, *(cls.cut(spec, vector, of) for vector, of in vectors), strict=True)
        return [of_part(part, verb, *given) for part, *given in parts]

    @classmethod
    def forward(cls, spec: Any, raw: list) -> list:
        return flat(cls.each(spec, "forward", (raw, "raw")))

    @classmethod
    def inverse(cls, spec: Any, value: list) -> list:
        return flat(cls.each(spec, "inverse", (value, "value")))

    @classmethod
    def log_abs_det(cls, spec: Any, raw: list) -> list:
        return [mp.fsum(flat(cls.each(spec, "log_abs_det", (raw, "raw"))))]

    @classmethod
    def pullback(cls, spec: Any, raw: list, cotangent: list) -> list:
        return flat(cls.each(spec, "pullback", (raw, "raw"), (cotangent, "value")))

    @classmethod
    def log_abs_det_gradient(cls, spec: Any, raw: list) -> list:
        return flat(cls.each(spec, "log_abs_det_gradient", (raw, "raw")))


@formula_of(iso.Concatenate)
class Concatenate(Blocks):
    @staticmethod
    def cut(spec: Any, vector: list, of: str) -> list[list]:
        sizes = (
            spec.sizes if of == "value" else [part.raw_shape((n,))[0] for part, n in zip(spec.specs, spec.sizes, strict=True)]
        )
        ends = np.cumsum(sizes)
        return [vector[end - size : end] for end, size in zip(ends, sizes, strict=True)]


@formula_of(iso.Stack)
class Stack(Blocks):
    """Entries of a vector, or rows of a matrix."""

    @staticmethod
    def cut(spec: Any, vector: list, of: str) -> list[list]:
        return [part if isinstance(part, list) else [part] for part in vector]


@formula_of(iso.Masked)
class Masked:
    """A scalar spec on the free entries, row by row."""

    @staticmethod
    def free(spec: Any, value: list) -> list:
        return [entry for entry, free in zip(flat(value), np.ravel(spec.mask), strict=True) if free]

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        entries = iter(of_part(spec.spec, "forward", raw))
        return [next(entries) if free else mp.mpf(spec.fill) for free in np.ravel(spec.mask)]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return of_part(spec.spec, "inverse", Masked.free(spec, value))

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        return [mp.fsum(of_part(spec.spec, "log_abs_det", raw))]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return of_part(spec.spec, "pullback", raw, Masked.free(spec, cotangent))

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return of_part(spec.spec, "log_abs_det_gradient", raw)
