"""Masked: arrays of which some entries are free."""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, Kind, ScalarSpec, Spec, check_last
from isoparam.specs.bounds import Bound, Entries, FrozenArray, Numbers, Shape, as_bound, bound_in
from isoparam.specs.scalar import Real


@dataclass(frozen=True, repr=False)
class Masked(Spec):
    """An array of which some entries are free and the others are constant: banded and sparse matrices, known entries.

        value = where(mask, spec(raw), fill)

    Args:
        mask: booleans, True where an entry is free; at least one is.
        spec: what the free entries obey: a scalar spec, whose array bounds broadcast into the shape of the mask.
        fill: the other entries: a finite number, or an array that broadcasts into the shape of the mask.

    Shapes: a value has the shape of the mask, behind any batch axes; raw has one axis in its place, with one entry for
        each that is free, row by row.

    Raises:
        SpecError: for a mask that is not of booleans or has nothing free, a spec that is not scalar, bounds or a fill of
            another shape, or a value of another shape.

    Limits: those of the spec. `contains` asks for the fill itself, up to eps of the dtype of the value.

    Source: `torch.nn.utils.prune`, and masked parameters in `equinox.partition`.

    Example:
        >>> import isoparam as iso
        >>> iso.Masked([[True, False], [True, True]], iso.Positive()).raw_shape((2, 2))
        (3,)
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        domain="{v : v = fill where the mask is False, elsewhere in the set of spec}",
        raw_size="the number of free entries",
        formula="where(mask, spec(raw), fill)",
        log_abs_det="the sum over the free entries",
        volume="Lebesgue on the free entries",
        projection="where(mask, projection of spec, fill)",
        limits="as spec; the fill is rounded to the dtype of raw",
        source="torch.nn.utils.prune; equinox.partition",
    )

    mask: Entries
    spec: Spec = field(default_factory=Real)
    fill: Numbers = field(default=0.0)  # type: ignore[assignment]  of the field, not of its descriptor
    free: ClassVar[Spec]
    """`spec` with the bounds of the free entries, in a row."""
    _shape: ClassVar[Shape]
    _count: ClassVar[int]

    def __post_init__(self) -> None:
        given = np.asarray(self.mask.data > 0 if isinstance(self.mask, FrozenArray) else self.mask)
        shown = f"Masked of a mask of shape {given.shape}"
        if given.dtype != np.bool_ or given.ndim == 0:
            raise SpecError(f"{shown}: mask must be an array of booleans, got {given.dtype}; write array > 0")
        if not given.any():
            raise SpecError(f"{shown}: no entry is free; for a constant use Fixed(value)")
        if not isinstance(self.spec, Spec) or self.spec.kind != "scalar":
            raise SpecError(f"{shown}: spec={self.spec!r} must be scalar, such as Positive(): it acts on each free entry")
        fill = as_bound(shown, "fill", self.fill)
        self.spec.raw_shape(given.shape)
        try:
            np.broadcast_to(np.asarray(fill), given.shape)
        except ValueError:
            raise SpecError(f"{shown}: fill of shape {np.shape(fill)} does not broadcast into the mask") from None
        parts: dict[str, Any] = {"mask": FrozenArray(given), "fill": fill, "free": picked(self.spec, given)}
        parts |= {"value_rank": given.ndim, "_shape": given.shape, "_count": int(given.sum())}
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    def __repr__(self) -> str:
        return f"Masked(<{self.count} free of {self.own_shape}>, {self.spec!r}, fill={self.fill!r})"

    def places(self, dtype: type[np.floating]) -> "MaskPlaces":
        """What the two rules compute with, in the dtype of the parameter."""
        return mask_places(self.mask, self.fill, dtype)

    @property
    def absent(self) -> Any:
        """What the spec of the free entries lacks."""
        return self.spec.absent

    @property
    def unique(self) -> bool:
        """As the spec of the free entries."""
        return self.spec.unique

    @property
    def own_shape(self) -> Shape:
        """The shape of the mask."""
        return self._shape

    @property
    def count(self) -> int:
        """How many entries are free."""
        return self._count

    def start(self, value_shape: Shape) -> np.ndarray:
        """Where the spec of the free entries starts."""
        return self.free.start(self.raw_shape(value_shape))

    def border(self, value: np.ndarray) -> Border:
        """Those of the free entries."""
        return self.free.border(value[..., self.mask.data > 0])

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[: len(value_shape) - len(self.own_shape)], self.count)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-1], *self.own_shape)

    def _check_shape(self, shape: Shape, name: str) -> None:
        check_last(self, shape, (self.count,) if name == "raw" else self.own_shape, name)

    def _cure(self, wrong: np.ndarray) -> str:
        here = self.mask.data > 0
        furthest = np.max(np.abs(wrong - np.asarray(self.fill)), initial=0.0, where=~here)
        if furthest == 0:
            return f"a free entry is outside {self.spec.facts.domain} of {self.spec}; move it inside"
        return f"an entry that is not free misses the fill by {furthest:.3g}: write numpy.where(mask, value, fill)"


class MaskPlaces(NamedTuple):
    """Where the entries of a masked array come from.

    `free` has one index for each free entry: its place in the flattened value. `source` has one for each entry of the
    flattened value: its place in the row of the free entries and, behind them, of `fill`.
    """

    mask: Any
    free: Any
    source: Any
    fill: Any


@lru_cache(maxsize=64)
def mask_places(mask: FrozenArray, fill: Bound, dtype: type[np.floating]) -> MaskPlaces:
    """The places of a mask, and its fill in a dtype: one number, or one for each entry that is not free."""
    here = mask.data > 0
    flat = here.reshape(-1)
    count = int(flat.sum())
    single = isinstance(fill, float)
    behind = np.zeros(flat.size - count, np.int32) if single else np.arange(flat.size - count, dtype=np.int32)
    source = np.empty(flat.size, np.int32)
    source[flat], source[~flat] = np.arange(count, dtype=np.int32), count + behind
    numbers = np.reshape(fill, 1) if single else np.broadcast_to(np.asarray(fill), here.shape)[~here]
    return MaskPlaces(here, np.flatnonzero(flat).astype(np.int32), source, bound_in(FrozenArray(numbers), dtype))


def picked(spec: Spec, mask: np.ndarray) -> Spec:
    """A scalar spec with the bounds of the entries that a mask picks, in a row."""
    if not isinstance(spec, ScalarSpec):
        return spec.picked(mask)  # type: ignore[attr-defined]  a scalar Compose
    bounds = {entry.name: getattr(spec, entry.name) for entry in fields(spec)}
    arrays = {name: bound.data for name, bound in bounds.items() if isinstance(bound, FrozenArray)}
    return replace(spec, **{name: np.broadcast_to(array, mask.shape)[mask] for name, array in arrays.items()})
