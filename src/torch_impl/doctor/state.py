"""Every tensor with a history that somebody keeps: attributes, buffers, containers, objects, closures, caches, locals."""

import functools
import gc
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor as Array
from torch import nn

How = Literal["attribute", "buffer", "cache", "closure", "global", "local"]

DEPTH = 6  # how far into objects that hold objects
WIDTH = 200  # entries of one container that are looked at, from both ends
MOST = 20_000  # objects of one examination
PLAIN = (str, bytes, bytearray, int, float, bool, complex, type(None), type, types.ModuleType, types.CodeType, torch.dtype)
FOREIGN = (
    "torch",
    "numpy",
    "isoparam",
    "torch_impl",
    "jax",
    "_pytest",
    "pluggy",
    "pytest",
    "importlib",
    "logging",
    "threading",
)
_SKIPPED = frozenset(
    (
        *("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_is_full_backward_hook", "training"),
        *("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs", "_backward_hooks"),
        *("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
        *("_backward_pre_hooks", "_flat_weights", "_flat_weight_refs", "_flat_weights_names", "_all_weights"),
    )
)


class Held(NamedTuple):
    """One tensor that is kept.

    Attributes:
        attr: how a person would write it: "scales[1]", "act (closure cell 'scale')", "x (local of train)".
        how: what keeps it.
        root: the attribute, variable or function that it hangs on.
        owner: what has the root: a module or another object, a class, the code of a function, the path of a file.
        tensor: the tensor itself.
        below: what lies between root and tensor: ".scale", "[1]".
        inner: class and attribute of the object in between that has the tensor, or its container.
    """

    attr: str
    how: How
    root: str
    owner: Any
    tensor: Array
    below: str = ""
    inner: tuple[type, str] | None = None


class Search:
    """One walk over objects; an object is entered once, and only so many."""

    def __init__(self, known: Iterable[int] = ()) -> None:
        self.seen: set[int] = set(known)
        self.left = MOST
        self.inner: tuple[type, str] | None = None  # of the tensor found last: class and attribute around it

    def within(
        self, value: Any, path: str, depth: int = DEPTH, inner: tuple[type, str] | None = None
    ) -> Iterator[tuple[str, Array, How | None]]:
        """(path, tensor, how if it is told by the way) of every tensor inside of a value."""
        if isinstance(value, Array):
            self.inner = inner
            yield path, value, None
            return
        if isinstance(value, PLAIN) or depth < 0 or id(value) in self.seen or self.left <= 0:
            return
        if isinstance(value, torch.optim.Optimizer):
            return
        self.seen.add(id(value))
        self.left -= 1
        for name, part, how in self._parts(value):
            last = (type(value), name[1:]) if name.startswith(".") and not isinstance(value, tuple) else inner
            for whole, tensor, deeper in self.within(part, path + name, depth - 1, last):
                yield whole, tensor, deeper or how

    def _parts(self, value: Any) -> Iterator[tuple[str, Any, How | None]]:
        if isinstance(value, Mapping):
            for key, entry in _some(_items(value)):
                yield f"[{_brief(key)}]", entry, None
        elif isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
            names = getattr(value, "_fields", None)
            for index, entry in _some(list(enumerate(value))):
                yield (f".{names[index]}" if names else f"[{index}]"), entry, None
            if type(value) not in (list, tuple, set, frozenset):
                yield from ((f".{name}", entry, None) for name, entry in getattr(value, "__dict__", {}).items())
        elif isinstance(value, types.FunctionType):
            yield from _function_parts(value)
        elif isinstance(value, functools.partial):
            for index, entry in enumerate(value.args):
                yield f".args[{index}]", entry, "closure"
            for name, entry in value.keywords.items():
                yield f".keywords[{name!r}]", entry, "closure"
            yield ".func", value.func, None
        elif isinstance(value, functools._lru_cache_wrapper):
            for entry in self._cached(value):
                yield " (lru_cache)", entry, "cache"
        elif isinstance(value, types.MethodType):
            if not isinstance(value.__self__, nn.Module):
                yield ".__self__", value.__self__, None
            yield from _function_parts(value.__func__) if isinstance(value.__func__, types.FunctionType) else ()
        elif isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            yield from (
                (f" (local {name!r} of a generator)", entry, None) for name, entry in (frame.f_locals if frame else {}).items()
            )
        elif isinstance(value, staticmethod | classmethod):
            yield "", value.__func__, None
        elif isinstance(value, property):
            yield from (("", function, None) for function in (value.fget, value.fset) if function is not None)
        elif isinstance(value, nn.Module):
            for name, entry in module_entries(value):
                yield f".{name}", entry, "buffer" if name in value._buffers else None
            yield from ((f".{name}", entry, None) for name, entry in value._modules.items())
        elif not is_foreign(type(value)):
            yield from ((f".{name}", entry, None) for name, entry in _attributes(value))

    def _cached(self, wrapper: Any) -> Iterator[Any]:
        """The results that functools.lru_cache keeps, as the garbage collector sees them."""
        own = {id(wrapper.__wrapped__), id(type(wrapper))}
        for held in gc.get_referents(wrapper):
            if isinstance(held, Array | tuple | list):
                yield held
            elif isinstance(held, dict):
                for entry in list(held.values()):
                    if type(entry).__name__ != "_lru_list_elem" and id(entry) not in own and entry is not wrapper.__wrapped__:
                        yield entry
                    else:
                        yield from (part for part in gc.get_referents(entry) if isinstance(part, Array | tuple | list | dict))


def _function_parts(function: types.FunctionType) -> Iterator[tuple[str, Any, How | None]]:
    """What a function keeps between its calls."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            content = cell.cell_contents
        except ValueError:
            continue
        if not isinstance(content, nn.Module):
            yield f" (closure cell {name!r})", content, "closure"
    for index, entry in enumerate(function.__defaults__ or ()):
        yield f" (default argument {index})", entry, "closure"
    for name, entry in (function.__kwdefaults__ or {}).items():
        yield f" (default of {name!r})", entry, "closure"
    for name, entry in function.__dict__.items():
        if name != "__wrapped__" or isinstance(entry, types.FunctionType):
            yield f".{name}", entry, "cache"


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return list(value.items())
    except Exception:  # a mapping of somebody else may do anything
        return []


def _some(entries: list[Any]) -> list[Any]:
    return entries if len(entries) <= WIDTH else [*entries[: WIDTH // 2], *entries[-WIDTH // 2 :]]


def _brief(key: Any) -> str:
    text = repr(key) if isinstance(key, (*PLAIN, tuple)) else f"<{type(key).__name__}>"
    return text if len(text) <= 40 else text[:37] + "..."


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            member = kind.__dict__.get(name)
            if isinstance(member, types.MemberDescriptorType):
                try:
                    yield name, member.__get__(value, kind)
                except AttributeError:
                    continue


def is_foreign(kind: type) -> bool:
    """Whether the objects of a class are none of the user's; distributions of torch hold what the user gave them."""
    package = kind.__module__.partition(".")[0]
    return package in FOREIGN and not kind.__module__.startswith("torch.distributions")


def module_entries(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """What a module keeps besides parameters and submodules."""
    for name, buffer in list(module._buffers.items()):
        if buffer is not None:
            yield name, buffer
    for name, value in list(vars(module).items()):
        if name not in _SKIPPED and not isinstance(value, PLAIN):
            if name in ("_forward_hooks", "_forward_pre_hooks"):
                yield from ((f"{name}[{index}]", hook) for index, hook in enumerate(value.values()) if hook is not None)
            else:
                yield name, value
