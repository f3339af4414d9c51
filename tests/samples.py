"""What every test runs over: one row per sample of a spec, and the points at which it is tried. Data, no framework.

A constraint without a row here fails `test_every_spec_has_a_sample_row`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import isoparam as iso

INF = float("inf")


@dataclass(frozen=True, eq=False)
class Sample:
    """One spec as the tests try it.

    Attributes:
        name: id of the tests.
        spec: the spec.
        ends: the value at raw = -inf and at raw = +inf (scalar specs; one per entry for array bounds).
        end_slopes: the derivative there.
        outside: values outside the set (scalar: numbers, or rows for array bounds; vector: vectors).
        borders: values on the border, where raw is infinite.
    """

    name: str
    spec: iso.Spec
    ends: tuple[Any, Any] = (-INF, INF)
    end_slopes: tuple[Any, Any] = (1.0, 1.0)
    outside: tuple[Any, ...] = ()
    borders: tuple[Any, ...] = ()

    @property
    def is_scalar(self) -> bool:
        return self.spec.kind == "scalar"

    @property
    def core(self) -> tuple[int, ...]:
        """The last axes of raw in one try: those of the bounds (scalar specs), or three entries (vector specs)."""
        return np.broadcast_shapes(*map(np.shape, self._bounds())) if self.is_scalar else (3,)

    @property
    def added_bounds(self) -> Any:
        """The largest bound that the map adds to each entry: the unit in which its rounding is measured."""
        bounds = self._bounds()[:1] if isinstance(self.spec, iso.Affine) else self._bounds()  # the scale is not added
        sizes = [np.where(np.isfinite(bound), np.abs(bound), 0.0) for bound in bounds]
        return np.max(np.broadcast_arrays(0.0, *sizes), axis=0)

    @property
    def added_bound(self) -> float:
        """The largest of `added_bounds`."""
        return float(np.max(self.added_bounds))

    def bounds(self, dtype: str, shape: tuple[int, ...]) -> list[np.ndarray]:
        """The bounds in the order of the spec's arguments, as the dtype holds them, one for each entry of a shape."""
        return [np.broadcast_to(np.asarray(bound, dtype), shape) for bound in self._bounds()]

    def spread(self, entries: Any) -> np.ndarray:
        """Numbers for a scalar spec as they are, or a row of each for a spec with array bounds."""
        return np.asarray(entries) if self.core == () else np.repeat(np.asarray(entries)[:, None], self.core[0], axis=1)

    def _bounds(self) -> list[Any]:
        named = (getattr(self.spec, name, None) for name in ("low", "high", "bound", "loc", "scale"))
        return [bound if isinstance(bound, float) else bound.data for bound in named if bound is not None]


SAMPLES = (
    Sample("real", iso.Real(), (-INF, INF), (1.0, 1.0), outside=(np.nan, INF, -INF)),
    Sample("affine", iso.Affine(-1.5, 0.3), (-INF, INF), (0.3, 0.3), outside=(np.nan, INF)),
    Sample(
        "affine-array",
        iso.Affine([20.0, 0.0], [5.0, 1e30]),
        ([-INF, -INF], [INF, INF]),
        ([5.0, 1e30], [5.0, 1e30]),
        outside=([np.nan, INF],),
    ),
    Sample("positive", iso.Positive(), (0.0, INF), (0.0, 1.0), outside=(-1.0, -1e-30, np.nan, INF), borders=(0.0, -0.0)),
    Sample("positive-exp", iso.Positive(link="exp"), (0.0, INF), (0.0, INF), outside=(-1.0, np.nan), borders=(0.0, INF)),
    Sample("greater", iso.GreaterThan(2.0), (2.0, INF), (0.0, 1.0), outside=(1.0, np.nan), borders=(2.0, INF)),
    Sample("greater-exp", iso.GreaterThan(-0.1, link="exp"), (-0.1, INF), (0.0, INF), outside=(-2.0,), borders=(INF,)),
    Sample(
        "greater-array",
        iso.GreaterThan([2.0, -0.1]),
        ([2.0, -0.1], [INF, INF]),
        ([0.0, 0.0], [1.0, 1.0]),
        outside=([1.0, -0.5],),
        borders=([2.0, INF],),
    ),
    Sample("less", iso.LessThan(3.0), (-INF, 3.0), (1.0, 0.0), outside=(4.0, np.nan), borders=(3.0, -INF)),
    Sample("less-exp", iso.LessThan(0.1, link="exp"), (0.1, -INF), (0.0, -INF), outside=(1.0,), borders=(-INF,)),
    Sample(
        "less-array",
        iso.LessThan([3.0, 1e6], link="exp"),
        ([3.0, 1e6], [-INF, -INF]),
        ([0.0, 0.0], [-INF, -INF]),
        outside=([4.0, 2e6],),
        borders=([3.0, -INF],),
    ),
    Sample("interval", iso.Interval(-1.5, 4.0), (-1.5, 4.0), (0.0, 0.0), outside=(5.0, -INF), borders=(-1.5, 4.0)),
    Sample("interval-tanh", iso.Interval(-1, 1, link="tanh"), (-1.0, 1.0), (0.0, 0.0), outside=(-2.0,), borders=(1.0, -1.0)),
    Sample("interval-decimal", iso.Interval(0.1, 0.9), (0.1, 0.9), (0.0, 0.0), outside=(0.05, np.nan)),
    Sample("interval-narrow", iso.Interval(1.0, 1.0 + 2**-20), (1.0, 1.0 + 2**-20), (0.0, 0.0), outside=(0.5,), borders=(1.0,)),
    Sample("interval-wide", iso.Interval(-3e38, 3e38), (-3e38, 3e38), (0.0, 0.0), outside=(np.nan, INF)),
    Sample(
        "interval-array",
        iso.Interval([-1.5, 0.0], [4.0, 1e6]),
        ([-1.5, 0.0], [4.0, 1e6]),
        ([0.0, 0.0], [0.0, 0.0]),
        outside=([5.0, -1.0],),
        borders=([4.0, 0.0],),
    ),
    Sample("unit", iso.UnitInterval(), (0.0, 1.0), (0.0, 0.0), outside=(-0.5, 1.5, np.nan), borders=(0.0, 1.0)),
    Sample("box", iso.Box(0.5, INF), (0.5, INF), (0.0, 1.0), outside=(0.25, np.nan), borders=(0.5, INF)),
    Sample(
        "box-array",
        iso.Box([-1.5, 2.0, -INF, -INF], [4.0, INF, -3.0, INF]),
        ([-1.5, 2.0, -INF, -INF], [4.0, INF, -3.0, INF]),
        ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]),
        outside=([5.0, 1.0, 0.0, np.nan],),
        borders=([4.0, 2.0, -3.0, INF],),
    ),
    Sample("simplex", iso.Simplex(), outside=([0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]), borders=([0.0, 1.0],)),
    Sample("ordered", iso.Ordered(), outside=([2.0, 1.0], [1.0, np.nan], [0.0, INF]), borders=([1.0, 1.0],)),
    Sample("ordered-exp", iso.Ordered(link="exp"), outside=([2.0, 1.0],), borders=([1.0, 1.0],)),
    Sample("positive-ordered", iso.PositiveOrdered(), outside=([2.0, 1.0], [-1.0, np.nan]), borders=([0.0, 1.0],)),
    Sample("positive-ordered-exp", iso.PositiveOrdered(link="exp"), outside=([-1.0, 1.0],), borders=([1.0, 1.0],)),
    Sample("sum-to-zero", iso.SumToZero(), outside=([0.5, 0.5], [np.nan, 1.0], [INF, -INF])),
    Sample("unit-vector", iso.UnitVector(), outside=([0.5, 0.5], [np.nan, 1.0], [0.0, 0.0])),
)
SCALARS = tuple(sample for sample in SAMPLES if sample.is_scalar)
VECTORS = tuple(sample for sample in SAMPLES if not sample.is_scalar)
DTYPES = ("float32", "float64")

