"""Dotted names and globs: which spec constrains which parameter."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

from isoparam.errors import SpecError
from isoparam.specs.base import Spec


def select(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that a dotted name or glob matches; `*` matches any characters, dots included. A literal name wins."""
    names = list(names)
    return [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]


def assign(names: Iterable[str], constraints: Mapping[str, Spec]) -> dict[str, Spec]:
    """The spec of each constrained name.

    Raises:
        SpecError: for a key that matches nothing, a name matched twice, or a value that is no spec.
    """
    names = list(names)
    specs: dict[str, Spec] = {}
    taken: dict[str, str] = {}
    for pattern, spec in constraints.items():
        if not isinstance(spec, Spec):
            raise SpecError(f"constraints[{pattern!r}] must be a spec such as isoparam.Positive(), got {spec!r}")
        matched = select(pattern, names)
        if not matched:
            raise SpecError(f"constraints[{pattern!r}] matches no parameter; {_hint(pattern, names)}")
        for name in matched:
            if name in taken:
                raise SpecError(
                    f"parameter {name!r} is matched twice, by {taken[name]!r} and {pattern!r}; narrow one of the two keys"
                )
            taken[name] = pattern
            specs[name] = spec
    return specs


def _hint(pattern: str, names: list[str]) -> str:
    close = get_close_matches(pattern, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    return f"there are: {shown or 'none'}"
