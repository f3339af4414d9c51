"""The formulas of the weights with a norm."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.balls import L2Ball
from oracle.exact import formula_of
from oracle.vector import UnitVector


def flat(value: list) -> list:
    """The entries of a vector, or of a matrix row by row."""
    return [entry for row in value for entry in row] if isinstance(value[0], list) else value


@formula_of(iso.UnitNorm)
class UnitNorm:
    """A unit vector of all entries of the slice."""

    forward = staticmethod(lambda spec, raw: UnitVector.forward(spec, flat(raw)))
    inverse = staticmethod(lambda spec, value: flat(value))
    log_abs_det = staticmethod(lambda spec, raw: UnitVector.log_abs_det(spec, flat(raw)))
    pullback = staticmethod(lambda spec, raw, cotangent: UnitVector.pullback(spec, flat(raw), flat(cotangent)))
    log_abs_det_gradient = staticmethod(lambda spec, raw: UnitVector.log_abs_det_gradient(spec, flat(raw)))


@formula_of(iso.MaxNorm)
class MaxNorm:
    """A point of the ball in norm 2, of all entries of the slice."""

    forward = staticmethod(lambda spec, raw: L2Ball.forward(spec.ball, flat(raw)))
    inverse = staticmethod(lambda spec, value: L2Ball.inverse(spec.ball, flat(value)))
    log_abs_det = staticmethod(lambda spec, raw: L2Ball.log_abs_det(spec.ball, flat(raw)))
    pullback = staticmethod(lambda spec, raw, cotangent: L2Ball.pullback(spec.ball, flat(raw), flat(cotangent)))
    log_abs_det_gradient = staticmethod(lambda spec, raw: L2Ball.log_abs_det_gradient(spec.ball, flat(raw)))


@formula_of(iso.WeightNorm)
class WeightNorm:
    """The last number times a unit vector of the others."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return [raw[-1] * entry for entry in UnitVector.forward(spec, raw[:-1])]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return [*value, UnitVector.length(value)]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        turned = UnitVector.pullback(spec, raw[:-1], cotangent)
        return [*(raw[-1] * entry for entry in turned), mp.fdot(UnitVector.forward(spec, raw[:-1]), cotangent)]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        raise NotImplementedError("raw has one number more than the value")

    log_abs_det_gradient = log_abs_det


@formula_of(iso.SpectralNorm)
class SpectralNorm:
    """bound X/s, s^2 the largest eigenvalue of X^T X; bound in the first entry, with derivative 0, where X is 0."""

    @staticmethod
    def largest(x: mp.matrix) -> tuple[mp.mpf, mp.matrix]:
        """The largest singular value and its derivative u v^T."""
        squares, vectors = mp.eigsy(x.T * x)
        size, v = mp.sqrt(squares[x.cols - 1]), vectors[:, x.cols - 1]
        return size, (x * v / size) * v.T

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        x = mp.matrix(raw)
        if not any(flat(raw)):
            return [mp.mpf(spec.bound), *(mp.mpf(0) for _ in flat(raw)[1:])]
        return flat((x * spec.bound / SpectralNorm.largest(x)[0]).tolist())

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return flat(value)

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        if not any(flat(raw)) or len(flat(raw)) == 1:
            return [mp.mpf(0) for _ in flat(raw)]
        x, w = mp.matrix(raw), mp.matrix(cotangent)
        size, slope = SpectralNorm.largest(x)
        along = mp.fdot(flat(raw), flat(cotangent)) / size
        return flat(((w - slope * along) * spec.bound / size).tolist())

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        raise NotImplementedError("the size of raw has no influence")

    log_abs_det_gradient = log_abs_det
