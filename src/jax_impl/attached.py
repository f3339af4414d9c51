"""The classes of modules that `attach` constrains: each a subclass of what the user gave, with one attribute more."""

import copyreg
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, NoReturn

from flax import nnx

from isoparam.errors import SpecError
from isoparam.specs import Spec
from isoparam.ties import Transposed
from jax_impl.module import Constrained

Entries = tuple[tuple[str, Spec], ...]
"""What a class constrains: (name, spec), by name."""


class _Attached(type):
    """The class of the classes that `attach` makes, which pickle by what they were made of."""


def _made_of(owner: type) -> tuple[type, Entries]:
    """The class of the user and what is attached to it."""
    return vars(owner).get("_isoparam_made_of", (owner, ())) if isinstance(owner, _Attached) else (owner, ())


def _reduced(owner: type) -> str | tuple[Callable[..., type], tuple[type, Entries]]:
    """How pickle writes such a class; one derived from it has a name of its own."""
    base, entries = _made_of(owner)
    return (_subclass, (base, entries)) if entries else owner.__qualname__


@cache
def _meta(kind: type) -> type:
    """The metaclass for subclasses of a class of this metaclass."""
    made = type(f"Attached{kind.__name__}", (_Attached, kind), {})
    copyreg.pickle(made, _reduced)  # type: ignore[arg-type]
    return made


@cache
def _subclass(base: type, entries: Entries) -> type:
    """The subclass of a module's class that constrains these names; the same one for the same names and specs.

    # twin: an RNN of torch keeps a second list of its weights; cells of flax read their own.
    """
    body: dict[str, Any] = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    body |= {"_isoparam_made_of": (base, entries)}
    body |= {name: _Computed(spec) for name, spec in entries}
    # `nnx.Module` decides anew for each class whether it is a pytree.
    return _meta(type(base))(base.__name__, (base,), body, pytree=base._pytree__is_pytree)  # type: ignore[attr-defined]


class _Value(nnx.Variable):
    """What an attached name reads as: a Variable that holds the present value, compares like an array and refuses writes."""

    def set_value(self, value: Any, *, index: Any = None) -> None:
        _refuse_write()

    def update_from_state(self, variable_state: Any) -> None:
        _refuse_write()  # `nnx.update` with a state from before `attach`

    def __lt__(self, other: Any) -> Any:
        return self[...] < other

    def __le__(self, other: Any) -> Any:
        return self[...] <= other

    def __gt__(self, other: Any) -> Any:
        return self[...] > other

    def __ge__(self, other: Any) -> Any:
        return self[...] >= other

    def __neg__(self) -> Any:
        return -self[...]


def _refuse_write() -> NoReturn:
    raise SpecError(
        "an attached parameter is computed from its raw leaf, so that writing into it would be lost; "
        "assign to the module: module.kernel = array"
    )


class _Computed(Constrained):
    """A Constrained that is read as layers of flax read a parameter.

    # twin: layers of torch read tensors; those of flax read `self.kernel[...]` and ask `if self.scale`, so need a Variable.
    """

    def __get__(self, instance: object | None, owner: Any = None) -> Any:
        value = super().__get__(instance, owner)
        return value if instance is None else _Value(value)


copyreg.pickle(_Attached, _reduced)  # type: ignore[arg-type]


def _entries(part: Any) -> Entries:
    """What is attached to a module."""
    return _made_of(type(part))[1]


class _Place(NamedTuple):
    """Where a leaf stands: in a module under a name, as itself or as the raw of a value, which may be its transpose."""

    part: Any
    attribute: str
    name: str
    turned: bool


def _place(part: Any, attribute: str) -> _Place:
    """The place of a leaf that a module has under this name."""
    name = attribute.removesuffix("_raw")
    spec = dict(_entries(part)).get(name) if name != attribute else None
    return _Place(part, attribute, attribute if spec is None else name, isinstance(spec, Transposed))


def _change(places: list[tuple[_Place, Spec | None]], leaf: Any) -> None:
    """Put a leaf into these places, whose values obey these specs from now on; None for a plain parameter."""
    _swap_classes([(place.part, place.name, spec) for place, spec in places])
    for place, spec in places:
        _replace(place.part, place.attribute, place.name if spec is None else f"{place.name}_raw", leaf)


def _swap_classes(wanted: list[tuple[Any, str, Spec | None]]) -> None:
    """Give each module the class that constrains these names too, or no longer where there is no spec."""
    merged: dict[int, tuple[Any, dict[str, Spec]]] = {}
    for part, name, spec in wanted:
        entries = merged.setdefault(id(part), (part, dict(_entries(part))))[1]
        entries.pop(name, None)
        if spec is not None:
            entries[name] = spec
    before = [(part, type(part)) for part, _ in merged.values()]
    try:
        for part, entries in merged.values():
            base = _made_of(type(part))[0]
            object.__setattr__(part, "__class__", _subclass(base, tuple(sorted(entries.items()))) if entries else base)
    except TypeError as error:
        for part, kind in before:
            object.__setattr__(part, "__class__", kind)
        names = ", ".join(kind.__name__ for _, kind in before)
        raise SpecError(f"attach: the class of {names} cannot be extended: {error}") from None


def _replace(part: Any, old: str, new: str, leaf: Any) -> None:
    """Put a leaf under a new name in the place of an old one, so that attributes keep their order."""
    setattr(part, new, leaf)  # refuses inside a transform that the module comes from outside of
    order = dict.fromkeys(new if name == old else name for name in vars(part))
    kept = dict(vars(part))
    nodes = kept["_pytree__nodes"]
    kept["_pytree__nodes"] = type(nodes)({name: kind for name, kind in nodes.items() if name != old}, copy=False)
    vars(part).clear()
    vars(part).update({name: kept[name] for name in order})
