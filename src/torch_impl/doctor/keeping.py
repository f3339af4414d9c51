"""Where tensors with a history are kept: modules, classes, files and running functions."""

import sys
import types
from collections.abc import Iterator
from typing import Any

from torch import Tensor as Array
from torch import nn

from torch_impl.doctor.state import FOREIGN, PLAIN, Held, How, Search, is_foreign, module_entries

_OURS = ("isoparam", "torch_impl")


class Parts:
    """The modules of a model, listed once: that takes longer than to look into them.

    Attributes:
        model: the model.
        modules: (dotted path, module) of each; none for an object that is no module.
        ids: those of the modules.
        kinds: their classes, or that of the object.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.modules = list(model.named_modules()) if isinstance(model, nn.Module) else []
        self.ids = frozenset(id(module) for _, module in self.modules)
        things = [module for _, module in self.modules] or ([] if model is None else [model])
        self.kinds = list({type(thing): None for thing in things})


def in_modules(parts: Parts, search: Search) -> Iterator[Held]:
    """What the modules of a model keep, or an object that is no module."""
    if not parts.modules:
        for path, tensor, how in search.within(parts.model, ""):
            yield Held(path.lstrip("."), how or "attribute", _root_of(path.lstrip(".")), parts.model, tensor, path)
    for prefix, module in parts.modules:
        before = f"{prefix}." if prefix else ""
        for name, value in module_entries(module):
            if isinstance(value, nn.Module) and id(value) in search.seen:
                continue
            kind: How = "buffer" if name in module._buffers else "attribute"
            for path, tensor, how in search.within(value, name):
                yield Held(before + path, how or kind, name, module, tensor, path[len(name) :], search.inner)


def in_classes(parts: Parts, search: Search) -> Iterator[Held]:
    """What the classes of a model keep: class attributes, lru_cache, decorators, and the globals of their files."""
    files: dict[int, dict[str, Any]] = {}
    for kind in parts.kinds:
        for base in kind.__mro__:
            if is_foreign(base) or base is object or base.__module__ in ("builtins", "typing"):
                continue
            for name, value in list(vars(base).items()):
                if isinstance(value, types.FunctionType):
                    files.setdefault(id(value.__globals__), value.__globals__)
                if name.startswith("__") and not isinstance(value, types.FunctionType):
                    continue
                for path, tensor, how in search.within(value, name):
                    yield Held(path, how or "cache", name, base, tensor, path[len(name) :])
    for variables in files.values():
        yield from in_globals(variables, search)


def in_globals(variables: dict[str, Any], search: Search) -> Iterator[Held]:
    """What the variables of a file keep; its modules, classes and the functions of others are not entered."""
    package = str(variables.get("__name__", "")).partition(".")[0]
    if package in FOREIGN or id(variables) in search.seen:
        return
    search.seen.add(id(variables))
    for name, value in list(variables.items()):
        if name.startswith("__") or isinstance(value, PLAIN):
            continue
        if _is_foreign_value(value) and not isinstance(value, nn.Module):
            continue
        if isinstance(value, types.FunctionType) and value.__globals__ is not variables:
            continue
        for path, tensor, how in search.within(value, name):
            yield Held(path, how or "global", name, str(variables.get("__file__", "")), tensor, path[len(name) :], search.inner)


def _is_foreign_value(value: Any) -> bool:
    return not isinstance(value, Array) and is_foreign(type(value))


def in_frames(first: types.FrameType | None, search: Search, most: int = 12) -> Iterator[Held]:
    """What the functions that are running keep in their variables, the innermost first."""
    frame = first
    while frame is not None and most > 0:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in FOREIGN and package not in _OURS:
            most -= 1
            yield from in_frame(frame, search)
        frame = frame.f_back


def in_frame(frame: types.FrameType, search: Search) -> Iterator[Held]:
    """What one function keeps in its variables, and its file."""
    if frame.f_code.co_name != "<module>":
        where = f" (local of {frame.f_code.co_name})"
        for name, value in list(frame.f_locals.items()):
            if isinstance(value, PLAIN) or (_is_foreign_value(value) and not isinstance(value, nn.Module)):
                continue
            for path, tensor, told in search.within(value, name, depth=3):
                how = told if told in ("cache", "buffer") else "local"
                yield Held(path + where, how, name, frame.f_code, tensor, path[len(name) :], search.inner)
    yield from in_globals(frame.f_globals, search)


def caller() -> types.FrameType | None:
    """The innermost running frame that belongs neither to torch nor to the doctor."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in ("torch", *_OURS):
            return frame
        frame = frame.f_back
    return None


def _root_of(path: str) -> str:
    for end, letter in enumerate(path):
        if letter in ".[ (":
            return path[:end] or path
    return path
