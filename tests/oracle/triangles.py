"""The formulas of the triangular, symmetric and skew-symmetric matrices."""

from math import isqrt
from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of


def lower(raw: list) -> list:
    """The rows of the square matrix whose lower triangle is filled row by row."""
    n = (isqrt(8 * len(raw) + 1) - 1) // 2
    return [[raw[i * (i + 1) // 2 + j] if j <= i else mp.mpf(0) for j in range(n)] for i in range(n)]


def strict(raw: list) -> list:
    """The rows of the square matrix that is filled row by row below its diagonal."""
    n = (isqrt(8 * len(raw) + 1) + 1) // 2
    return [[raw[i * (i - 1) // 2 + j] if j < i else mp.mpf(0) for j in range(n)] for i in range(n)]


def flat(rows: list) -> list:
    """The entries of a matrix, row by row."""
    return [entry for row in rows for entry in row]


def entries(rows: list, below: int) -> list:
    """The lower triangle, row by row, from the diagonal (0) or from below it (1)."""
    return [row[j] for i, row in enumerate(rows) for j in range(i + 1 - below)]


class Flat:
    """What the three share: raw entries are copied, so the volume is 1."""

    log_abs_det = staticmethod(lambda spec, raw: [mp.mpf(0)])
    log_abs_det_gradient = staticmethod(lambda spec, raw: [mp.mpf(0) for _ in raw])


@formula_of(iso.LowerTriangular)
class LowerTriangular(Flat):
    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        if spec.diagonal == "free":
            return flat(lower(raw))
        unit = mp.mpf(spec.diagonal == "unit")
        return [unit if i == j else entry for i, row in enumerate(strict(raw)) for j, entry in enumerate(row)]

    inverse = staticmethod(lambda spec, value: entries(value, int(spec.diagonal != "free")))
    pullback = staticmethod(lambda spec, raw, cotangent: entries(cotangent, int(spec.diagonal != "free")))


@formula_of(iso.Symmetric)
class Symmetric(Flat):
    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        rows = lower(raw)
        return [rows[max(i, j)][min(i, j)] for i in range(len(rows)) for j in range(len(rows))]

    inverse = staticmethod(lambda spec, value: entries(value, 0))

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        n = len(cotangent)
        return [cotangent[i][j] + (cotangent[j][i] if i != j else 0) for i in range(n) for j in range(i + 1)]


@formula_of(iso.SkewSymmetric)
class SkewSymmetric(Flat):
    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        rows = strict(raw)
        return [rows[i][j] - rows[j][i] for i in range(len(rows)) for j in range(len(rows))]

    inverse = staticmethod(lambda spec, value: entries(value, 1))

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return [cotangent[i][j] - cotangent[j][i] for i in range(len(cotangent)) for j in range(i)]
