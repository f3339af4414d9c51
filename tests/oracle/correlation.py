"""The formulas of correlation matrices and their Cholesky factors."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.triangles import entries, flat, strict


def factor(spec: Any, raw: list) -> list:
    """The rows of the Cholesky factor."""
    rows = strict(raw)
    result = []
    for i, row in enumerate(rows):
        if spec.link == "row":
            length = mp.sqrt(1 + mp.fsum(x * x for x in row))
            result.append([(row[j] if j < i else mp.mpf(j == i)) / length for j in range(len(rows))])
        else:
            left = [mp.mpf(1)]
            for x in row[:i]:
                left.append(left[-1] * mp.sech(x))
            result.append([left[j] * mp.tanh(row[j]) if j < i else left[i] * (j == i) for j in range(len(rows))])
    return result


def factor_pullback(spec: Any, raw: list, cotangent: list) -> list:
    """J^T w, row by row: each row of the factor comes from its own raw entries."""
    rows, values = strict(raw), factor(spec, raw)
    result = []
    for i, (row, value, w) in enumerate(zip(rows, values, cotangent, strict=True)):
        for j in range(i):
            if spec.link == "row":  # d v_k / d x_j = (delta_kj - v_k v_j) / length, and 1 / length is v_i
                result.append((w[j] - value[j] * mp.fsum(w[k] * value[k] for k in range(i + 1))) * value[i])
            else:
                left = mp.fprod(mp.sech(x) for x in row[:j])
                behind = mp.fsum(w[k] * value[k] for k in range(j + 1, i + 1))
                result.append(w[j] * left * mp.sech(row[j]) ** 2 - mp.tanh(row[j]) * behind)
    return result


def volume(spec: Any, raw: list, weight: Any) -> mp.mpf:
    """The sum over the rows of weight(K, i, j) times log(1 + |x_i|^2), or of log sech(x_ij)^2."""
    rows = strict(raw)
    total = mp.mpf(0)
    for i, row in enumerate(rows):
        if spec.link == "row":
            total += weight(len(rows), i, None) * mp.log(1 + mp.fsum(x * x for x in row))
        else:
            total += mp.fsum(weight(len(rows), i, j) * 2 * mp.log(mp.sech(row[j])) for j in range(i))
    return total


def volume_gradient(spec: Any, raw: list, weight: Any) -> list:
    """Its derivative."""
    rows = strict(raw)
    result = []
    for i, row in enumerate(rows):
        length = 1 + mp.fsum(x * x for x in row)
        for j in range(i):
            if spec.link == "row":
                result.append(weight(len(rows), i, None) * 2 * row[j] / length)
            else:
                result.append(-2 * weight(len(rows), i, j) * mp.tanh(row[j]))
    return result


def to_raw(spec: Any, rows: list) -> list:
    """The raw of a factor, used as it is given."""
    if spec.link == "row":
        return entries([[entry / row[i] for entry in row] for i, row in enumerate(rows)], 1)
    result = []
    for i, row in enumerate(rows):
        for j in range(i):
            length = mp.sqrt(mp.fsum(entry * entry for entry in row[j + 1 : i + 1]))
            result.append(mp.asinh(row[j] / length))
    return result


def of_factor(side: int, i: int, j: int | None) -> mp.mpf:
    """What a row, or an entry, counts in the volume of the factor."""
    return -mp.mpf(i + 2) / 2 if j is None else 1 + mp.mpf(i - 1 - j) / 2


def of_correlation(side: int, i: int, j: int | None) -> mp.mpf:
    """The same, plus K - k times the share of log L_kk."""
    more = mp.mpf(side - 1 - i) / 2
    return of_factor(side, i, j) + (-more if j is None else more)


@formula_of(iso.CholeskyCorrelation)
class CholeskyCorrelation:
    forward = staticmethod(lambda spec, raw: flat(factor(spec, raw)))
    inverse = staticmethod(to_raw)
    log_abs_det = staticmethod(lambda spec, raw: [volume(spec, raw, of_factor)])
    pullback = staticmethod(factor_pullback)
    log_abs_det_gradient = staticmethod(lambda spec, raw: volume_gradient(spec, raw, of_factor))


@formula_of(iso.Correlation)
class Correlation:
    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        rows = factor(spec, raw)
        n = len(rows)
        return [
            mp.mpf(1) if i == j else mp.fsum(a * b for a, b in zip(rows[i], rows[j], strict=True))
            for i in range(n)
            for j in range(n)
        ]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        n = len(value)
        rows = [[mp.mpf(0)] * n for _ in range(n)]
        for i in range(n):
            for j in range(i + 1):
                rest = value[i][j] - mp.fsum(rows[i][k] * rows[j][k] for k in range(j))
                rows[i][j] = mp.sqrt(rest) if i == j else rest / rows[j][j]
        return to_raw(spec, rows)

    log_abs_det = staticmethod(lambda spec, raw: [volume(spec, raw, of_correlation)])

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        rows = factor(spec, raw)
        n = len(rows)
        both = [[(cotangent[i][j] + cotangent[j][i]) * (i != j) for j in range(n)] for i in range(n)]
        moved = [[mp.fsum(both[i][k] * rows[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
        return factor_pullback(spec, raw, moved)

    log_abs_det_gradient = staticmethod(lambda spec, raw: volume_gradient(spec, raw, of_correlation))
