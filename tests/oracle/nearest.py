"""The third witness for projections: the nearest point of each set, written down from its definition in 50-digit arithmetic.

A formula takes `(spec, point)` and, for a scalar spec, its bounds; points and results are as in `oracle.exact`. A spec
without an entry here has a projection that no closed form gives (the nearest correlation matrix), or is made of other specs.
"""

from typing import Any

import mpmath as mp
import numpy as np

from oracle.exact import exact
from oracle.judge import Calls, nested
from oracle.rounding import as_exact, normwise, rounded, ulps
from samples import Sample


def clipped(low: Any, high: Any) -> Any:
    """The nearest point of an interval."""
    return lambda spec, point: [min(max(point[0], mp.mpf(low)), mp.mpf(high))]


def simplex(point: list, total: Any = 1) -> list:
    """max(p - t, 0) with the sum `total`: t of the largest number of entries that all stay positive."""
    falling = sorted(point, reverse=True)
    for count in range(len(point), 0, -1):
        t = (mp.fsum(falling[:count]) - total) / count
        if falling[count - 1] > t:
            break
    return [max(entry - t, mp.mpf(0)) for entry in point]


def isotonic(point: list) -> list:
    """Pool adjacent violators: means of blocks that do not decrease."""
    blocks: list[tuple[Any, int]] = []
    for entry in point:
        total, count = entry, 1
        while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
            total, count = total + blocks[-1][0], count + blocks[-1][1]
            blocks.pop()
        blocks.append((total, count))
    return [total / count for total, count in blocks for _ in range(count)]


def with_gaps(point: list, gap: Any, low: Any, high: Any) -> list:
    """Isotonic regression of what is left without the gaps, then clipped, then the gaps put back."""
    free = isotonic([entry - k * gap for k, entry in enumerate(point, start=1)])
    top = high - (len(point) + 1) * gap
    return [min(max(entry, low), top) + k * gap for k, entry in enumerate(free, start=1)]


def length(point: list) -> Any:
    """The Euclidean length."""
    return mp.sqrt(mp.fdot(point, point))


def shortened(point: list, radius: Any) -> list:
    """The nearest point of a ball in norm 2."""
    size = length(point)
    return point if size <= radius else [radius * entry / size for entry in point]


def l1_ball(point: list, radius: Any) -> list:
    """The nearest point of a ball in norm 1: signs, and the sizes on a simplex."""
    if mp.fsum(map(abs, point)) <= radius:
        return point
    return [mp.sign(entry) * size for entry, size in zip(point, simplex(list(map(abs, point)), radius), strict=True)]


def plane(point: list, normal: list, offset: Any, *, half: bool) -> list:
    """The nearest point of a . x = offset, or of a . x <= offset."""
    excess = mp.fdot(normal, point) - offset
    if half and excess <= 0:
        return point
    step = excess / mp.fdot(normal, normal)
    return [entry - step * part for entry, part in zip(point, normal, strict=True)]


def flat(rows: list) -> list:
    """The entries of a matrix row by row; those of a vector as they are."""
    return [entry for row in rows for entry in row] if isinstance(rows[0], list) else rows


