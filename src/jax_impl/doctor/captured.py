"""Parameters that are constants of a function: told by the identity of the arrays, never by their numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.leaves import Leaves
from jax_impl.doctor.places import holders, is_array, label, source
from jax_impl.doctor.reach import constants
from jax_impl.doctor.tracing import Trace, split_place, where

STALE = "updates do not reach it, in silence"


def is_compiled(function: Any) -> bool:
    """Whether it is what jax.jit gives (or wraps it)."""
    return callable(getattr(function, "lower", None)) and callable(getattr(function, "trace", None))


def captured_leaves(function: Callable[..., Any], traced: Trace, leaves: Leaves, given: bool) -> list[Finding]:
    """Leaves that the function holds as constants instead of taking them as an argument.

    A leaf that it takes as well is not meant: an anchor, a teacher, the value before the step.

    Args:
        function: what was traced.
        traced: its trace.
        leaves: the parameters.
        given: whether the function takes the parameters as an argument.
    """
    held = [(value, eqn) for value, eqn in constants(traced.closed) if is_array(value)]
    kept = {id(value): path for path, value in holders(function)}
    found = []
    for place, name in enumerate(leaves.names):
        value = leaves.values[place]
        if not leaves.trained[place] or traced.used[place] or isinstance(value, Tracer) or not is_array(value):
            continue
        same = next(((each, eqn) for each, eqn in held if is_same(each, value)), None)
        if same is None and id(value) in kept and any(_replaces(value, each, kept) for each, _ in held):
            same = next((each, eqn) for each, eqn in held if _replaces(value, each, kept))
        if same is not None:
            found.append(_captured(function, name, kept.get(id(value), ""), traced, same, given))
    return found


def is_same(constant: Any, value: Any) -> bool:
    """The same array, by identity; numpy's by the memory that they share."""
    if constant is value:
        return True
    if isinstance(constant, np.ndarray) and isinstance(value, np.ndarray):
        return constant.shape == value.shape and np.shares_memory(constant, value)
    return False


def _replaces(value: Any, constant: Any, kept: dict[int, str]) -> bool:
    """An array of this shape that the function no longer holds anywhere: it was there when the function was compiled."""
    same_kind = np.shape(value) == np.shape(constant) and value.dtype == getattr(constant, "dtype", None)
    return same_kind and np.ndim(value) > 0 and id(constant) not in kept


def _captured(function: Any, name: str, path: str, traced: Trace, same: tuple[Any, Any], given: bool) -> Finding:
    constant, eqn = same
    file, line = split_place(where(eqn)) if eqn is not None else ("", 0)
    if not file:
        file, line = source(function)
    caller = label(function)
    attr = f"{caller} ({path})" if path and path != name else caller
    held = f" as {path}" if path else ""
    compiled = is_compiled(function) or not given
    message = (
        f"{caller} holds {name}{held} as a constant: it was read while {'tracing' if compiled else 'the function was made'}, "
        "and is not an argument."
    )
    fix = f"def {caller.rpartition('.')[2]}(params, ...): take {name} as an argument, and call it with the current parameters"
    back = traced.path(lambda var: var is constant)
    return Finding("jit-captured-param", attr, (name,), file, line, message, fix, STALE, back)