# Where |raw| makes the derivative or the value of the links leave the normal numbers.
REACH = {"float32": 87.0, "float64": 708.0}


def points(dtype: str, count: int = 60) -> np.ndarray:
    """Raw points of a scalar spec: 0, ordinary, near the seams of the formulas, far, tiny; no infinities."""
    rng = np.random.Generator(np.random.Philox(20))
    seams = [0.0, -0.0, 0.35, 1e-3, np.log(2), 1.0, 1.0986, 1.1, 2.0, 16.6, 20.0, 36.7, 39.99, 40.0, 40.01, 44.0]
    far = [80.0, 86.5, 300.0, 600.0, 705.0] if dtype == "float64" else [60.0, 80.0, 86.5]
    tiny = [1e-4, 1e-8, 1e-17, 1e-30] + ([1e-100, 1e-290] if dtype == "float64" else [])
    sizes = np.concatenate([seams, far, tiny, np.abs(rng.normal(0, 1, count)), 10.0 ** rng.uniform(-3, 1.8, count)])
    return np.unique(np.concatenate([sizes, -sizes]).astype(dtype))


def vectors(sample: Sample, dtype: str) -> list[np.ndarray]:
    """Batches of raw vectors of a vector spec, of three lengths: ties, zeros, ordinary, tiny and far ones."""
    rng = np.random.Generator(np.random.Philox(21))
    single = [[0.0], [1e-8], [0.7], [-20.0]]
    triple = [[0.0, 0.0, 0.0], [1e-8, 1e-8, -1e-8], [0.7, 0.7, 0.7], [40.0, -40.0, 40.0], *0.3 * rng.normal(0, 1, (3, 3))]
    longer = [np.zeros(20), np.full(20, -1.5), *rng.normal(0, 1, (2, 20)), *3.0 * rng.normal(0, 1, (2, 20))]
    return [np.asarray(batch, dtype) for batch in (single, [*triple, *3.0 * rng.normal(0, 1, (2, 3))], longer)]


def turning_points(sample: Sample) -> np.ndarray:
    """float64 rows at which derivatives are compared: 0, the seams, +-40, and ties of equal raw entries for vectors."""
    if sample.is_scalar:
        entries = np.array([0.0, -40.0, 40.0, 1.0, -1.0, 0.3, -2.5, 20.0])
        return sample.spread(entries) if sample.core else entries[None]
    return np.array(
        [[0.0, 0.0, 0.0], [0.7, 0.7, 0.7], [40.0, -40.0, 40.0], [-40.0, 0.5, 0.5], [0.3, -1.2, 0.8], [1.0, -1.0, 0.0]]
    )


def weights_of(sample: Sample) -> np.ndarray:
    """Weights of the entries of a value whose weighted sum is differentiated."""
    shape = sample.spec.value_shape(turning_points(sample)[0].shape)
    return np.random.Generator(np.random.Philox(23)).normal(0, 1, shape)