def transposed(rows: list) -> list:
    """The columns as rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def kept(rows: list, keep: Any) -> list:
    """The entries for which `keep(i, j, entry)` gives another entry, flat."""
    return [keep(i, j, entry) for i, row in enumerate(rows) for j, entry in enumerate(row)]


def double_centred(rows: list) -> list:
    """Less the means of rows and columns, and the mean of all back."""
    by_row, by_column = [mp.fsum(row) / len(row) for row in rows], [mp.fsum(row) / len(row) for row in transposed(rows)]
    mean = mp.fsum(by_row) / len(by_row)
    return kept(rows, lambda i, j, entry: entry - by_row[i] - by_column[j] + mean)


def semidefinite(rows: list, rank: int | None = None) -> list:
    """The symmetric part with negative eigenvalues, and all but the `rank` largest, set to 0."""
    x = mp.matrix(rows)
    values, vectors = mp.eigsy((x + x.T) / 2)
    first = 0 if rank is None else len(rows) - rank
    kept_values = [max(value, mp.mpf(0)) if k >= first else mp.mpf(0) for k, value in enumerate(values)]
    return flat((vectors * mp.diag(kept_values) * vectors.T).tolist())


def polar(rows: list, *, proper: bool = False) -> list:
    """The orthogonal factor U V^T, with determinant 1 if `proper`."""
    wide = len(rows) < len(rows[0])
    left, _, right = mp.svd_r(mp.matrix(transposed(rows) if wide else rows))
    flips = [mp.mpf(1)] * right.rows
    if proper and mp.det(left * right) < 0:
        flips[-1] = mp.mpf(-1)
    result = (left * mp.diag(flips) * right).tolist()
    return flat(transposed(result) if wide else result)


def unit(point: list) -> list:
    """The nearest point of the unit sphere; the first basis vector for 0."""
    size = length(point)
    return [entry / size for entry in point] if size else [mp.mpf(k == 0) for k in range(len(point))]


def correlation_rows(rows: list) -> list:
    """Rows of a lower triangle with a positive diagonal, of length 1."""
    lower = [[max(entry, mp.mpf(0)) if i == j else entry for j, entry in enumerate(row[: i + 1])] for i, row in enumerate(rows)]
    return flat([[*unit(row), *(mp.mpf(0) for _ in rows[len(row) :])] for row in lower])


def spectral(rows: list, bound: Any) -> list:
    """Singular values above the bound lowered to it, and the largest raised to it."""
    left, sizes, right = mp.svd_r(mp.matrix(rows))
    nearest = [mp.mpf(bound) if k == 0 else min(size, mp.mpf(bound)) for k, size in enumerate(sizes)]
    return flat((left * mp.diag(nearest) * right).tolist())


NEAREST: dict[str, Any] = {
    "Real": lambda spec, point: point,
    "Affine": lambda spec, point, loc, scale: point,
    "Positive": clipped(0, mp.inf),
    "GreaterThan": lambda spec, point, bound: [max(point[0], bound)],
    "LessThan": lambda spec, point, bound: [min(point[0], bound)],
    "Interval": lambda spec, point, low, high: [min(max(point[0], low), high)],
    "Box": lambda spec, point, low, high: [min(max(point[0], low), high)],
    "UnitInterval": clipped(0, 1),
    "Simplex": lambda spec, point: simplex(point),
    "StickBreakingSimplex": lambda spec, point: simplex(point),
    "SoftmaxSimplex": lambda spec, point: simplex(point),
    "Ordered": lambda spec, point: isotonic(point),
    "PositiveOrdered": lambda spec, point: [max(entry, mp.mpf(0)) for entry in isotonic(point)],
    "OrderedInterval": lambda spec, point: with_gaps(point, *(mp.mpf(x) for x in (spec.min_gap, spec.low, spec.high))),
    "SumToZero": lambda spec, point: [entry - mp.fsum(point) / len(point) for entry in point],
    "UnitVector": lambda spec, point: unit(point),
    "L1Ball": lambda spec, point: l1_ball(point, mp.mpf(spec.radius)),
    "L2Ball": lambda spec, point: shortened(point, mp.mpf(spec.radius)),
    "LInfBall": lambda spec, point: [min(max(entry, -mp.mpf(spec.radius)), mp.mpf(spec.radius)) for entry in point],
    "RowStochastic": lambda spec, rows: flat([simplex(row) for row in rows]),
    "ColumnStochastic": lambda spec, rows: flat(transposed([simplex(row) for row in transposed(rows)])),
    "SumToZeroMatrix": lambda spec, rows: double_centred(rows),
    "Symmetric": lambda spec, rows: kept(rows, lambda i, j, entry: (entry + rows[j][i]) / 2),
    "SkewSymmetric": lambda spec, rows: kept(rows, lambda i, j, entry: (entry - rows[j][i]) / 2),
    "Covariance": lambda spec, rows: semidefinite(rows),
    "CholeskyCorrelation": lambda spec, rows: correlation_rows(rows),
    "Orthogonal": lambda spec, rows: polar(rows),
    "SpecialOrthogonal": lambda spec, rows: polar(rows, proper=True),
    "Stiefel": lambda spec, rows: polar(rows),
    "UnitNorm": lambda spec, point: unit(flat(point)),
    "MaxNorm": lambda spec, point: shortened(flat(point), mp.mpf(spec.bound)),
    "WeightNorm": lambda spec, point: point,
    "SpectralNorm": lambda spec, rows: spectral(rows, spec.bound),
}


def has_nearest(sample: Sample) -> bool:
    """Whether the nearest point has a formula here."""
    return sample.has("project") and type(sample.spec).__name__ in NEAREST


def projection_error(sample: Sample, dtype: str, calls: Calls) -> float:
    """The largest error of `project`: ULP of each entry (scalar specs), or eps of the norm of the nearest point."""
    worst = 0.0
    for points in _points(sample, dtype):
        got, want = calls["project"](sample.spec, points), _nearest(sample, dtype, points)
        distances = ulps(got, want).ravel() if sample.is_scalar else [normwise(*pair) for pair in zip(got, want, strict=True)]
        worst = max(worst, *map(float, distances))
    return worst


def _nearest(sample: Sample, dtype: str, points: np.ndarray) -> np.ndarray:
    formula = NEAREST[type(sample.spec).__name__]
    if sample.is_scalar:
        entries = zip(*map(as_exact, (points, *sample.bounds(dtype, points.shape))), strict=True)
        return rounded([formula(sample.spec, [entry], *bounds)[0] for entry, *bounds in entries], dtype).reshape(points.shape)
    rows = [rounded(exact(formula, sample.spec, nested(point)), dtype) for point in points]
    return np.stack(rows).reshape(points.shape)


def _points(sample: Sample, dtype: str) -> list[np.ndarray]:
    """Points on both sides of the border, near and far, in the shapes of the sample; for vectors also ties."""
    rng = np.random.Generator(np.random.Philox(25))
    if sample.is_scalar:
        sizes = np.array([0.0, 1e-30, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0, 2.0, 3.0, 7.5, 1e6, 1e30])
        return [sample.spread(np.concatenate([-sizes, sizes])).astype(dtype)]
    found = []
    for raw in sample.raws:
        shape = sample.spec.value_shape(raw)
        rows = [*rng.normal(0, 1, (3, *shape)), *30 * rng.normal(0, 1, (2, *shape)), 1e-3 * rng.normal(0, 1, shape)]
        if sample.spec.kind == "vector":
            rows += [np.full(shape, 0.7), np.round(rng.normal(0, 1, shape))]
        found.append(np.asarray(rows, dtype))
    return found
