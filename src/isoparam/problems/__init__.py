"""The built-in problems, each with its data, its source, its published result and the recipe that reaches it."""

from difflib import get_close_matches

from isoparam.errors import SpecError
from isoparam.problem import Problem
from isoparam.problems.linkage import LINKAGE
from isoparam.problems.scalar import SCALAR

__all__ = ["get", "names"]

_PROBLEMS = {problem.name: problem for problem in (SCALAR, LINKAGE)}


def names() -> tuple[str, ...]:
    """Names of the built-in problems.

    Example:
        >>> import isoparam as iso
        >>> "linkage" in iso.problems.names()
        True
    """
    return tuple(_PROBLEMS)


def get(name: str) -> Problem:
    """A built-in problem.

    Raises:
        SpecError: for an unknown name; the message names the nearest one.

    Example:
        >>> import isoparam as iso
        >>> iso.problems.get("linkage").published
        mappingproxy({'t': 0.6268214978709824})
    """
    if name not in _PROBLEMS:
        close = get_close_matches(str(name), _PROBLEMS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(map(repr, _PROBLEMS))}"
        raise SpecError(f"unknown problem {name!r}; {hint}")
    return _PROBLEMS[name]
