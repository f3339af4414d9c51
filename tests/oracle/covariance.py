"""The formulas of the covariance matrices and their factors."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.scalar import link, link_inverse, link_log_slope, link_log_slope_slope, link_slope
from oracle.triangles import entries, flat, lower


def linked(spec: Any, raw: list) -> list:
    """The rows of the square factor: the link on the diagonal."""
    return [[link(spec.link, entry) if i == j else entry for j, entry in enumerate(row)] for i, row in enumerate(lower(raw))]


def diagonal(raw: list) -> list:
    """The raw entries of the diagonal."""
    return [row[i] for i, row in enumerate(lower(raw))]


def only_diagonal(raw: list, change: list) -> list:
    """A flat triangle of zeros but for its diagonal."""
    n = len(change)
    return [change[i] if i == j else mp.mpf(0) for i in range(n) for j in range(i + 1)]


def times_slopes(spec: Any, raw: list, change: list) -> list:
    """A flat triangle with its diagonal times the slopes of the link."""
    slopes = only_diagonal(raw, [link_slope(spec.link, entry) for entry in diagonal(raw)])
    on = only_diagonal(raw, [mp.mpf(1)] * len(diagonal(raw)))
    return [w * slope if here else w for w, slope, here in zip(change, slopes, on, strict=True)]


def gram(rows: list) -> list:
    """x x^T, flat."""
    return [mp.fdot(a, b) for a in rows for b in rows]


def gram_pullback(rows: list, cotangent: list) -> list:
    """(W + W^T) x, as rows."""
    n, columns = len(rows), list(zip(*rows, strict=True))
    return [[mp.fdot([cotangent[i][m] + cotangent[m][i] for m in range(n)], column) for column in columns] for i in range(n)]


@formula_of(iso.CholeskyCovariance)
class CholeskyCovariance:
    """The square part, then full rows."""

    @staticmethod
    def count(spec: Any, raw: list) -> int:
        n = spec.columns
        return len(raw) if n is None else n * (n + 1) // 2

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        count = CholeskyCovariance.count(spec, raw)
        return flat(linked(spec, raw[:count])) + raw[count:]

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        n = len(value[0])
        square = [[link_inverse(spec.link, y) if i == j else y for j, y in enumerate(row)] for i, row in enumerate(value[:n])]
        return entries(square, 0) + flat(value[n:])

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        count, n = CholeskyCovariance.count(spec, raw), len(cotangent[0])
        return times_slopes(spec, raw[:count], entries(cotangent[:n], 0)) + flat(cotangent[n:])

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        inner = diagonal(raw[: CholeskyCovariance.count(spec, raw)])
        return [mp.fsum(link_log_slope(spec.link, entry) for entry in inner)]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        count = CholeskyCovariance.count(spec, raw)
        change = [link_log_slope_slope(spec.link, entry) for entry in diagonal(raw[:count])]
        return only_diagonal(raw[:count], change) + [mp.mpf(0) for _ in raw[count:]]


@formula_of(iso.Covariance)
class Covariance:
    """L L^T with the L of above; the volume of L -> L L^T is 2^n prod_k L_kk^(n - k + 1)."""

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return gram(linked(spec, raw))

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        n = len(value)
        factor = [[mp.mpf(0)] * n for _ in range(n)]
        for i in range(n):
            for j in range(i):
                factor[i][j] = (value[i][j] - mp.fdot(factor[i][:j], factor[j][:j])) / factor[j][j]
            factor[i][i] = mp.sqrt(value[i][i] - mp.fdot(factor[i][:i], factor[i][:i]))
        return CholeskyCovariance.inverse(spec, factor)

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return times_slopes(spec, raw, entries(gram_pullback(linked(spec, raw), cotangent), 0))

    @staticmethod
    def log_abs_det(spec: Any, raw: list) -> list:
        inner = diagonal(raw)
        n = len(inner)
        powers = mp.fsum((n - k) * mp.log(link(spec.link, entry)) for k, entry in enumerate(inner))
        return [n * mp.log(2) + powers + mp.fsum(link_log_slope(spec.link, entry) for entry in inner)]

    @staticmethod
    def log_abs_det_gradient(spec: Any, raw: list) -> list:
        inner = diagonal(raw)
        change = [
            (len(inner) - k) * link_slope(spec.link, x) / link(spec.link, x) + link_log_slope_slope(spec.link, x)
            for k, x in enumerate(inner)
        ]
        return only_diagonal(raw, change)


@formula_of(iso.LowRankCovariance)
class LowRankCovariance:
    """B B^T; of all B the one with orthogonal columns, longest first, the largest entry of each positive."""

    forward = staticmethod(lambda spec, raw: gram(raw))
    pullback = staticmethod(lambda spec, raw, cotangent: flat(gram_pullback(raw, cotangent)))

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        n = len(value)
        values, vectors = mp.eigsy(mp.matrix(value))
        columns = []
        for k in reversed(range(n - spec.rank, n)):
            column = [vectors[i, k] for i in range(n)]
            sign = mp.sign(max(column, key=abs))
            columns.append([sign * mp.sqrt(max(values[k], mp.mpf(0))) * entry for entry in column])
        return [column[i] for i in range(n) for column in columns]
