"""Dotted names and globs: which spec constrains which parameter."""

from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache

from isoparam.errors import SpecError
from isoparam.specs.base import Spec


def select(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that a dotted name or glob matches; `*` matches any characters, dots included. A literal name wins."""
    names = list(names)
    return [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]


def assign(names: Iterable[str], constraints: Mapping[str, Spec]) -> dict[str, Spec]:
    """The spec of each constrained name.

    Raises:
        SpecError: for a key that matches nothing, a name matched twice, two leaves of one name, or a value that is
            no spec.
    """
    check_constraints(constraints)
    names = tuple(names)
    taken = zip(names, matched(names, tuple(constraints)), strict=True)
    return {name: constraints[pattern] for name, pattern in taken if pattern is not None}


def check_constraints(constraints: Mapping[str, Spec]) -> None:
    """Raise SpecError unless this is a dict of specs."""
    if not isinstance(constraints, Mapping):
        raise SpecError(f"constraints must be a dict such as {{'scale': isoparam.Positive()}}, got {constraints!r}")
    for pattern, spec in constraints.items():
        if not isinstance(spec, Spec):
            raise SpecError(f"constraints[{pattern!r}] must be a spec such as isoparam.Positive(), got {spec!r}")


@lru_cache(maxsize=256)
def matched(names: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[str | None, ...]:
    """The pattern that takes each name, or None.

    Raises:
        SpecError: for a pattern that matches nothing, a name matched twice, or two leaves of one name.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SpecError(f"two leaves are both called {twice[0]!r}; rename a key, one of which may contain a dot")
    taken: dict[str, str] = {}
    for pattern in patterns:
        found = select(pattern, names)
        if not found:
            raise SpecError(f"constraints[{pattern!r}] matches no parameter; {hint(pattern, list(names))}")
        for name in found:
            if name in taken:
                raise SpecError(
                    f"parameter {name!r} is matched twice, by {taken[name]!r} and {pattern!r}; narrow one of the two keys"
                )
            taken[name] = pattern
    return tuple(taken.get(name) for name in names)


def hint(pattern: str, names: list[str]) -> str:
    """What to say after "there is no such name": the closest one, or those that there are."""
    close = get_close_matches(pattern, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    return f"there are: {shown or 'none'}"
