"""What every spec is: frozen data that compares by content and knows its shapes."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import isqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.bounds import FrozenArray, Shape
from isoparam.specs.calls import BOUNDS, SIZES, SpecType

Kind = Literal["scalar", "vector", "matrix", "structure"]


@dataclass(frozen=True)
class Facts:
    """What a spec states about itself; `isoparam catalogue` and the docs print it.

    Attributes:
        domain: the set, in words and symbols.
        raw_size: how many raw numbers one value takes.
        formula: raw -> value.
        log_abs_det: log |det d value / d raw|, from raw.
        volume: what the determinant is taken with respect to.
        projection: the nearest point of the closed set.
        limits: where float32 and float64 saturate, underflow or overflow.
        source: where map and convention come from.
    """

    domain: str
    raw_size: str
    formula: str
    log_abs_det: str
    volume: str
    projection: str
    limits: str
    source: str


class Border(NamedTuple):
    """How far a value is from leaving its set.

    Attributes:
        distances: one number for each entry, or for each inequality that makes the set, in the unit of the value and in
            float64: 0 on the border, negative outside. Empty for a set without a border; nan where the spec does not say.
        scale: over which distance the map bends. At eps * scale its derivative is at most eps times its largest, or
            times that at raw = 0 for exp, which has no largest.
    """

    distances: np.ndarray
    scale: float | np.ndarray = 1.0


@dataclass(frozen=True)
class Spec(metaclass=SpecType):
    """One constraint, as data: no arrays of a framework, no state, no default backend.

    Subclasses are final, frozen dataclasses. What a spec *does* stands in two rules of the same
    name, one in `torch_impl` and one in `jax_impl`, found by the exact type.
    """

    kind: ClassVar[Kind]
    facts: ClassVar[Facts]
    raw_rank: ClassVar[int]
    """How many of the last axes of raw make one value; the others are batch axes."""
    value_rank: ClassVar[int]
    """How many of the last axes of a value make one value: 0 for a scalar spec, 1 for a vector, 2 for a matrix."""

    number_hint: ClassVar[str] = SIZES
    """What to say where a number is given that the spec does not take."""

    @property
    def value_axes(self) -> tuple[int, ...]:
        """The axes of an array of values that make one value; the others are batch axes."""
        return tuple(range(-self.value_rank, 0))

    @property
    def raw_axes(self) -> tuple[int, ...]:
        """The axes of an array of raw that make one value; the others are batch axes."""
        return tuple(range(-self.raw_rank, 0))

    @property
    def own_shape(self) -> Shape | None:
        """The shape of a value that nobody gave: that of the bounds of a scalar spec; None where there is none."""
        return None

    @property
    def absent(self) -> Mapping[str, str]:
        """{verb: why it has no meaning here}; the verb raises SpecError with that reason."""
        return {}

    @property
    def unique(self) -> bool:
        """Whether a value has one raw only, so that the map is a bijection of raw onto the set."""
        return True

    def raw_shape(self, value_shape: Shape) -> Shape:
        """Shape of raw for a value of this shape; SpecError where no value has it."""
        self._check_shape(value_shape, "value")
        return self._raw_shape(value_shape)

    def value_shape(self, raw_shape: Shape) -> Shape:
        """Shape of the value for a raw of this shape; SpecError where no raw has it."""
        self._check_shape(raw_shape, "raw")
        return self._value_shape(raw_shape)

    def starting_at(self, value: np.ndarray) -> "Spec":
        """The spec with which `attach(..., start="project")` starts at a value of the set.

        That is itself, but where one map does not reach the whole set: then the same with raw = 0 there.
        """
        del value
        return self

    def border(self, value: np.ndarray) -> Border:
        """Distances of a value to the border of the set, for monitoring; the axis of a vector spec is the last here.

        A spec that does not override this has unknown distances, nan.
        """
        return Border(np.full(1, np.nan))

    def start(self, value_shape: Shape) -> np.ndarray:
        """The raw that `initial` starts from: zeros, but where raw = 0 is not inside."""
        return np.zeros(self.raw_shape(value_shape))

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return value_shape

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return raw_shape

    def refusal(self, value: np.ndarray, inside: np.ndarray) -> str:
        """What is wrong with a value of which some entries, vectors or matrices are not `inside`: the first of them."""
        where = tuple(int(i) for i in np.argwhere(~inside)[0])
        wrong = np.asarray(self._part(value, where))
        place = f" at {where}" if where else ""
        cure = "give finite numbers" if not np.isfinite(wrong).all() else self._cure(wrong)
        return f"value {np.array2string(wrong, threshold=8)}{place} is not inside {self.facts.domain} of {self}; {cure}"

    def unreachable(self, value: np.ndarray) -> str:
        """What to say of a value that lies in the set while its raw would not be finite."""
        return (
            f"value {np.array2string(np.asarray(value), threshold=8)} lies in {self.facts.domain} of {self}, but its raw "
            "would not be finite; move it off there"
        )

    def _part(self, value: np.ndarray, where: tuple[int, ...]) -> Any:
        """The entry, vector or matrix at an index of the batch axes."""
        return np.moveaxis(value, self.value_axes, range(-len(self.value_axes), 0))[where]

    def _cure(self, wrong: np.ndarray) -> str:
        """What to do about a finite value that is not inside."""
        del wrong
        return "move it inside, or start from project(spec, value) moved off the border"

    @abstractmethod
    def _check_shape(self, shape: Shape, name: str) -> None:
        """Raise SpecError unless an array called `name` ("raw" or "value") may have this shape."""


@dataclass(frozen=True)
class ScalarSpec(Spec):
    """Acts on every entry by itself: raw and value have equal shapes, and array bounds broadcast into them."""

    kind: ClassVar[Kind] = "scalar"
    raw_rank: ClassVar[int] = 0
    value_rank: ClassVar[int] = 0
    number_hint: ClassVar[str] = BOUNDS

    def __post_init__(self) -> None:
        _ = self._bound_shape  # kept from here on: torch.compile cannot enter the lock of a cached_property

    @property
    def own_shape(self) -> Shape | None:
        """The shape of the bounds."""
        return self._bound_shape

    @cached_property
    def _bound_shape(self) -> Shape:
        bounds = (getattr(self, entry.name) for entry in fields(self))
        return np.broadcast_shapes(*(b.shape for b in bounds if isinstance(b, FrozenArray)))

    def _check_shape(self, shape: Shape, name: str) -> None:
        bounds = self._bound_shape
        if not bounds:
            return
        # Axis by axis, and those of batches never: an exported program knows no number for them.
        pairs = zip(bounds[::-1], shape[::-1], strict=False)
        if len(bounds) > len(shape) or not all(bound in (1, size) for bound, size in pairs):
            raise SpecError(
                f"{self}: bounds of shape {self._bound_shape} do not broadcast into a {name} of shape {tuple(shape)}; "
                f"give {name} the shape {self._bound_shape}, or that with batch axes in front"
            )


@dataclass(frozen=True)
class VectorSpec(Spec):
    """Acts on one axis, by default the last; every other axis is a batch axis."""

    kind: ClassVar[Kind] = "vector"
    raw_rank: ClassVar[int] = 1
    value_rank: ClassVar[int] = 1
    smallest: ClassVar[dict[str, int]]
    axis: int = field(default=-1, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise SpecError(f"{type(self).__name__}: axis={self.axis!r} must be an int, such as axis=-1")

    @property
    def value_axes(self) -> tuple[int, ...]:
        """The axis."""
        return (self.axis,)

    @property
    def raw_axes(self) -> tuple[int, ...]:
        """The axis."""
        return (self.axis,)

    def _check_shape(self, shape: Shape, name: str) -> None:
        if not -len(shape) <= self.axis < len(shape):
            raise SpecError(f"{self}: a {name} of shape {tuple(shape)} has no axis {self.axis}")
        if shape[self.axis] < self.smallest[name]:
            raise SpecError(
                f"{self}: a {name} of shape {tuple(shape)} is empty along axis {self.axis}; "
                f"it needs at least {self.smallest[name]} there"
            )

    def _resized(self, shape: Shape, change: int) -> Shape:
        sizes = list(shape)
        sizes[self.axis] += change
        return tuple(sizes)


@dataclass(frozen=True)
class MatrixSpec(Spec):
    """Acts on the last two axes of the value; every other axis is a batch axis.

    Raw has its free entries along its last axis, or, where `raw_rank` is 2, along its last two.
    """

    kind: ClassVar[Kind] = "matrix"
    raw_rank: ClassVar[int] = 1
    value_rank: ClassVar[int] = 2

    def _check_shape(self, shape: Shape, name: str) -> None:
        rank = self.raw_rank if name == "raw" else self.value_rank
        if len(shape) < rank:
            raise SpecError(
                f"{self}: a {name} of shape {tuple(shape)} has too few axes; it needs {rank}, behind any batch axes"
            )


def square_side(spec: Spec, shape: Shape) -> int:
    """The side of a value of square matrices; SpecError for others, or without entries."""
    if shape[-1] != shape[-2] or shape[-1] == 0:
        raise SpecError(
            f"{spec}: a value of shape {tuple(shape)} is no square matrix; its last two axes must be equal, at least 1"
        )
    return shape[-1]


def triangle_side(spec: Spec, count: int, *, diagonal: bool) -> int:
    """n of the n by n matrix whose lower triangle has `count` entries, its `diagonal` counted or not; SpecError for none."""
    root = isqrt(8 * count + 1)
    side = (root - 1) // 2 if diagonal else (root + 1) // 2
    sizes = [n * (n + 1) // 2 if diagonal else n * (n - 1) // 2 for n in (side, side + 1)]
    if sizes[0] != count or side == 0:
        wanted = " or ".join(map(str, sizes if side else sizes[1:]))
        raise SpecError(f"{spec}: a raw with {count} entries along its last axis fills no triangle; {wanted} do")
    return side


def check_last(spec: Spec, shape: Shape, wanted: Shape, name: str) -> None:
    """Raise SpecError unless the last axes of an array called `name` are these."""
    if len(shape) < len(wanted) or tuple(shape[len(shape) - len(wanted) :]) != tuple(wanted):
        raise SpecError(
            f"{spec}: a {name} of shape {tuple(shape)} does not end in {tuple(wanted)}; give it those, behind any batch axes"
        )


def check_link(owner: str, link: str, known: tuple[str, ...], name: str = "link") -> None:
    """Raise SpecError unless `link`, the argument called `name`, is one of `known`."""
    if link not in known:
        more = f"; {SIZES}, and {BOUNDS}" if isinstance(link, int | float) else ""
        raise SpecError(f"{owner}: unknown {name}={link!r}; choose one of {', '.join(map(repr, known))}{more}")
