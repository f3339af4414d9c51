"""Hand-written derivatives: one decorator for elementwise maps, one for maps along the last axis."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any

import jax
import numpy as np


def settings_for(array: Any) -> ExitStack:
    """The settings that rules and derivatives compute in, for the time of a block, whatever those of the program are.

    # No twin: JAX can forbid float64 and the broadcasting of shapes of different lengths; torch has no such settings.

    A derivative of a compiled map is traced after the call of the map has returned, so both have to ask for them.
    """
    stack = ExitStack()
    config: Any = jax.config
    if array.dtype == np.float64 and not config.jax_enable_x64:
        stack.enter_context(jax.enable_x64(True))
    if config.jax_numpy_rank_promotion != "allow":
        stack.enter_context(jax.numpy_rank_promotion("allow"))
    return stack


def with_slope(
    slope: Callable[..., Any], pull: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give an elementwise function `f(x, *constants)` the derivative `slope(x, *constants)` with respect to x.

    # twin: torch needs an autograd.Function with jvp and vjp, JAX a custom_jvp; same formula for the derivative.

    Constants are floats or arrays that broadcast against x; they are not differentiated. XLA fuses the product, so that
    `pull`, which torch takes for it, is not needed.
    """
    del pull

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def differentiable(x: Any, *constants: Any) -> Any:
            # JAX traces the derivative of a compiled map after the map: arrays of that trace reach it as arguments only.
            arrays = [constant for constant in constants if isinstance(constant, jax.Array)]
            others = [None if isinstance(constant, jax.Array) else constant for constant in constants]

            def filled(arrays: Any) -> tuple[Any, ...]:
                rest = iter(arrays)
                return tuple(next(rest) if other is None else other for other in others)

            bound = jax.custom_jvp(lambda x, *arrays: function(x, *filled(arrays)))

            @bound.defjvp
            def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
                x, *arrays = primals
                with settings_for(x):
                    return bound(*primals), slope(x, *filled(arrays)) * tangents[0]

            return bound(x, *arrays)

        return differentiable

    return decorate


def with_rule(
    push: Callable[..., Any],
    pull: Callable[..., Any],
    quick: Callable[..., Any] | None = None,
    *,
    keeps_value: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function `f(x)` of the last axis the tangent `push(x, y, tangent)` and the cotangent `pull(x, y, cotangent)`.

    # twin: torch calls both, JAX transposes `push`; `pull` is that transpose, written out.

    Python numbers may follow x in all three. XLA fuses the passes over the memory, so that `quick`, which torch takes in
    eager reverse mode, is not needed. Without `keeps_value` neither reads y, so that it may be changed in place.
    """
    del pull, quick, keeps_value

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def ruled(numbers: tuple[Any, ...]) -> Callable[..., Any]:
            differentiable = jax.custom_jvp(lambda x: function(x, *numbers))

            @differentiable.defjvp
            def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
                with settings_for(primals[0]):
                    value = differentiable(*primals)
                    return value, push(primals[0], *numbers, value, tangents[0])

            return differentiable

        alone = ruled(())
        return wraps(function)(lambda x, *numbers: ruled(numbers)(x) if numbers else alone(x))

    return decorate
