"""Ties: which parameter of a tree a tied one takes its value from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from isoparam.borders import border_of
from isoparam.errors import SpecError
from isoparam.names import hint, select
from isoparam.specs import Facts, Real, Spec, Tied
from isoparam.specs.base import Border, Kind
from isoparam.specs.bounds import Shape
from isoparam.specs.structure import turned


@dataclass(frozen=True)
class Transposed(Spec):
    """What `attach` with `Tied(..., transpose=True)` puts in its place: the leaf of the other parameter, read transposed.

    Not in the catalogue: nobody declares it, and log-determinants are asked of the parameter that it is tied to.

    Args:
        spec: what the other parameter obeys.
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 2
    value_rank: ClassVar[int] = 2
    facts: ClassVar[Facts] = Facts(
        domain="{the transpose of v : v in the set of spec}",
        raw_size="as spec",
        formula="the transpose of spec(raw)",
        log_abs_det="none: it is that of the parameter that it is tied to",
        volume="as spec",
        projection="the transpose of that of spec",
        limits="as spec",
        source="Press and Wolf (2017)",
    )

    spec: Spec

    @property
    def absent(self) -> dict[str, str]:
        """What the spec lacks, and the log-determinant."""
        reason = "it reads the leaf of another parameter, which has that number"
        return {**self.spec.absent, "log_abs_det": reason}

    @property
    def unique(self) -> bool:
        """As the spec."""
        return self.spec.unique

    def raw_shape(self, value_shape: Shape) -> Shape:
        """Shape of the raw of the transpose."""
        return self.spec.raw_shape(turned(self, value_shape))

    def value_shape(self, raw_shape: Shape) -> Shape:
        """The shape of the other value, its last two axes changed."""
        return turned(self, self.spec.value_shape(raw_shape))

    def start(self, value_shape: Shape) -> np.ndarray:
        """Where the spec starts."""
        return self.spec.start(turned(self, value_shape))

    def border(self, value: np.ndarray) -> Border:
        """That of the transpose."""
        return border_of(self.spec, np.swapaxes(value, -1, -2))

    def _check_shape(self, shape: Shape, name: str) -> None:
        """Nothing: the shapes are those of the spec, which looks at them."""

    def _cure(self, wrong: np.ndarray) -> str:
        return f"its transpose has to obey {self.spec}, as the parameter does that it is tied to"


def obeyed(spec: Spec | None, transpose: bool) -> Spec | None:
    """What a place obeys that shares the leaf of another one, transposed or not; None for the plain leaf itself.

    Args:
        spec: what the other place obeys; None where its leaf is a plain parameter.
        transpose: whether this place reads the transpose of the other one.
    """
    if not transpose:
        return spec
    if isinstance(spec, Transposed):
        return None if spec.spec == Real() else spec.spec
    return Transposed(Real() if spec is None else spec)


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
        turn = replace(spec, transpose=not spec.transpose)
        more = f"; {turn} has" if len(other) > 1 and tuple(shape) == turn.linked(other) else ""
        raise SpecError(f"{name}: {spec} has the shape {spec.linked(other)}, and the value has {tuple(shape)}{more}")


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
