"""The built-in problems, each with its data, its source, its published result and the recipe that reaches it."""

from difflib import get_close_matches
from importlib import import_module

from isoparam.errors import SpecError
from isoparam.problem import Problem
from isoparam.problems import nist

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
_REGRESSIONS = {f"nist-{name}": name for name in nist.NAMES}


def names() -> tuple[str, ...]:
    """Names of the built-in problems.

    Example:
        >>> import isoparam as iso
        >>> "linkage" in iso.problems.names()
        True
    """
    return (*_PLACES, *_REGRESSIONS)


def get(name: str) -> Problem:
    """A built-in problem.

    Raises:
        SpecError: for an unknown name; the message names the nearest one, or the members of a family.

    Example:
        >>> import isoparam as iso
        >>> iso.problems.get("linkage").published
        mappingproxy({'t': 0.6268214978709824})
    """
    if name in _REGRESSIONS:
        return nist.regression(_REGRESSIONS[name])
    if name == "nist":
        raise SpecError(f"'nist' is a family of problems; name one of them: {', '.join(map(repr, _REGRESSIONS))}")
    if name not in _PLACES:
        close = get_close_matches(str(name), names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(map(repr, names()))}"
        raise SpecError(f"unknown problem {name!r}; {hint}")
    file, _, constant = _PLACES[name].partition(":")
    return getattr(import_module(f"isoparam.problems.{file}"), constant)
