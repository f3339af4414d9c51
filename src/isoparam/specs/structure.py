"""Structure specs: parameters of which all, or some, are not free."""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, Kind, ScalarSpec, Spec
from isoparam.specs.bounds import Bound, Entries, FrozenArray, Numbers, Shape, as_bound, bound_in
from isoparam.specs.scalar import Real


@dataclass(frozen=True)
class Fixed(Spec):
    """A constant: a parameter that training never moves.

        value = the constant,   raw has no entries

    Without an entry there is nothing that an optimizer, its momentum or its weight decay could move. The constant is
    rounded to the dtype of raw.

    Args:
        value: the constant, a finite number or an array of them.

    Shapes: a value has the shape of the constant, behind any batch axes; raw has one axis of length 0 in its place.

    Raises:
        SpecError: for a constant that is no finite number or array, or an array of another shape.

    Limits: `contains` asks for the constant itself, up to eps of the dtype of the value.

    Source: `requires_grad=False` of PyTorch, `optax.set_to_zero`, `numpyro.deterministic`.

    Example:
        >>> import isoparam as iso
        >>> iso.Fixed([1.0, 2.0]).raw_shape((5, 2))
        (5, 0)
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        domain="{value}",
        raw_size="0",
        formula="the constant",
        log_abs_det="0",
        volume="of a point: 1",
        projection="the constant",
        limits="the constant is rounded to the dtype of raw",
        source="requires_grad=False of PyTorch, optax.set_to_zero",
    )

    value: Numbers
    _shape: ClassVar[Shape]

    def __post_init__(self) -> None:
        value = as_bound("Fixed", "value", self.value)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "value_rank", len(np.shape(value)))
        object.__setattr__(self, "_shape", np.shape(value))  # kept, since torch.compile cannot ask numpy

    @property
    def own_shape(self) -> Shape:
        """The shape of the constant."""
        return self._shape

    def border(self, value: np.ndarray) -> Border:
        """None: a constant has nowhere to go."""
        return Border(np.empty(0))

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[: len(value_shape) - len(self.own_shape)], 0)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-1], *self.own_shape)

    def _check_shape(self, shape: Shape, name: str) -> None:
        wanted = (0,) if name == "raw" else self.own_shape
        check_last(self, shape, wanted, name)

    def _cure(self, wrong: np.ndarray) -> str:
        furthest = np.max(np.abs(wrong - np.asarray(self.value)))
        return (
            f"it misses the constant by {furthest:.3g}: give the constant; where this spec is declared write Fixed(that value) "
            "for another one, or Real() for what may change"
        )


@dataclass(frozen=True)
class Tied(Spec):
    """A parameter that always equals another one of its tree: shared weights.

        value = the value called `to`   or its transpose,   raw has no entries

    The other parameter is the only one that is trained, and its gradient is the sum over both places. It works where
    there is a tree with names: in `constrain`, `unconstrain` and `log_jacobian`, in the constraints of a `Problem`, as
    a class attribute, `y = Constrained(Tied("x"))`, and in `attach(module, name, Tied("encoder.weight"))`.

    Args:
        to: the name of the other parameter in the same tree; a tied one leads on to what it is tied to.
        transpose: whether the last two axes change places.

    Shapes: that of the other parameter, or its transpose; raw has the shape (0,).

    Raises:
        SpecError: for a name that is no text; in use for a name that is not there or that leads back to itself, for
            another shape, and by every verb that is asked without a tree.
        DomainError: by `unconstrain`, `train` and `attach`, for a value that is not equal to the other one;
            `attach(..., start="project")` takes the numbers of the other one.

    Limits: a glob as the name must match one parameter.

    Source: weight tying, Press and Wolf (2017), "Using the output embedding to improve language models".

    Example:
        >>> import isoparam as iso
        >>> iso.Tied("encoder.weight", transpose=True).raw_shape((3, 2))
        (0,)
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 1
    value_rank: ClassVar[int] = 0
    facts: ClassVar[Facts] = Facts(
        domain="{the value of another parameter}",
        raw_size="0",
        formula="the other value, or its transpose",
        log_abs_det="0",
        volume="of a point: 1",
        projection="the other value",
        limits="works in trees, problems and modules, where the other parameter has a name",
        source="Press and Wolf (2017)",
    )

    to: str
    transpose: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.to, str) or not self.to:
            raise SpecError(f"Tied(to={self.to!r}): to must be the name of another parameter, such as 'encoder.weight'")
        if not isinstance(self.transpose, bool):
            raise SpecError(f"Tied(transpose={self.transpose!r}): transpose must be True or False")

    @property
    def absent(self) -> dict[str, str]:
        """Every verb: a single array does not hold the other parameter."""
        reason = (
            f"its value is that of {self.to!r}, which a single array does not hold; use it in a tree, "
            f"constrain(raw, {{name: {self}}}), in the constraints of a Problem, or as Constrained({self}) in a class"
        )
        return dict.fromkeys(("forward", "inverse", "log_abs_det", "project", "contains"), reason)

    def border(self, value: np.ndarray) -> Border:
        """None: its value is not its own."""
        return Border(np.empty(0))

    def linked(self, shape: Shape) -> Shape:
        """The shape of a parameter tied to one of this shape.

        Raises:
            SpecError: for a transpose of less than two axes.
        """
        return turned(self, shape) if self.transpose else tuple(shape)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (0,)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        raise SpecError(f"{self} takes its shape from {self.to!r}, not from its raw; ask for that of {self.to!r}")

    def _check_shape(self, shape: Shape, name: str) -> None:
        if name == "raw":
            check_last(self, shape, (0,), name)


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


def turned(spec: Spec, shape: Shape) -> Shape:
    """A shape with its last two axes changed; SpecError for one that has no two axes."""
    if len(shape) < 2:
        raise SpecError(f"{spec}: a value of shape {tuple(shape)} has no two axes to transpose")
    return (*shape[:-2], shape[-1], shape[-2])


def check_last(spec: Spec, shape: Shape, wanted: Shape, name: str) -> None:
    """Raise SpecError unless the last axes of an array called `name` are these."""
    if len(shape) < len(wanted) or tuple(shape[len(shape) - len(wanted) :]) != tuple(wanted):
        raise SpecError(
            f"{spec}: a {name} of shape {tuple(shape)} does not end in {tuple(wanted)}; give it those, behind any batch axes"
        )


def picked(spec: Spec, mask: np.ndarray) -> Spec:
    """A scalar spec with the bounds of the entries that a mask picks, in a row."""
    if not isinstance(spec, ScalarSpec):
        return spec.picked(mask)  # type: ignore[attr-defined]  a scalar Compose
    bounds = {entry.name: getattr(spec, entry.name) for entry in fields(spec)}
    arrays = {name: bound.data for name, bound in bounds.items() if isinstance(bound, FrozenArray)}
    return replace(spec, **{name: np.broadcast_to(array, mask.shape)[mask] for name, array in arrays.items()})
