"""Compose: one map after another."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.affine import Affine
from isoparam.specs.base import Border, Facts, Kind, Spec
from isoparam.specs.bounds import Shape
from isoparam.specs.masked import picked
from isoparam.specs.scalar import Real


@dataclass(frozen=True, init=False, repr=False)
class Compose(Spec):
    """One map after another, written as in mathematics: the last spec takes raw, the first gives the value.

        Compose(f, g, h):  value = f(g(h(raw)))

    `Compose(Affine(0, 2), Simplex())` are weights that sum to 2, `Compose(Interval(0, 1), Ordered())` increasing numbers
    between 0 and 1. This is the order of `tfp.bijectors.Chain`; `torch.distributions.ComposeTransform` lists the parts the
    other way round, and so do several `register_parametrization` on one parameter.

    Args:
        specs: two or more. Every spec but the last must have one raw for each value, and take what the next one gives: a
            scalar spec takes anything, entry by entry.

    Shapes: those of the parts, one after another.

    Raises:
        SpecError: for less than two specs, one whose raw is not unique before the last, or parts that act along
            different axes.

    Limits: those of the parts. `log_abs_det` exists where the volumes of the parts fit together, and `project` where all
        but the last keep the shape of things (`Real`, `Affine` with one scale); else the call says why not. A value is
        taken back to the last spec before it is looked at, so that `contains` allows for the digits lost on that way.

    Source: `tfp.bijectors.Chain`; the order is its own.

    Example:
        >>> import isoparam as iso
        >>> iso.Compose(iso.Affine(0, 2), iso.Simplex())
        Compose(Affine(loc=0.0, scale=2.0), Simplex(axis=-1))
        >>> iso.Compose(iso.Affine(0, 2), iso.Simplex()).raw_shape((3,))
        (2,)
    """

    kind: ClassVar[Kind] = "structure"
    facts: ClassVar[Facts] = Facts(
        domain="{f(g(x))}, the image of the set of the last spec under the others",
        raw_size="as the last spec",
        formula="f(g(raw)), the specs being f, g",
        log_abs_det="that of g at raw, and that of f at g(raw) summed over the value of g",
        volume="that of f(set of g); absent where the volume of g is not of all entries and f bends it",
        projection="f(projection of f^-1(point)), where f only moves and scales",
        limits="as the parts",
        source="tfp.bijectors.Chain",
    )

    specs: tuple[Spec, ...]
    _axes: ClassVar[tuple[tuple[int, ...], tuple[int, ...]]]
    _absent: ClassVar[dict[str, str]]

    def __init__(self, *specs: Spec) -> None:
        object.__setattr__(self, "specs", specs)
        self.__post_init__()

    def __post_init__(self) -> None:
        specs = self.specs
        shown = f"Compose({', '.join(map(repr, specs))})"
        if len(specs) < 2 or not all(isinstance(spec, Spec) for spec in specs):
            raise SpecError(f"{shown}: give two or more specs, such as Compose(Affine(0, 2), Simplex())")
        for spec in specs:
            if {"forward", "inverse"} & set(spec.absent):
                raise SpecError(f"{shown}: {spec} cannot be a part: {spec.absent['forward']}")
        for spec in specs[:-1]:
            if not spec.unique:
                raise SpecError(
                    f"{shown}: {spec} has several raws for each value, so that the way back to the next part is not known; "
                    f"only the last part may be such a one"
                )
        whole = [spec for spec in specs if spec.kind != "scalar"]
        for outer, inner in pairwise(whole):
            if outer.raw_axes != inner.value_axes:
                raise SpecError(
                    f"{shown}: {outer} takes axes {outer.raw_axes} together and {inner} gives axes {inner.value_axes}; "
                    f"let both act along the same ones"
                )
        ends = (whole[0], whole[-1]) if whole else (specs[0], specs[-1])
        kind, axes = ends[0].kind, (ends[0].value_axes, ends[1].raw_axes)
        kept: dict[str, Any] = {"kind": kind, "value_rank": len(axes[0]), "raw_rank": len(axes[1]), "_axes": axes}
        if kind == "scalar":
            kept["_bound_shape"] = np.broadcast_shapes(*(spec.own_shape or () for spec in specs))
        for name, part in kept.items():
            object.__setattr__(self, name, part)
        object.__setattr__(self, "_absent", self._reasons())

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.specs))})"

    @property
    def value_axes(self) -> tuple[int, ...]:
        """Those of the first part that is not scalar."""
        return self._axes[0]

    @property
    def raw_axes(self) -> tuple[int, ...]:
        """Those of the last part that is not scalar."""
        return self._axes[1]

    @property
    def own_shape(self) -> Shape | None:
        """The shape of the bounds or constants of the part that has the most to say; None where none has a shape."""
        shape = self.specs[-1].own_shape
        for spec in reversed(self.specs[:-1]):
            shape = spec.own_shape if shape is None or shape == () else spec.value_shape(shape)
        return None if shape == () and self.value_axes else shape

    @property
    def unique(self) -> bool:
        """As the last part."""
        return self.specs[-1].unique

    @property
    def absent(self) -> dict[str, str]:
        """`log_abs_det` where the volumes do not fit, `project` where a part bends distances."""
        return self._absent

    @property
    def inner(self) -> Spec:
        """What takes raw: the last part."""
        return self.specs[-1]

    def axes_at(self, part: int) -> tuple[int, ...]:
        """The axes of what part number `part` gives that make one value of the whole; none for a scalar composition."""
        below = [spec.value_axes for spec in self.specs[part:] if spec.kind != "scalar"]
        return below[0] if below else self.raw_axes

    def picked(self, mask: np.ndarray) -> "Compose":
        """The same for the entries that a mask picks, of a scalar composition."""
        return Compose(*(picked(spec, mask) for spec in self.specs))

    def start(self, value_shape: Shape) -> np.ndarray:
        """Where the last part starts."""
        for spec in self.specs[:-1]:
            value_shape = spec.raw_shape(value_shape)
        return self.inner.start(value_shape)

    def border(self, value: np.ndarray) -> Border:
        """Those of the last part where the others only move and scale, in the unit of the value; else unknown."""
        scale = 1.0
        for spec in self.specs[:-1]:
            if not is_similarity(spec):
                return Border(np.full(1, np.nan))
            if isinstance(spec, Affine):
                value, scale = ((value - np.asarray(spec.loc)) / spec.scale).astype(value.dtype), scale * np.asarray(spec.scale)
        distances, bend = self.inner.border(np.moveaxis(value, self.value_axes, range(-self.value_rank, 0)))
        return Border(distances * scale, bend * scale)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        for spec in self.specs:
            value_shape = spec.raw_shape(value_shape)
        return value_shape

    def _value_shape(self, raw_shape: Shape) -> Shape:
        for spec in reversed(self.specs):
            raw_shape = spec.value_shape(raw_shape)
        return raw_shape

    def _check_shape(self, shape: Shape, name: str) -> None:
        self.specs[0 if name == "value" else -1]._check_shape(shape, name)

    def _reasons(self) -> dict[str, str]:
        """{verb: why it has no meaning}."""
        reasons = {}
        for part in range(len(self.specs) - 1):
            outer, inner = self.specs[part], self.specs[part + 1 :]
            if not is_similarity(outer):
                reasons["project"] = f"{outer} bends distances, so that the nearest point is not the image of a nearest point"
            if not (fills(inner) or (is_similarity(outer) and all(spec.unique for spec in inner))):
                several = next((spec for spec in inner if not spec.unique), None)
                reasons["log_abs_det"] = (
                    f"{inner[0]} gives a set without an interior, whose volume {outer} does not scale by one factor"
                    if several is None
                    else f"{several} has several raws for each value, so that {outer} scales more than its directions"
                )
        for verb in ("project", "log_abs_det"):
            for spec in self.specs:
                if verb in spec.absent:
                    reasons[verb] = f"{spec} has none: {spec.absent[verb]}"
        return reasons


def is_similarity(spec: Spec) -> bool:
    """Whether a map multiplies all distances by one factor."""
    return isinstance(spec, Real) or (isinstance(spec, Affine) and isinstance(spec.scale, float))


def fills(specs: tuple[Spec, ...]) -> bool:
    """Whether raw has as many numbers as the value all along a composition, so that volumes are of all entries."""
    return all(_fills(spec) for spec in specs)


def _fills(spec: Spec) -> bool:
    if spec.kind == "scalar":
        return True
    deepest = max(axis + 1 if axis >= 0 else -axis for axis in spec.value_axes) if spec.value_axes else 0
    shape = (4,) * deepest if spec.own_shape is None else spec.own_shape
    try:
        return spec.unique and prod(spec.raw_shape(shape)) == prod(shape)
    except SpecError:  # a spec that wants another size than 4: nothing is claimed about it
        return False
