"""One row of the samples, and the points at which it is tried."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

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
        outside: values outside the set (scalar: numbers, or rows for array bounds; vector: vectors; matrix: nested lists).
        borders: values on the border, where raw is infinite.
        raws: raw shapes of one value at which it is tried (vector and matrix specs); the second is the usual one.
        unit: what an error of `forward` is counted in: ULP of each entry, of the largest entry so far along the vector
            (the default of vector specs), or eps of the norm of the whole value (the default of matrix specs).
        volume: which entries of the flattened value log_abs_det is the volume of: the first ones, as many as raw has; or
            "surface", of the image in the space of all entries; "relative", that surface as a multiple of the one at raw = 0,
            where each raw number moves two entries of the value by as much; or their indices, from the shape of the value.
        usable: which rows of a batch of values have a raw of finite size; None takes all.
        unique: whether a value has one raw only, so that `inverse(forward(raw))` is raw.
        only_checked: whether the unchecked inverse is finite outside of the set too, being free of what is wrong there.
        smooth_at_zero: whether the map has a derivative at raw = 0, so that derivatives are compared there.
        kinks: whether the derivative jumps where one entry is 0 and another is not, so that it is not compared there.
        even_at_ties: whether second derivatives vanish at ties of the largest entries by symmetry, though their terms do not:
            their errors are counted in eps of the first derivative there.
        back: ULP of the largest entry (of the entry itself, where entries are independent) by which forward(inverse(value))
            may miss the value; more than 6 with a measured cause.
        condition: by how much rounding errors of the value grow in raw, where that is known to be much.
        reach: beyond which size of raw the value has no digits left.
        far: the size of the far raw numbers at which derivatives are compared.
        like: the sample whose map this one shares, so that it is not measured compiled once more.
    """

    name: str
    spec: iso.Spec
    ends: tuple[Any, Any] = (-INF, INF)
    end_slopes: tuple[Any, Any] = (1.0, 1.0)
    outside: tuple[Any, ...] = ()
    borders: tuple[Any, ...] = ()
    raws: tuple[tuple[int, ...], ...] = ((1,), (3,), (20,))
    unit: Literal["entry", "running", "norm"] | None = None
    volume: Literal["first", "surface", "relative"] | Callable[[tuple[int, ...]], np.ndarray] = "first"
    usable: Callable[[np.ndarray], np.ndarray] | None = None
    unique: bool = True
    only_checked: bool = False
    smooth_at_zero: bool = True
    kinks: bool = False
    even_at_ties: bool = False
    back: float = 6.0
    condition: float = 1.0
    reach: float = INF
    far: float = 40.0
    like: str = ""

    def has(self, verb: str) -> bool:
        """Whether a verb, or the gradient of it, has a meaning for this spec."""
        return {"pullback": "forward", "log_abs_det_gradient": "log_abs_det"}.get(verb, verb) not in self.spec.absent

    @property
    def forward_unit(self) -> str:
        """`unit`, or the default of the kind of spec."""
        return self.unit or {"scalar": "entry", "vector": "running", "matrix": "norm"}[self.spec.kind]

    def flat(self, forward: Callable[..., Any]) -> Callable[[Any], Any]:
        """`forward` of either framework as a function of a flat row of raw numbers that gives a flat row of values."""
        if self.is_scalar:
            return lambda row: forward(self.spec, row)
        return lambda row: forward(self.spec, row.reshape(self.core)).reshape(-1)

    def sized(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of values with vectors of the one size that the spec has, where `raws` has one only."""
        return (*shape[:-1], self.spec.value_shape(self.core)[-1]) if len(set(self.raws)) == 1 else shape

    @property
    def is_scalar(self) -> bool:
        return self.spec.kind == "scalar"

    @property
    def core(self) -> tuple[int, ...]:
        """The last axes of raw in one try: those of the bounds (scalar specs), or the usual ones of `raws`."""
        return np.broadcast_shapes(*map(np.shape, self._bounds())) if self.is_scalar else self.raws[1]

    @property
    def added_bounds(self) -> Any:
        """The largest bound that the map adds to each entry: the unit in which its rounding is measured."""
        if not self.is_scalar:
            return np.zeros(())
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


def positive(value: np.ndarray) -> np.ndarray:
    """Rows, of any number of axes, whose entries are all positive."""
    return (value > 0).reshape(len(value), -1).all(-1)


def increasing(value: np.ndarray) -> np.ndarray:
    """Rows that increase."""
    return (np.diff(value) > 0).all(-1)


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


def batches(sample: Sample, dtype: str) -> list[np.ndarray]:
    """Batches of raw of a vector or matrix spec, one per shape of `raws`: ties, zeros, ordinary, tiny and far ones."""
    rng = np.random.Generator(np.random.Philox(21))
    far = sample.far
    result = []
    for shape in sample.raws:
        n = prod(shape)
        if n == 1:
            rows = [[0.0], [1e-8], [0.7], [-far / 2]]
        elif n <= 6:
            ends = [np.zeros(n), np.resize([1e-8, 1e-8, -1e-8], n), np.full(n, 0.7), np.resize([far, -far, far], n)]
            rows = [*ends, *0.3 * rng.normal(0, 1, (3, n)), *3.0 * rng.normal(0, 1, (2, n))]
        else:
            rows = [np.zeros(n), np.full(n, -1.5), *rng.normal(0, 1, (2, n)), *3.0 * rng.normal(0, 1, (2, n))]
        result.append(np.asarray(rows, dtype).reshape(-1, *shape))
    return result


def turning_points(sample: Sample) -> np.ndarray:
    """Flat float64 rows at which derivatives are compared: 0, the seams, +-40 (`far`), and ties of equal raw entries."""
    if sample.is_scalar:
        entries = np.array([0.0, -40.0, 40.0, 1.0, -1.0, 0.3, -2.5, 20.0])
        return sample.spread(entries) if sample.core else entries[None]
    far = sample.far
    rows = [[0.0, 0.0, 0.0], [0.7, 0.7, 0.7], [far, -far, far], [-far, 0.5, 0.5], [0.3, -1.2, 0.8], [1.0, -1.0, 0.0]]
    rows = [row for row in rows if (sample.smooth_at_zero or any(row)) and not (sample.kinks and any(row) and 0.0 in row)]
    return np.array([np.resize(row, prod(sample.core)) for row in rows])


def volume_of(sample: Sample, jacobian: np.ndarray) -> np.floating:
    """log |det| of a Jacobian, from flat raw to the value, in the volume that the spec states."""
    jacobian = jacobian.reshape(-1, jacobian.shape[-1])
    columns = jacobian.shape[1]
    if sample.volume == "relative":
        return np.sum(np.log(np.linalg.svd(jacobian, compute_uv=False))) - columns * np.log(2) / 2
    if sample.volume == "surface":  # the product of the singular values that are not 0
        sizes = np.linalg.svd(jacobian, compute_uv=False)
        return np.sum(np.log(sizes[: columns if sample.unique else columns - 1]))
    chosen = np.arange(columns) if sample.volume == "first" else sample.volume(sample.spec.value_shape(sample.core))
    return np.linalg.slogdet(jacobian[chosen]).logabsdet


def weights_of(sample: Sample) -> np.ndarray:
    """Weights of the entries of a flattened value whose weighted sum is differentiated."""
    shape = (turning_points(sample).shape[1],) if sample.is_scalar else sample.spec.value_shape(sample.core)
    return np.random.Generator(np.random.Philox(23)).normal(0, 1, prod(shape))
