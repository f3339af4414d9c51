"""The formulas of the orthogonal matrices: Cayley transform, exponential, products of reflections."""

from collections.abc import Callable
from typing import Any

import mpmath as mp

import isoparam as iso
from oracle.exact import formula_of


def side_of(count: int) -> int:
    """n of a strict triangle with this many entries."""
    return next(n for n in range(1, 100) if n * (n - 1) // 2 == count)


def skew(raw: list, n: int, k: int) -> mp.matrix:
    """A with the entries (i, j), j < min(i, k), of raw below its diagonal."""
    a, entries = mp.zeros(n), iter(raw)
    for i in range(n):
        for j in range(min(i, k)):
            a[i, j] = next(entries)
            a[j, i] = -a[i, j]
    return a


def orthogonal(spec: Any, raw: list, n: int, k: int) -> mp.matrix:
    """The whole n by n matrix, without the base."""
    a = skew(raw, n, k)
    if spec.map == "cayley":
        return mp.inverse(mp.eye(n) - a / 2) * (mp.eye(n) + a / 2)
    if spec.map == "exp":
        return mp.expm(a, method="taylor")
    q = mp.eye(n)
    for j in range(min(k, n - 1)):
        u = mp.matrix([0] * j + [1] + [a[i, j] / 2 for i in range(j + 1, n)])
        q = q * (mp.eye(n) - u * u.T * (2 / (u.T * u)[0]))
    for j in range(min(k, n - 1)):
        q[:, j] = -q[:, j]
    return q


def differences(function: Callable[[list], Any], raw: list) -> list:
    """Derivatives by central differences, good to two thirds of the digits."""
    step, result = mp.mpf(10) ** -(mp.mp.dps // 3), []
    for j in range(len(raw)):
        up, down = list(raw), list(raw)
        up[j], down[j] = up[j] + step, down[j] - step
        change = (function(up) - function(down)) / (2 * step)
        result.append(change if abs(change) > step else mp.mpf(0))
    return result


class Turned:
    """What all three specs share."""

    @staticmethod
    def sizes(spec: Any, count: int) -> tuple[int, int, int]:
        """n, the columns of the value, and the columns of A that raw fills."""
        if not isinstance(spec, iso.Stiefel):
            n = side_of(count)
            return n, n, n
        k = spec.rows or spec.columns
        n = side_of(count) if spec.padded else (count + k * (k + 1) // 2) // k
        return n, k, n if spec.padded else k

    @classmethod
    def matrix(cls, spec: Any, raw: list) -> mp.matrix:
        n, k, filled = cls.sizes(spec, len(raw))
        q = orthogonal(spec, raw, n, filled)
        base = spec.whole_base(n)
        value = (q if base is None else mp.matrix(base.tolist()) * q)[:, :k]
        return value.T if spec.wide else value

    @classmethod
    def forward(cls, spec: Any, raw: list) -> list:
        value = cls.matrix(spec, raw)
        return [value[i, j] for i in range(value.rows) for j in range(value.cols)]

    @classmethod
    def pullback(cls, spec: Any, raw: list, cotangent: list) -> list:
        weights = [entry for row in cotangent for entry in row]
        return differences(lambda x: mp.fdot(cls.forward(spec, x), weights), raw)

    @classmethod
    def inverse(cls, spec: Any, value: list) -> list:
        x = mp.matrix(value).T if spec.wide else mp.matrix(value)
        n, k = x.rows, x.cols
        base = spec.whole_base(n)
        x = x if base is None else mp.matrix(base.tolist()).T * x
        places = [(i, j) for i in range(n) for j in range(min(i, k))]
        if spec.map == "cayley":
            y = mp.inverse(mp.eye(k) + x[:k, :])
            below = 2 * x * y
            return [2 * (y[j, i] - y[i, j]) if i < k else below[i, j] for i, j in places]
        if spec.map == "exp":
            log = mp.logm(x)
            return [mp.re(log[i, j] - log[j, i]) / 2 for i, j in places]
        vectors = cls.normals(x)
        return [2 * vectors[i, j] for i, j in places]

    @staticmethod
    def normals(x: mp.matrix) -> mp.matrix:
        """The vectors u_j of the reflections: from column j of H_(j-1) ... H_1 x, which is e_j - 2 u_j/|u_j|^2, negated.

        A rounded x is no product of reflections, and 1 + head = |below|^2/(1 - head) no identity: each is said where it is
        taken. Both are raw of x to its rounding, and away from there they differ by the condition number of the map.
        """
        rest, vectors = x.copy(), mp.zeros(x.rows, x.cols)
        for j in range(min(x.cols, x.rows - 1)):
            head, below = rest[j, j], mp.matrix([0] * (j + 1) + [rest[i, j] for i in range(j + 1, x.rows)])
            square = mp.fsum(entry**2 for entry in below)
            pivot = square / (1 - head) if head < -0.5 else 1 + head
            vectors[:, j] = below / pivot
            below[j] = pivot
            rest = rest - below * (below.T * rest) * (2 / (pivot**2 + square))
        return vectors

    @classmethod
    def log_abs_det(cls, spec: Any, raw: list) -> list:
        n = side_of(len(raw))
        a = skew(raw, n, n)
        if spec.map == "cayley":
            return [-(n - 1) * mp.log(mp.det(mp.eye(n) - a / 2))]
        columns = (mp.fsum(a[i, j] ** 2 for i in range(j + 1, n)) / 4 for j in range(n))
        return [-mp.fsum((n - 1 - j) * mp.log(1 + column) for j, column in enumerate(columns))]

    @classmethod
    def log_abs_det_gradient(cls, spec: Any, raw: list) -> list:
        return differences(lambda x: cls.log_abs_det(spec, x)[0], raw)


for spec_type in (iso.Orthogonal, iso.SpecialOrthogonal, iso.Stiefel):
    formula_of(spec_type)(Turned)
