"""Following the parameters that a step leaves without a gradient: not used at all, or with their way to the loss cut.

What is not used is no fault. So a parameter without a gradient is followed for a while: its class is changed for one that
sees each operation on it, and what is computed from it carries its name on, through `.data`, `.detach()` and `no_grad` too.
When the loss carries the name of a parameter, and its graph does not reach it, the way was cut. Numbers that leave torch, by
`.item()` or numpy, carry no names; that a parameter was read so is noted, and counts if it never has a gradient.
"""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn

ORIGIN = "_isoparam_origin"
_EXITS = frozenset(["item", "tolist", "numpy", "__float__", "__int__", "__index__", "__bool__", "__array__", "__complex__"])


class _Followed(torch.Tensor):
    """What was computed from a parameter that is followed."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _follow(func, args, kwargs or {})


class _FollowedParameter(nn.Parameter):
    """A parameter while it is followed."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _follow(func, args, kwargs or {})


def _tensors(value: Any, depth: int = 3) -> Iterable[Array]:
    if isinstance(value, Array):
        yield value
    elif depth and isinstance(value, list | tuple):
        for entry in value:
            yield from _tensors(entry, depth - 1)
    elif depth and isinstance(value, dict):
        for entry in value.values():
            yield from _tensors(entry, depth - 1)


def _follow(func: Any, args: Any, kwargs: Any) -> Any:
    """Do an operation as torch would, and hand the names of its arguments on to its results."""
    origins: dict[int, Any] = {}
    for tensor in _tensors((args, kwargs)):
        origins |= tensor.__dict__.get(ORIGIN, {})
    with torch._C.DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
    name = getattr(func, "__name__", "")
    follower = next(iter(origins.values()), None)
    if follower is None:
        return result
    if name in _EXITS:
        follower.left |= set(origins)
    elif not (name == "__get__" and getattr(getattr(func, "__self__", None), "__name__", "") != "data"):
        for tensor in _tensors(result):
            follower.pass_on(tensor, origins)
    return result


class Follower:
    """Follows some parameters through a step or two.

    Attributes:
        left: ids of those that were read as numbers.
    """

    def __init__(self) -> None:
        self.left: set[int] = set()
        self._parameters: dict[int, tuple[nn.Parameter, type]] = {}
        self._results: list[weakref.ref[Array]] = []

    def follow(self, parameters: Iterable[nn.Parameter]) -> None:
        """Begin to follow."""
        for parameter in parameters:
            if type(parameter) is nn.Parameter and id(parameter) not in self._parameters:
                self._parameters[id(parameter)] = (parameter, type(parameter))
                setattr(parameter, ORIGIN, {id(parameter): self})
                parameter.__class__ = _FollowedParameter

    def pass_on(self, tensor: Array, origins: dict[int, Any]) -> None:
        """Note where a result came from."""
        if id(tensor) in self._parameters:
            return
        if type(tensor) is Array:
            tensor.__class__ = _Followed
        elif type(tensor) is nn.Parameter:
            tensor.__class__ = _FollowedParameter
        if type(tensor) in (_Followed, _FollowedParameter):
            setattr(tensor, ORIGIN, tensor.__dict__.get(ORIGIN, {}) | origins)
            self._results.append(weakref.ref(tensor))

    def origins(self, tensors: Iterable[Any]) -> set[int]:
        """The ids of the parameters that some tensors were computed from, by whatever way."""
        return {key for tensor in tensors if isinstance(tensor, Array) for key in tensor.__dict__.get(ORIGIN, {})}

    def release(self) -> None:
        """Make everything what it was."""
        known = [parameter for parameter, _ in self._parameters.values()]
        for tensor in (*known, *(reference() for reference in self._results)):
            if tensor is not None and ORIGIN in tensor.__dict__:
                delattr(tensor, ORIGIN)
                plain: Any = nn.Parameter if type(tensor) is _FollowedParameter else Array
                tensor.__class__ = plain
        self._parameters, self._results = {}, []
