"""The formulas of autoregressive coefficients."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of


@formula_of(iso.StationaryAR)
class StationaryAR:
    """r = tanh(raw); phi_j <- phi_j - r_k phi_{k-j}, phi_k = r_k."""

    @staticmethod
    def states(raw: list) -> list[list]:
        """The coefficients of every order from 0 on."""
        states: list[list] = [[]]
        for r in map(mp.tanh, raw):
            phi = states[-1]
            states.append([a - r * b for a, b in zip(phi, reversed(phi), strict=True)] + [r])
        return states

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return StationaryAR.states(raw)[-1]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        raw = []
        while value:
            *phi, r = value
            if abs(r) >= 1:
                return [mp.nan] * (len(raw) + len(value))
            raw.append(mp.atanh(r))
            value = [(a + r * b) / (1 - r**2) for a, b in zip(phi, reversed(phi), strict=True)]
        return raw[::-1]

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        # 1 -/+ tanh x = 2/(1 + exp(+/-2x)), where far out 1 - tanh x would be 0
        less = [mp.log(2) - mp.log1p(mp.exp(2 * x)) for x in raw]
        more = [mp.log(2) - mp.log1p(mp.exp(-2 * x)) for x in raw]
        each = zip(less, more, strict=True)
        return [mp.fsum((1 + k // 2) * a + (1 + (k - 1) // 2) * b for k, (a, b) in enumerate(each, start=1))]

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        # Back through phi_j = a_j - r a_{k-j}, phi_k = r: the cotangents of r and of a.
        states, result, weights = StationaryAR.states(raw), [], cotangent
        for x, phi in zip(reversed(raw), reversed(states[:-1]), strict=True):
            *weights, last = weights
            result.append((1 - mp.tanh(x) ** 2) * (last - mp.fdot(weights, phi[::-1])))
            weights = [w - mp.tanh(x) * v for w, v in zip(weights, reversed(weights), strict=True)]
        return result[::-1]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        return [(k // 2 - (k - 1) // 2) * -1 - (2 + k // 2 + (k - 1) // 2) * mp.tanh(x) for k, x in enumerate(raw, start=1)]
