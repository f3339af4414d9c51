"""The classes of modules that `attach` constrains: each a subclass of what the user gave, with one attribute more."""

import copyreg
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from torch import nn

from isoparam.errors import SpecError
from isoparam.specs import Spec
from isoparam.ties import Transposed
from torch_impl.module import Constrained

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


copyreg.pickle(_Attached, _reduced)  # type: ignore[arg-type]


@cache
def _meta(kind: type) -> type:
    """The metaclass for subclasses of a class of this metaclass."""
    if kind is type:
        return _Attached
    made = type(f"Attached{kind.__name__}", (_Attached, kind), {})
    copyreg.pickle(made, _reduced)  # type: ignore[arg-type]
    return made


@cache
def _subclass(base: type, entries: Entries) -> type:
    """The subclass of a module's class that constrains these names; the same one for the same names and specs.

    # twin: layers of torch read tensors; those of flax read `self.kernel[...]` and ask `if self.scale`, so need a Variable.
    """
    body: dict[str, Any] = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    body |= {"_isoparam_made_of": (base, entries), "__slots__": ()}
    body |= _rnn_members() if issubclass(base, nn.RNNBase) else {}
    body |= {"reset_parameters": _refuse_reset} if callable(getattr(base, "reset_parameters", None)) else {}
    return _meta(type(base))(base.__name__, (base,), body | {name: Constrained(spec) for name, spec in entries})


def _refuse_reset(self: Any) -> None:
    """Raise SpecError: the layer would write into temporary values, and a raw leaf from `to_empty` would stay garbage."""
    names = [name for name, _ in _entries(self)]
    raise SpecError(
        f"{type(self).__name__}.reset_parameters would not reach {', '.join(names)}, computed from raw leaves; "
        f"assign numbers, module.{names[0]} = numbers, or detach, reset and attach again"
    )


def _rnn_members() -> dict[str, Any]:
    """An RNN reads a list that it made of its weights; here the list is made at every read.

    # twin: an RNN of torch keeps a second list of its weights; cells of flax read their own.
    """

    def weights(self: Any) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def ignore(self: Any, weights: list[Any]) -> None:
        del self, weights  # what `_init_flat_weights` and unpickling would keep

    def unchanged(self: Any) -> bool:
        return False

    def flatten_parameters(self: Any) -> None:
        """Nothing: computed weights cannot be moved into the one buffer that cuDNN likes best."""

    members = {"_weights_have_changed": unchanged, "flatten_parameters": flatten_parameters}
    return members | {"_flat_weights": property(weights, ignore)}


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
            part.__class__ = _subclass(base, tuple(sorted(entries.items()))) if entries else base
    except TypeError as error:
        for part, kind in before:
            part.__class__ = kind
        names = ", ".join(kind.__name__ for _, kind in before)
        raise SpecError(f"attach: the class of {names} cannot be extended: {error}") from None


def _replace(part: Any, old: str, new: str, leaf: Any) -> None:
    """Put a leaf under a new name in the place of an old one, so that parameters keep their order."""
    parameters = {new if name == old else name: leaf if name == old else entry for name, entry in part._parameters.items()}
    part._parameters.clear()
    part._parameters.update(parameters)
    if isinstance(part, nn.RNNBase):
        vars(part).pop("_flat_weights", None)
        if not _entries(part):
            part._init_flat_weights()
