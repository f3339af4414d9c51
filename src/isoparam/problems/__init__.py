"""The built-in problems, each with its data, its source, its published result and the recipe that reaches it."""

from difflib import get_close_matches
from importlib import import_module

from isoparam.errors import SpecError
from isoparam.problem import Problem

__all__ = ["get", "names"]

# {name: file:constant}. A file is imported, and its data read, when its problem is asked for.
_PLACES = {
    "scalar": "scalar:SCALAR",
    "linkage": "linkage:LINKAGE",
    "faithful": "faithful:FAITHFUL",
    "garch": "garch:GARCH",
    "hmm": "hmm:HMM",
    "abo": "abo:ABO",
}


def names() -> tuple[str, ...]:
    """Names of the built-in problems.

    Example:
        >>> import isoparam as iso
        >>> "linkage" in iso.problems.names()
        True
    """
    return tuple(_PLACES)


def get(name: str) -> Problem:
    """A built-in problem.

    Raises:
        SpecError: for an unknown name; the message names the nearest one.

    Example:
        >>> import isoparam as iso
        >>> iso.problems.get("linkage").published
        mappingproxy({'t': 0.6268214978709824})
    """
    if name not in _PLACES:
        close = get_close_matches(str(name), _PLACES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(map(repr, _PLACES))}"
        raise SpecError(f"unknown problem {name!r}; {hint}")
    file, _, constant = _PLACES[name].partition(":")
    return getattr(import_module(f"isoparam.problems.{file}"), constant)
