"""Hand-written derivatives: one decorator for elementwise maps, one for maps along the last axis."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import (  # pyright: ignore[reportMissingImports]  no public names say this
    is_functorch_wrapped_tensor,
    is_legacy_batchedtensor,
)
from torch.autograd import forward_ad


def with_slope(
    slope: Callable[..., Any], pull: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give an elementwise function `f(x, *constants)` the derivative `slope(x, *constants)` with respect to x.

    # twin: torch needs an autograd.Function with jvp and vjp, JAX a custom_jvp; same formula for the derivative.

    Constants are floats or arrays that broadcast against x; they are not differentiated. `pull(cotangent, x, *constants)`
    is the same product in fewer passes over the memory, for the first derivative in eager reverse mode.
    """

    def push(inputs: tuple[Any, ...], _: Any, tangent: Tensor) -> Tensor:
        return tangent * slope(*inputs)

    return _with_derivatives(push, push, needs_output=False, fused=pull)


def with_rule(
    push: Callable[..., Any],
    pull: Callable[..., Any],
    quick: Callable[..., Any] | None = None,
    *,
    keeps_value: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function `f(x)` of the last axis the tangent `push(x, y, tangent)` and the cotangent `pull(x, y, cotangent)`.

    # twin: torch calls both, JAX transposes `push`; `pull` is that transpose, written out.

    Python numbers may follow x in all three. `quick(x, y, cotangent)` is `pull` in fewer passes over the memory, for the
    first derivative in eager reverse mode. Without `keeps_value` none reads y, so that it may be changed in place.
    """

    def push_all(inputs: tuple[Tensor], output: Tensor, tangent: Tensor) -> Tensor:
        return push(*inputs, output, tangent)

    def pull_all(inputs: tuple[Tensor], output: Tensor, cotangent: Tensor) -> Tensor:
        return pull(*inputs, output, cotangent)

    def quick_all(cotangent: Tensor, x: Tensor, *rest: Any) -> Tensor:
        assert quick is not None
        output, numbers = (rest[0], rest[1:]) if keeps_value else (None, rest)
        return quick(x, *numbers, output, cotangent)

    return _with_derivatives(push_all, pull_all, needs_output=keeps_value, fused=quick_all if quick else None)


def _with_derivatives(
    push: Callable[..., Tensor], pull: Callable[..., Tensor], *, needs_output: bool, fused: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Decorate a function: `push` and `pull` get (inputs, output if needed, tangent or cotangent)."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        class Reverse(torch.autograd.Function):
            """Reverse mode: all that torch.compile accepts."""

            @staticmethod
            def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                output = function(x, *constants)
                ctx.save_for_backward(x, output) if needs_output else ctx.save_for_backward(x)
                ctx.constants = constants
                return output

            @staticmethod
            def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                x, *output = ctx.saved_tensors
                with full_digits(x):
                    change = pull((x, *ctx.constants), output[0] if needs_output else None, cotangent)
                return (change, *(None for _ in ctx.constants)) if ctx.constants else change

        class Eager(torch.autograd.Function):
            """The same with few steps in Python, which cost more than the arithmetic of a hundred entries."""

            @staticmethod
            def forward(ctx: Any, x: Tensor, constants: tuple[Any, ...] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                output = function(x, *constants)
                if needs_output:
                    ctx.save_for_backward(x, output)
                else:
                    ctx.save_for_backward(x)
                if constants:
                    ctx.constants = constants
                return output

            @staticmethod
            def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                saved = ctx.saved_tensors
                constants = ctx.constants if len(ctx.needs_input_grad) > 1 else ()
                if fused is not None and not (torch.is_grad_enabled() or _batched(cotangent)):
                    return fused(cotangent, *saved, *constants), None
                with full_digits(saved[0]):
                    return pull((saved[0], *constants), saved[-1], cotangent), None

        class Both(torch.autograd.Function):
            """Reverse and forward mode, composable with the transforms of torch.func."""

            @staticmethod
            def forward(*inputs: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                return function(*inputs)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                ctx.save_for_forward(*_keep(ctx, inputs, output))

            @staticmethod
            def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
                inputs, output = _kept(ctx)
                with full_digits(output):
                    return pull(inputs, output, cotangent), *(None for _ in inputs[1:])

            @staticmethod
            def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
                inputs, output = _kept(ctx)
                # torch switches forward mode off in here, which would make the derivative of this derivative 0.
                with forward_ad._set_fwd_grad_enabled(True):
                    return push(tuple(_primal(entry) for entry in inputs), _primal(output), tangent)

            @staticmethod
            def vmap(_: Any, in_dims: tuple[int, ...], x: Tensor, *constants: Any) -> tuple[Tensor, int]:  # pyright: ignore[reportIncompatibleMethodOverride]
                # Only x has a batch axis. In front it is out of the way of the last axis and of constants.
                return Both.apply(x.movedim(in_dims[0], 0), *constants), 0

        _declare(Reverse, [Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD), *signature(function).parameters.values()])
        _declare(Both, list(signature(function).parameters.values()))

        # Without the part in Python of Function.apply, which serves torch.func.
        apply: Any = super(torch.autograd.Function, Eager).apply  # pyright: ignore[reportAttributeAccessIssue]

        @wraps(function)
        def differentiable(x: Tensor, *constants: Any) -> Tensor:
            if torch.compiler.is_exporting():  # an exported program keeps the body only, and of a Function without gradient
                return function(x, *constants)
            if torch.compiler.is_compiling():
                return Reverse.apply(x, *constants)
            if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
                return Both.apply(x, *constants)
            if not torch.is_grad_enabled():
                return function(x, *constants)
            if is_functorch_wrapped_tensor(x):  # what is left of a transform that has ended
                return Reverse.apply(x, *constants)
            return apply(x, constants) if constants else apply(x)

        return differentiable

    return decorate


def plain_eager() -> bool:
    """Whether nothing traces, maps or differentiates forward: reverse mode of eager code, or no derivative at all."""
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return not traced and forward_ad._current_level < 0


def full_digits(array: Tensor) -> AbstractContextManager[Any]:
    """No autocast for the time of a block: what was computed in bfloat16 would be no member of its set.

    # No twin: JAX has no mode that lowers the digits of operations behind their backs.
    """
    if not torch._C._is_any_autocast_enabled():
        return nullcontext()
    kind = array.device.type
    lowered = torch.amp.autocast_mode.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if lowered else nullcontext()


def _batched(cotangent: Tensor) -> bool:
    """Whether many cotangents come at once: under vmap, or as torch.autograd.grad takes them with is_grads_batched."""
    return torch._C._are_functorch_transforms_active() or is_legacy_batchedtensor(cotangent)


def _declare(function: Any, parameters: list[Parameter]) -> None:
    """State the parameters that `*inputs` stands for: torch counts and binds them."""
    vars(function)["forward"].__func__.__signature__ = signature(vars(function)["forward"].__func__).replace(
        parameters=parameters
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> list[Tensor]:
    """Save the tensors among the inputs and the output, and remember the floats and flags between them."""
    tensors = [entry for entry in inputs if isinstance(entry, Tensor)]
    ctx.save_for_backward(*tensors, output)
    ctx.plain = tuple(None if isinstance(entry, Tensor) else entry for entry in inputs)
    return [*tensors, output]


def _primal(entry: Any) -> Any:
    """A tensor without its tangent at the present level of forward mode; outer levels stay."""
    return forward_ad.unpack_dual(entry).primal if isinstance(entry, Tensor) else entry


def _kept(ctx: Any) -> tuple[tuple[Any, ...], Tensor]:
    *tensors, output = ctx.saved_tensors
    rest = iter(tensors)
    return tuple(next(rest) if entry is None else entry for entry in ctx.plain), output
