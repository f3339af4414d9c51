"""Where a function or an object keeps arrays: closures, globals it reads, partials, bound objects, attributes, containers."""

import dis
import functools
import types
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer

DEPTH = 7
MOST = 4000  # objects; what lies further away is not looked into
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, range, slice, np.dtype)


def holders(root: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, array) of every array, traced ones included, that can be reached from a function or an object."""
    seen: set[int] = set()
    queue: list[tuple[str, Any, int]] = [(name, root, 0)]
    while queue and len(seen) < MOST:
        path, value, depth = queue.pop(0)
        if isinstance(value, _PLAIN):
            continue
        if is_array(value):
            yield path, value
            continue
        if id(value) in seen or depth > DEPTH:
            continue
        seen.add(id(value))
        queue.extend((child_path, child, depth + 1) for child_path, child in _children(path, value))


def is_array(value: Any) -> bool:
    """A JAX array, a traced one, or one of numpy."""
    return isinstance(value, jax.Array | np.ndarray | Tracer)


def label(function: Any) -> str:
    """How a reader calls a function: its name, or that of what it wraps."""
    if isinstance(function, functools.partial):
        return label(function.func)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return str(name).replace("<locals>.", "") if name else type(function).__name__


def source(function: Any) -> tuple[str, int]:
    """("file", line) of a function; ("", 0) if there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    for _ in range(8):
        inner = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    code = getattr(function, "__code__", None) or getattr(vars(type(function)).get("__call__"), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, nnx.Variable):
        yield path, value.get_raw_value()
    elif isinstance(value, dict):
        yield from ((f"{path}[{key!r}]", held) for key, held in list(value.items())[:200])
    elif isinstance(value, list | tuple | set | frozenset):
        names = getattr(value, "_fields", None)
        for place, held in enumerate(list(value)[:200]):
            yield (f"{path}.{names[place]}" if names else f"{path}[{place}]"), held
    elif isinstance(value, functools.partial):
        yield path, value.func
        yield from ((_join(path, f"partial[{place}]"), held) for place, held in enumerate(value.args))
        yield from ((_join(path, f"partial.{name}"), held) for name, held in value.keywords.items())
    elif isinstance(value, types.MethodType):
        yield _join(path, "self"), value.__self__
        yield path, value.__func__
    elif isinstance(value, types.FunctionType):
        yield from _of_function(path, value)
    else:
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and wrapped is not value:
            yield path, wrapped
        yield from _of_object(path, value)


def _of_function(path: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Free variables, the globals that the code reads, defaults; and what was attached, as functools.wraps does."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in _globals_read(function.__code__):
        if name in function.__globals__:
            held = function.__globals__[name]
            if not isinstance(held, types.FunctionType) or held.__module__ == function.__module__:
                yield name, held
    for place, held in enumerate(function.__defaults__ or ()):
        yield _join(path, f"default[{place}]"), held
    yield from ((_join(path, name), held) for name, held in (function.__kwdefaults__ or {}).items())
    yield from ((name, held) for name, held in function.__dict__.items() if name == "__wrapped__")


@functools.lru_cache(maxsize=2048)
def _globals_read(code: types.CodeType) -> tuple[str, ...]:
    """Names of globals that the code, or a function inside of it, reads."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names |= set(_globals_read(const))
    return tuple(sorted(names))


def _of_object(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    module = type(value).__module__.partition(".")[0]
    if module in ("jax", "jaxlib", "numpy", "builtins", "threading", "weakref", "logging") and not is_dataclass(value):
        return
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in held and not name.startswith("__"):
                held[name] = getattr(value, name, None)
    yield from ((_join(path, name), each) for name, each in held.items() if not name.startswith("_pytree__"))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
