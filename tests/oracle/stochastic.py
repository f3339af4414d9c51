"""The formulas of the matrices whose rows or columns are constrained."""

from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of
from oracle.vector import Simplex


def turned(rows: list) -> list:
    """Columns as rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def flat(rows: list) -> list:
    return [entry for row in rows for entry in row]


class Rows:
    """A simplex in each row; results as rows."""

    @staticmethod
    def forward(raw: list) -> list:
        return [Simplex.forward(None, row) for row in raw]

    @staticmethod
    def inverse(value: list) -> list:
        return [Simplex.inverse(None, row) for row in value]

    @staticmethod
    def log_abs_det(raw: list) -> list:
        return [mp.fsum(Simplex.log_abs_det(None, row)[0] for row in raw)]

    @staticmethod
    def pullback(raw: list, cotangent: list) -> list:
        return [Simplex.pullback(None, row, weights) for row, weights in zip(raw, cotangent, strict=True)]

    @staticmethod
    def log_abs_det_gradient(raw: list) -> list:
        return [Simplex.log_abs_det_gradient(None, row) for row in raw]


@formula_of(iso.RowStochastic)
class RowStochastic:
    forward = staticmethod(lambda spec, raw: flat(Rows.forward(raw)))
    inverse = staticmethod(lambda spec, value: flat(Rows.inverse(value)))
    log_abs_det = staticmethod(lambda spec, raw: Rows.log_abs_det(raw))
    pullback = staticmethod(lambda spec, raw, cotangent: flat(Rows.pullback(raw, cotangent)))
    log_abs_det_gradient = staticmethod(lambda spec, raw: flat(Rows.log_abs_det_gradient(raw)))


@formula_of(iso.ColumnStochastic)
class ColumnStochastic:
    forward = staticmethod(lambda spec, raw: flat(turned(Rows.forward(turned(raw)))))
    inverse = staticmethod(lambda spec, value: flat(turned(Rows.inverse(turned(value)))))
    log_abs_det = staticmethod(lambda spec, raw: Rows.log_abs_det(turned(raw)))
    pullback = staticmethod(lambda spec, raw, cotangent: flat(turned(Rows.pullback(turned(raw), turned(cotangent)))))
    log_abs_det_gradient = staticmethod(lambda spec, raw: flat(turned(Rows.log_abs_det_gradient(turned(raw)))))


@formula_of(iso.SumToZeroMatrix)
class SumToZeroMatrix:
    """A^T raw B with two Helmert matrices."""

    @staticmethod
    def both_ways(rows: list, one_way: Any) -> list:
        return turned([one_way(column) for column in turned([one_way(row) for row in rows])])

    @staticmethod
    def forward(spec: Any, raw: list) -> list:
        return flat(SumToZeroMatrix.both_ways(raw, Simplex.helmert_transposed))

    @staticmethod
    def inverse(spec: Any, value: list) -> list:
        return flat(SumToZeroMatrix.both_ways(value, Simplex.helmert))

    @staticmethod
    def pullback(spec: Any, raw: list, cotangent: list) -> list:
        return flat(SumToZeroMatrix.both_ways(cotangent, Simplex.helmert))

    log_abs_det = staticmethod(lambda spec, raw: [mp.mpf(0)])
    log_abs_det_gradient = staticmethod(lambda spec, raw: [mp.mpf(0) for _ in flat(raw)])
