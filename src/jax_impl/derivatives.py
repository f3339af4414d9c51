"""Hand-written derivatives: one decorator for elementwise maps, one for maps along the last axis."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax


def with_slope(slope: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give an elementwise function `f(x, *constants)` the derivative `slope(x, *constants)` with respect to x.

    # twin: torch needs an autograd.Function with jvp and vjp, JAX a custom_jvp; same formula for the derivative.

    Constants are floats or arrays that broadcast against x; they are not differentiated.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def differentiable(x: Any, *constants: Any) -> Any:
            bound = jax.custom_jvp(lambda x: function(x, *constants))
            bound.defjvp(lambda primals, tangents: (bound(*primals), slope(*primals, *constants) * tangents[0]))
            return bound(x)

        return differentiable

    return decorate


def with_rule(push: Callable[..., Any], pull: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function `f(x)` of the last axis the tangent `push(x, y, tangent)` and the cotangent `pull(x, y, cotangent)`.

    # twin: torch calls both, JAX transposes `push`; `pull` is that transpose, written out.
    """
    del pull

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        differentiable = jax.custom_jvp(function)

        @differentiable.defjvp
        def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            value = differentiable(*primals)
            return value, push(primals[0], value, tangents[0])

        return wraps(function)(differentiable)

    return decorate
