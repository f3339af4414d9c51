"""The functions of JAX, Flax and optax that are watched for the length of a `with`, and put back after it."""

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
from flax import nnx
from flax.errors import TraceContextError

from jax_impl.doctor.callers import is_users

_MISSING = object()


class Compiled:
    """What jax.jit gave, called by way of the watch; everything else is asked of it."""

    def __init__(self, jitted: Any, function: Any, call: Callable[["Compiled", tuple[Any, ...], dict[str, Any]], Any]) -> None:
        functools.update_wrapper(self, jitted)
        self.__wrapped__ = function
        self.jitted = jitted
        self.call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.call(self, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method where it stands in a class."""
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """lower, trace, eval_shape, clear_cache, ..."""
        return getattr(self.__dict__["jitted"], name)


class Patches:
    """Attributes that are replaced; `undo` puts all of them back."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Set an attribute and remember what was there."""
        self.done.append((owner, name, vars(owner).get(name, _MISSING)))
        setattr(owner, name, new)

    def undo(self) -> None:
        """Everything as it was."""
        while self.done:
            owner, name, old = self.done.pop()
            if old is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, old)

    def everywhere(self, old: Any, new: Any) -> None:
        """Replace a function wherever a module of the user imported it by name."""
        for module in user_modules():
            for name, value in list(vars(module).items()):
                if value is old:
                    self.replace(module, name, new)


def user_modules() -> Iterator[types.ModuleType]:
    """The modules that are the user's own."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(module, types.ModuleType) and (name == "__main__" or (isinstance(file, str) and is_users(file))):
            yield module


def compiled_already(patches: Patches, wrap: Callable[[Any], Any]) -> None:
    """Watch what was compiled before the watch began: globals of the user's modules, and methods of their classes.

    Args:
        patches: where the replacements are noted.
        wrap: makes a watched function of a compiled one.
    """
    for module in user_modules():
        for name, value in list(vars(module).items()):
            if is_compiled(value):
                patches.replace(module, name, wrap(value))
            elif isinstance(value, type) and value.__module__ == module.__name__:
                for key, method in list(vars(value).items()):
                    if is_compiled(method):
                        patches.replace(value, key, wrap(method))


def is_compiled(value: Any) -> bool:
    """Whether jax.jit made it; its type has no public name."""
    return type(value).__name__ == "PjitFunction"


def watched_jit(original: Any, wrap: Callable[[Any, Any], Any]) -> Any:
    """jax.jit, whose functions are watched; as a decorator with options, too."""

    @functools.wraps(original)
    def jit(fun: Any = None, /, **options: Any) -> Any:
        if fun is None:
            if "fun" in options:
                return jit(options.pop("fun"), **options)
            return functools.partial(jit, **options)
        return wrap(original(fun, **options), fun)

    return jit


def watched_grad(original: Any, call: Callable[..., Any]) -> Any:
    """jax.grad or jax.value_and_grad, whose functions are watched; nnx's as well, which may be decorators with options."""

    @functools.wraps(original)
    def transform(*given: Any, **options: Any) -> Any:
        function = given[0] if given else options.get("fun", options.get("f"))
        if not callable(function):
            made = original(*given, **options)
            return (lambda fun: transform(fun, *given, **options)) if callable(made) else made
        made = original(*given, **options)
        argnums = given[1] if len(given) > 1 else options.get("argnums", 0)

        @functools.wraps(made)
        def watched(*args: Any, **kwargs: Any) -> Any:
            return call(function, argnums, made, args, kwargs)

        return watched

    return transform


def watched_error(kind: type[BaseException], patches: Patches, seen: Callable[[BaseException], None]) -> None:
    """Hear of an error when it is made, since a program may catch it."""
    original: Any = kind.__init__

    def __init__(self: BaseException, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        seen(self)

    patches.replace(kind, "__init__", __init__)


LEAKS: tuple[type[BaseException], ...] = (jax.errors.UnexpectedTracerError, TraceContextError)
ORIGINALS = {"jit": jax.jit, "grad": jax.grad, "value_and_grad": jax.value_and_grad}
OF_NNX = {"grad": nnx.grad, "value_and_grad": nnx.value_and_grad}
