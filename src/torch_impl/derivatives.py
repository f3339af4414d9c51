"""Hand-written derivatives: one decorator for elementwise maps, one for maps along the last axis."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import torch
from torch import Tensor


def with_slope(slope: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give an elementwise function `f(x, *constants)` the derivative `slope(x, *constants)` with respect to x.

    # twin: torch needs an autograd.Function with jvp and vjp, JAX a custom_jvp; same formula for the derivative.

    Constants are floats or arrays that broadcast against x; they are not differentiated.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        class Reverse(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(x: Tensor, *constants: Any) -> Tensor:
                return function(x, *constants)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                _keep(ctx, inputs)

            @staticmethod
            def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                inputs = _kept(ctx)
                return cotangent * slope(*inputs), *(None for _ in inputs[1:])

        class Both(Reverse):
            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                ctx.save_for_forward(*_keep(ctx, inputs))

            @staticmethod
            def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                return tangent * slope(*_kept(ctx))

        # Dynamo counts the parameters of `forward` to know that it takes no ctx.
        vars(Reverse)["forward"].__func__.__signature__ = signature(function)

        @wraps(function)
        def differentiable(x: Tensor, *constants: Any) -> Tensor:
            return _for_now(Reverse, Both).apply(x, *constants)

        return differentiable

    return decorate


def with_rule(push: Callable[..., Any], pull: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function `f(x)` of the last axis the tangent `push(x, y, tangent)` and the cotangent `pull(x, y, cotangent)`.

    # twin: torch calls both, JAX transposes `push`; `pull` is that transpose, written out.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        class Reverse(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(x: Tensor) -> Tensor:
                return function(x)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
                ctx.save_for_backward(inputs[0], output)

            @staticmethod
            def backward(ctx: Any, cotangent: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                return pull(*ctx.saved_tensors, cotangent)

        class Both(Reverse):
            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
                ctx.save_for_backward(inputs[0], output)
                ctx.save_for_forward(inputs[0], output)

            @staticmethod
            def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                return push(*ctx.saved_tensors, tangent)

        @wraps(function)
        def differentiable(x: Tensor) -> Tensor:
            return _for_now(Reverse, Both).apply(x)

        return differentiable

    return decorate


def _for_now(reverse: Any, both: Any) -> Any:
    """Eager calls get forward mode too; torch.compile, which refuses `jvp`, gets reverse mode only."""
    return reverse if torch.compiler.is_compiling() else both


def _keep(ctx: Any, inputs: tuple[Any, ...]) -> list[Tensor]:
    """Save the tensors of x, *constants, and remember the floats and flags between them."""
    tensors = [entry for entry in inputs if isinstance(entry, Tensor)]
    ctx.save_for_backward(*tensors)
    ctx.plain = tuple(None if isinstance(entry, Tensor) else entry for entry in inputs)
    return tensors


def _kept(ctx: Any) -> tuple[Any, ...]:
    tensors = iter(ctx.saved_tensors)
    return tuple(next(tensors) if entry is None else entry for entry in ctx.plain)
