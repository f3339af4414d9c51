"""Ties: which parameter of a tree a tied one takes its value from."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from isoparam.errors import SpecError
from isoparam.names import hint, select
from isoparam.specs import Spec, Tied
from isoparam.specs.base import Shape


def links(specs: Sequence[Spec | None]) -> tuple[tuple[str, bool] | None, ...]:
    """For each spec of a tied parameter the name that it says and whether it is transposed; None for the others."""
    return tuple((spec.to, spec.transpose) if isinstance(spec, Tied) else None for spec in specs)


@lru_cache(maxsize=256)
def roots(names: tuple[str, ...], links: tuple[tuple[str, bool] | None, ...]) -> tuple[tuple[int, bool] | None, ...]:
    """For each tied parameter the place of the one that it ends at, which is not tied itself, and whether it is transposed.

    Raises:
        SpecError: for a name that is not there, a glob that matches several, or a way that leads back to itself.
    """
    return tuple(None if link is None else _followed(names, links, place) for place, link in enumerate(links))


def resolved(names: tuple[str, ...], specs: Mapping[str, Spec]) -> dict[str, Spec]:
    """The specs, each tied one leading straight to a parameter that is not tied itself.

    Args:
        names: of all parameters.
        specs: of the constrained ones.

    Raises:
        SpecError: as `roots`.
    """
    found = roots(names, links([specs.get(name) for name in names]))
    ties = {name: Tied(names[root[0]], root[1]) for name, root in zip(names, found, strict=True) if root is not None}
    return {name: ties.get(name, spec) for name, spec in specs.items()}


def check_empty(name: str, spec: Tied, raw_shape: Shape) -> None:
    """Raise SpecError unless the raw of a tied parameter has no entries."""
    if raw_shape[-1:] != (0,):
        raise SpecError(
            f"{name}: the raw of {spec} has no entries, shape (0,), for its value is that of {spec.to!r}; got shape {raw_shape}"
        )


def check_tied(name: str, spec: Tied, shape: Shape, other: Shape) -> None:
    """Raise SpecError unless a value of this shape can be tied to one of the other shape."""
    if tuple(shape) != spec.linked(other):
        raise SpecError(f"{name}: {spec} has the shape {spec.linked(other)}, and the value has {tuple(shape)}")


def unequal(name: str, spec: Tied) -> str:
    """What to say of a value that is not the one it is tied to."""
    other = f"the transpose of {spec.to!r}" if spec.transpose else repr(spec.to)
    return f"{name}: its value is not equal to {other}, to which it is tied; give the same numbers, or remove {spec}"


def tied_shape(name: str, spec: Tied, init: Mapping[str, np.ndarray | None], shapes: Mapping[str, Shape]) -> Shape:
    """Shape of the value of a tied parameter of a problem.

    Raises:
        SpecError: for a start that is not that of the other parameter.
    """
    value, other = init[name], init[spec.to]
    shape = spec.linked(shapes[spec.to])
    if value is None:
        return shape
    check_tied(f"init[{name!r}]", spec, value.shape, shapes[spec.to])
    if other is None:
        raise SpecError(f"init[{name!r}] is given for {spec}, and init[{spec.to!r}] is not; give the start of {spec.to!r}")
    if not np.array_equal(value, np.swapaxes(other, -1, -2) if spec.transpose else other):
        raise SpecError(unequal(f"init[{name!r}]", spec))
    return shape


def _followed(names: tuple[str, ...], links: tuple[tuple[str, bool] | None, ...], place: int) -> tuple[int, bool]:
    way, transposed, link = [place], False, links[place]
    while link is not None:
        to, transpose = link
        found = select(to, names)
        where = f"{names[way[-1]]!r} is Tied({to!r})"
        if not found:
            raise SpecError(f"{where}, and there is no such parameter; {hint(to, list(names))}")
        if len(found) > 1:
            raise SpecError(f"{where}, which matches {', '.join(map(repr, found[:4]))}; name one of them")
        transposed ^= transpose
        here = names.index(found[0])
        if here in way:
            around = " -> ".join(repr(names[step]) for step in (*way, here))
            raise SpecError(f"{where}, which leads back to itself: {around}; let one of them be free")
        way.append(here)
        link = links[here]
    return way[-1], transposed
