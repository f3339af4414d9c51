"""Compiled functions that go on with an array which was replaced: what they hold, and where it came from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Finding, History
from jax_impl.doctor.callers import user_frames, variables
from jax_impl.doctor.places import holders, is_array, label, source
from jax_impl.doctor.reach import constants
from jax_impl.doctor.tracing import Trace, split_place, where

STALE = "updates do not reach it, in silence"
_MEANT = frozenset(
    """
    initial init baseline before first start snapshot best previous prev prior backup original copy saved
    teacher target targets frozen fixed ema polyak slow average averaged reference ref anchor old
    """.split()  # noqa: SIM905
)


@dataclass
class Held:
    """One array that a compiled function holds.

    Attributes:
        value: the array.
        place: "file:line" of the operation that reads it.
        inside: where the function itself keeps it: closure, global, partial, attribute of self.
        outside: where a caller kept it: (identity of the frame, name of the variable).
        drift: (number of the call, mean of what is there by now).
    """

    value: Any
    place: str
    inside: tuple[str, ...]
    outside: tuple[tuple[int, str], ...]
    drift: list[tuple[int, float]] = field(default_factory=list)


@dataclass
class Program:
    """One traced version of a compiled function."""

    closed: Any
    held: list[Held] = field(default_factory=list)
    calls: int = 0


def program(jitted: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Program:
    """What a call of a compiled function runs: its trace is taken from JAX's cache, and the function is not run again."""
    closed = jitted.trace(*args, **kwargs).jaxpr
    made = Program(closed)
    inside = list(holders(roots(jitted, args, kwargs)))
    around = [(id(frame), name, value) for frame in user_frames() for name, value in _around(frame)]
    seen: set[int] = set()
    for value, eqn in constants(closed):
        if not _is_watched(value) or id(value) in seen:
            continue
        seen.add(id(value))
        own = tuple(path for path, each in inside if each is value)
        others = tuple((frame, name) for frame, name, each in around if each is value)
        made.held.append(Held(value, where(eqn) if eqn is not None else "", own, others))
    return made


def replaced(jitted: Any, known: Program, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[Finding]:
    """What a later call of the same program still uses although it was replaced where it came from.

    Args:
        jitted: the compiled function.
        known: what it runs.
        args: the arguments of this call.
        kwargs: those by name.
    """
    now = dict(holders(roots(jitted, args, kwargs)))
    given = {id(value) for value in jax.tree.leaves((args, kwargs))}
    around: dict[tuple[int, str], Any] | None = None
    for held in known.held:
        if held.inside:
            new = [(path, now[path]) for path in held.inside if path in now]
            gone = all(value is not held.value for _, value in new)
            if new and gone and _is_alike(new[0][1], held.value):
                yield stale_program(jitted, held, new[0][0], known, new[0][1])
                continue
        if around is None:
            around = {(id(frame), name): value for frame in user_frames() for name, value in _around(frame)}
        if held.outside and not _is_meant(jitted, held):
            later = [(name, around[frame, name]) for frame, name in held.outside if (frame, name) in around]
            moved = [(name, value) for name, value in later if value is not held.value and _is_alike(value, held.value)]
            if moved and len(moved) == len(later) and not any(id(value) in given for _, value in moved):
                yield stale_program(jitted, held, moved[0][0], known, moved[0][1])


def stale_program(jitted: Any, held: Held, name: str, known: Program, now: Any) -> Finding:
    """A compiled function that still uses the array which `name` held when it was traced.

    Args:
        jitted: the function.
        held: the array.
        name: where it was.
        known: what it runs.
        now: what is there by now.
    """
    was = _mean(held.value)
    held.drift = held.drift or [(0, was)]
    held.drift.append((known.calls, _mean(now)))
    steps, fresh = zip(*held.drift, strict=True)
    caller = label(jitted)
    file, line = split_place(held.place)
    if not file:
        file, line = source(jitted)
    message = (
        f"{caller} was compiled with {name} as it was then, and that array is a constant of it: "
        f"{name} is another array by now, and the calls go on with the old one."
    )
    parameter = name.replace("['", ".").replace("']", "").removeprefix("self.")
    taken, short = name.split("[")[0].split(".")[0], caller.rpartition(".")[2]
    fix = f"take {taken} as an argument of {short}, and pass the current one at each call"
    history = History(f"mean of {parameter}", steps, fresh, (was,) * len(steps))
    attr = f"{caller} ({name})"
    return Finding(
        "jit-captured-param",
        attr,
        (parameter,),
        file,
        line,
        message,
        fix,
        STALE,
        _way(known.closed, held.value),
        history=history,
    )


def _way(closed: Any, value: Any) -> tuple[str, ...]:
    """Operations from what the function returns back to one of its constants."""
    constants_at = [var for var, each in zip(closed.jaxpr.constvars, closed.consts, strict=True) if each is value]
    names = Trace(closed, (True,) * len(closed.jaxpr.outvars), 0).path(
        lambda var: var is value or any(var is each for each in constants_at)
    )
    return ("output", *names[1:]) if names else ()


def _mean(value: Any) -> float:
    return float(np.mean(np.asarray(value, dtype=np.float64))) if np.size(value) else 0.0


def roots(jitted: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any] | list[Any]:
    """The function, and those of its arguments that are no pytrees of arrays: static ones such as self."""
    static = [
        value
        for value in (*args, *kwargs.values())
        if not any(is_array(leaf) or isinstance(leaf, int | float | complex) for leaf in jax.tree.leaves(value))
    ]
    function = getattr(jitted, "__wrapped__", jitted)
    return _Roots(function, static) if static else function  # pyright: ignore[reportReturnType]


class _Roots:
    """A function and its static arguments, walked together; `self` is what a reader calls the first of them."""

    def __init__(self, function: Any, static: list[Any]) -> None:
        self.__wrapped__ = function
        self.self = static[0]
        self.more = static[1:]


def _around(frame: Any) -> Iterator[tuple[str, Any]]:
    """(name, array) of the variables of one frame, two levels deep: params, params['w'], state.params['w']."""
    for name, value in variables(frame).items():
        if is_array(value):
            yield name, value
        elif isinstance(value, dict | list | tuple) or _is_record(value):
            try:
                pairs = jax.tree_util.tree_leaves_with_path(value)
            except (TypeError, ValueError):
                continue
            for path, leaf in pairs[:400]:
                if is_array(leaf):
                    yield name + jax.tree_util.keystr(path), leaf


def _is_record(value: Any) -> bool:
    return not callable(value) and not isinstance(value, str | bytes | int | float | type(None)) and hasattr(value, "__dict__")


def _is_watched(value: Any) -> bool:
    """Arrays of floats; traced ones belong to a program around this one."""
    return is_array(value) and not isinstance(value, Tracer) and jnp.issubdtype(value.dtype, jnp.inexact)


def _is_alike(new: Any, old: Any) -> bool:
    return np.shape(new) == np.shape(old) and getattr(new, "dtype", None) == getattr(old, "dtype", None)


def _is_meant(jitted: Any, held: Held) -> bool:
    """A teacher, a target, the function before training: the names say that the old parameters are wanted."""
    names = [label(jitted), *(name for _, name in held.outside), *held.inside]
    for frame in user_frames():
        names.extend(name for name, value in variables(frame).items() if value is jitted)
    words = {word for name in names for word in re.split(r"[^a-z]+", name.lower())}
    return bool(words & _MEANT)
