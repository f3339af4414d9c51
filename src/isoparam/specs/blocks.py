"""Concatenate and Stack: one array of parts, each with a spec of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, Kind, Spec, VectorSpec
from isoparam.specs.bounds import Shape


@dataclass(frozen=True, repr=False)
class Concatenate(VectorSpec):
    """Vectors of blocks, one after another, each with a spec of its own.

        value = (spec_1(raw_1), spec_2(raw_2), ...)

    Args:
        specs: one for each block: vector specs, or scalar specs, which act on every entry of theirs.
        sizes: how many entries of the value each block has.
        axis: the axis along which the blocks follow each other, by default the last.

    Shapes: the value has sum(sizes) entries along the axis, and raw the sum of what the blocks take; other axes are batch
        axes.

    Raises:
        SpecError: for no block, as many specs as sizes, a size that is no whole number above 0 or that a spec refuses, a
            matrix spec, or a vector spec with an axis of its own, which is said here.

    Limits: those of the blocks. log_abs_det is one number for each vector: the sum over the blocks.

    Source: `torch.distributions.constraints.cat`, `tfp.bijectors.Blockwise`.

    Example:
        >>> import isoparam as iso
        >>> iso.Concatenate((iso.Simplex(), iso.Positive()), (3, 2)).raw_shape((5,))
        (4,)
    """

    kind: ClassVar[Kind] = "structure"
    facts: ClassVar[Facts] = Facts(
        domain="{(v_1, v_2, ...) : v_k in the set of spec k}",
        raw_size="the sum of those of the blocks",
        formula="(spec_1(raw_1), spec_2(raw_2), ...)",
        log_abs_det="the sum over the blocks",
        volume="the product of those of the blocks",
        projection="block by block",
        limits="as the blocks",
        source="torch.distributions.constraints.cat; tfp.bijectors.Blockwise",
    )

    specs: tuple[Spec, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "specs", as_specs("Concatenate", self.specs))
        sizes = tuple(self.sizes) if isinstance(self.sizes, Sequence) else (self.sizes,)
        if len(sizes) != len(self.specs) or not all(type(size) is int and size > 0 for size in sizes):
            raise SpecError(f"Concatenate: sizes={self.sizes!r} must be {len(self.specs)} whole numbers above 0, one a spec")
        object.__setattr__(self, "sizes", sizes)
        raw_sizes = tuple(spec.raw_shape((size,))[-1] for spec, size in zip(self.specs, sizes, strict=True))
        for name, part in {"raw_sizes": raw_sizes, "kind": "vector", "absent": absent_of(self.specs)}.items():
            object.__setattr__(self, name, part)

    def __repr__(self) -> str:
        return f"Concatenate({self.specs!r}, {self.sizes!r}{_shown(self.axis)})"

    raw_sizes: ClassVar[tuple[int, ...]]
    """How many entries of raw each block has."""
    absent: ClassVar[dict[str, str]] = {}  # pyright: ignore[reportIncompatibleMethodOverride]
    """{verb: which block lacks it}."""

    @property
    def unique(self) -> bool:
        """Whether every block has one raw for each value."""
        return all(spec.unique for spec in self.specs)

    @property
    def own_shape(self) -> Shape | None:
        """One vector."""
        return (sum(self.sizes),) if self.axis in (-1, 0) else None

    def start(self, value_shape: Shape) -> np.ndarray:
        """The starts of the blocks."""
        self.raw_shape(value_shape)
        batch = without(value_shape, self.axis)
        starts = [spec.start((*batch, size)) for spec, size in zip(self.specs, self.sizes, strict=True)]
        return np.moveaxis(np.concatenate(starts, axis=-1), -1, self.axis)

    def border(self, value: np.ndarray) -> Border:
        """Those of all blocks."""
        cuts = list(accumulate(self.sizes))[:-1]
        blocks = np.split(value, cuts, axis=-1)
        return joined(spec.border(block) for spec, block in zip(self.specs, blocks, strict=True))

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, sum(self.raw_sizes) - sum(self.sizes))

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, sum(self.sizes) - sum(self.raw_sizes))

    def _check_shape(self, shape: Shape, name: str) -> None:
        check_length(self, shape, sum(self.raw_sizes if name == "raw" else self.sizes), name)


@dataclass(frozen=True, repr=False)
class Stack(VectorSpec):
    """Arrays of slices along an axis, each with a spec of its own: the rows of a table, the entries of a vector.

        value[k] = spec_k(raw[k])   along the axis

    Args:
        specs: one for each slice. Scalar specs make a vector of different entries. Vector specs make a matrix of
            different rows: each acts on the last axis of its slice.
        axis: the axis along which the slices lie, by default the last; below 0 where there are vector specs.

    Shapes: the value has as many slices along the axis as there are specs. Raw has the same number, so that the raw of all
        slices must have one size.

    Raises:
        SpecError: for no spec, a matrix spec, a vector spec with an axis of its own, scalar specs alone with array bounds, or
            slices whose raws differ in size: `Concatenate` takes those.

    Limits: those of the slices. log_abs_det is one number for each vector, or each matrix: the sum over the slices.

    Source: `torch.distributions.constraints.stack`.

    Example:
        >>> import isoparam as iso
        >>> iso.Stack((iso.Positive(), iso.Interval(-1, 1))).raw_shape((5, 2))
        (5, 2)
        >>> iso.Stack((iso.Ordered(), iso.Positive()), axis=-2).raw_shape((2, 3))
        (2, 3)
    """

    kind: ClassVar[Kind] = "structure"
    facts: ClassVar[Facts] = Facts(
        domain="{v : v[k] in the set of spec k}",
        raw_size="that of a slice, as often as there are slices",
        formula="value[k] = spec_k(raw[k]) along the axis",
        log_abs_det="the sum over the slices",
        volume="the product of those of the slices",
        projection="slice by slice",
        limits="as the slices",
        source="torch.distributions.constraints.stack",
    )

    specs: tuple[Spec, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "specs", as_specs("Stack", self.specs))
        flat = all(spec.kind == "scalar" for spec in self.specs)
        for spec in self.specs if flat else ():
            if spec.own_shape != ():
                raise SpecError(f"Stack: {spec} has bounds of shape {spec.own_shape} for one entry; write one spec an entry")
        if not flat and self.axis >= 0:
            raise SpecError(f"Stack: axis={self.axis} must be below 0 for vector specs, such as axis=-2 for rows of a matrix")
        rank = 1 if flat else 2
        kind = "vector" if flat else "matrix"
        parts = {"kind": kind, "raw_rank": rank, "value_rank": rank, "absent": absent_of(self.specs)}
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    def __repr__(self) -> str:
        return f"Stack({self.specs!r}{_shown(self.axis)})"

    absent: ClassVar[dict[str, str]] = {}  # pyright: ignore[reportIncompatibleMethodOverride]
    """{verb: which slice lacks it}."""

    @property
    def unique(self) -> bool:
        """Whether every slice has one raw for each value."""
        return all(spec.unique for spec in self.specs)

    @property
    def own_shape(self) -> Shape | None:
        """One vector of scalar slices."""
        return (len(self.specs),) if self.value_rank == 1 and self.axis in (-1, 0) else None

    @property
    def value_axes(self) -> tuple[int, ...]:
        """The axis, and for vector slices the one that they act on."""
        if self.value_rank == 1:
            return (self.axis,)
        return (-2, -1) if self.axis == -1 else (self.axis, -1)

    @property
    def raw_axes(self) -> tuple[int, ...]:
        """As the value."""
        return self.value_axes

    def start(self, value_shape: Shape) -> np.ndarray:
        """The starts of the slices."""
        self.raw_shape(value_shape)
        slice_shape = without(value_shape, self.axis)
        return np.stack([spec.start(slice_shape) for spec in self.specs], axis=self.axis)

    def border(self, value: np.ndarray) -> Border:
        """Those of all slices."""
        return joined(spec.border(value[..., k]) for k, spec in enumerate(self.specs))

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._common("raw_shape", value_shape)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._common("value_shape", raw_shape)

    def _common(self, question: str, shape: Shape) -> Shape:
        """The shape that all slices give, with the axis put back."""
        slice_shape = without(shape, self.axis)
        shapes = {getattr(spec, question)(slice_shape): spec for spec in self.specs}
        if len(shapes) > 1:
            (one, first), (other, second), *_ = shapes.items()
            raise SpecError(
                f"{self}: a slice of shape {slice_shape} makes {one} of {first} and {other} of {second}, which do not stack; "
                f"use Concatenate, whose blocks may differ in size"
            )
        (common,) = shapes
        place = self.axis % len(shape)
        return (*common[:place], len(self.specs), *common[place:])

    def _check_shape(self, shape: Shape, name: str) -> None:
        if len(shape) < self.value_rank:
            raise SpecError(f"{self}: a {name} of shape {tuple(shape)} has too few axes; it needs {self.value_rank}")
        check_length(self, shape, len(self.specs), name)


def without(shape: Shape, axis: int) -> Shape:
    """A shape without one of its axes."""
    sizes = list(shape)
    del sizes[axis]
    return tuple(sizes)


def as_specs(owner: str, specs: Any) -> tuple[Spec, ...]:
    """Scalar and vector specs as a tuple; SpecError for others."""
    if not isinstance(specs, Iterable):
        raise SpecError(f"{owner}: specs={specs!r} must be a tuple of specs, such as (Simplex(), Positive())")
    specs = tuple(specs)
    if not specs or not all(isinstance(spec, Spec) for spec in specs):
        raise SpecError(f"{owner}: specs={specs!r} must be one or more specs, such as (Simplex(), Positive())")
    for spec in specs:
        if spec.kind != "scalar" and (spec.value_rank, spec.raw_rank) != (1, 1):
            raise SpecError(f"{owner}: {spec} acts on no vector; give scalar and vector specs")
        if spec.kind != "scalar" and spec.value_axes != (-1,):
            raise SpecError(
                f"{owner}: {spec} has an axis of its own; leave it out, {owner} moves its parts: {owner}(..., axis=)"
            )
    return specs


def absent_of(specs: tuple[Spec, ...]) -> dict[str, str]:
    """{verb: which part lacks it, and why}."""
    return {verb: f"{spec} has none: {reason}" for spec in specs for verb, reason in spec.absent.items()}


def check_length(spec: VectorSpec, shape: Shape, wanted: int, name: str) -> None:
    """Raise SpecError unless an array called `name` has this length along the axis of a spec."""
    if not -len(shape) <= spec.axis < len(shape):
        raise SpecError(f"{spec}: a {name} of shape {tuple(shape)} has no axis {spec.axis}")
    if shape[spec.axis] != wanted:
        found = f"{shape[spec.axis]} along axis {spec.axis}"
        raise SpecError(f"{spec}: a {name} of shape {tuple(shape)} has {found}; it needs {wanted}")


def joined(borders: Iterable[Border]) -> Border:
    """The borders of all parts as one."""
    parts = list(borders)
    scales = [np.broadcast_to(np.asarray(part.scale), part.distances.shape).reshape(-1) for part in parts]
    return Border(np.concatenate([part.distances.reshape(-1) for part in parts]), np.concatenate(scales))


def _shown(axis: int) -> str:
    return "" if axis == -1 else f", axis={axis}"
