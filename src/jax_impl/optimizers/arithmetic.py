"""The operations of torch's optimizers, each rounded as torch rounds it; a name with _ at its end changes its first argument.

# twin: torch's own operations, in place where the name ends with _; JAX returns new arrays, so there both forms are one.

torch adds a multiple of an array with one rounding (a fused multiply-add, on every x86-64 of the last ten years) and rounds
every other result. XLA would fuse any product into the sum that follows, also across two operations of torch; `_rounded`
stands where it must not. What is narrower than float32 is computed in float32, and rounded once for each operation.

Numbers are Python's, or 0-d arrays in float64 under `jax.enable_x64`, rounded once to the dtype of the arrays they meet.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.optimizers import Optimizer
from jax_impl.exact import root


def _in_float32(operation: Callable[..., Array]) -> Callable[..., Array]:
    """The operation, with arrays of less than 32 bits widened for its time."""

    @wraps(operation)
    def wide(x: Array, *others: Any) -> Array:
        if x.dtype.itemsize >= 4:
            return operation(x, *others)
        widened = (other.astype(jnp.float32) if _is_like(other, x) else other for other in others)
        return operation(x.astype(jnp.float32), *widened).astype(x.dtype)

    return wide


def _is_like(other: Any, x: Array) -> bool:
    return isinstance(other, Array) and other.dtype == x.dtype


@_in_float32
def add(x: Array, y: Array, alpha: Any = 1.0) -> Array:
    """x + alpha * y."""
    return x + _number(alpha, x) * y


def add_(x: Array, y: Array, alpha: Any = 1.0) -> Array:
    """x + alpha * y."""
    return add(x, y, alpha)


@_in_float32
def plus(x: Array, number: Any) -> Array:
    """x + number."""
    return x + _number(number, x)


@_in_float32
def mul(x: Array, y: Any) -> Array:
    """x * y, for a number or an array."""
    return _rounded(x * _number(y, x))


def mul_(x: Array, y: Any) -> Array:
    """x * y, for a number or an array."""
    return mul(x, y)


@_in_float32
def div(x: Array, y: Any) -> Array:
    """x / y, for a number or an array."""
    return x / jnp.where(x == x, _number(y, x), 1)  # XLA multiplies by the rounded reciprocal of a lone number


@_in_float32
def sqrt(x: Array) -> Array:
    """The root of x.

    # twin: torch's is one unit in the last place off, for a sixth of float32 and an eightieth of float64; XLA's is not.
    """
    return _rounded(root(x))  # else XLA takes a reciprocal root for a division


@_in_float32
def lerp(start: Array, end: Array, weight: Any) -> Array:
    """From start to end by a share."""
    near, share = weight < 0.5, jnp.asarray(weight, start.dtype)
    from_start = start + share * (end - start)
    from_end = end - (end - start) * (1 - share)
    if isinstance(near, bool):
        return from_start if near else from_end
    return jnp.where(near, from_start, from_end)


def lerp_(start: Array, end: Array, weight: Any) -> Array:
    """From start to end by a share."""
    return lerp(start, end, weight)


@_in_float32
def addcmul(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a * b."""
    return x + (_number(value, x) * a) * b


def addcmul_(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a * b."""
    return addcmul(x, a, b, value)


@_in_float32
def addcdiv_(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a / b."""
    return x + (_number(value, x) * a) / b


def maximum_(x: Array, y: Array) -> Array:
    """The larger of x and y."""
    return jnp.maximum(x, y)


def copy_(x: Array, y: Array) -> Array:
    """y."""
    return y


@_in_float32
def _reciprocal(x: Array) -> Array:
    return _rounded(1 / x)


def over(number: Any, x: Array) -> Array:
    """number / x."""
    return mul(_reciprocal(x), number)  # as torch divides a number by an array


def decayed(spec: Optimizer, params: Array, grads: Array) -> tuple[Array, Array]:
    """Parameters and gradient after weight decay: the former shrunk, or the latter with the penalty of the spec."""
    if not spec.weight_decay:
        return params, grads
    if spec.decoupled:
        return mul_(params, 1 - spec.lr * spec.weight_decay), grads
    return params, add(grads, params, spec.weight_decay)


def _number(number: Any, like: Array) -> Any:
    """The number in the dtype of the array it meets; Python's adapt by themselves."""
    return number.astype(like.dtype) if isinstance(number, Array) else number


def _rounded(x: Array) -> Array:
    """x itself, which XLA then does not fuse into what follows; neither a barrier nor `reduce_precision` keeps it from that."""
    return jnp.where(x == x, x, jnp.nan)
