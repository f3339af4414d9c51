"""The operations of torch's optimizers, each rounded as torch rounds it; a name with _ at its end changes its first argument.

# twin: torch's own operations, in place where the name ends with _; JAX returns new arrays, so there both forms are one.
"""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import Optimizer
from torch_impl.exact import root


def add(x: Array, y: Array, alpha: Any = 1.0) -> Array:
    """x + alpha * y."""
    return x.add(y, alpha=alpha)


def add_(x: Array, y: Array, alpha: Any = 1.0) -> Array:
    """x + alpha * y."""
    return x.add_(y, alpha=alpha)


def plus(x: Array, number: Any) -> Array:
    """x + number."""
    return x.add(number)


def mul(x: Array, y: Any) -> Array:
    """x * y, for a number or an array."""
    return x.mul(y)


def mul_(x: Array, y: Any) -> Array:
    """x * y, for a number or an array."""
    return x.mul_(y)


def div(x: Array, y: Any) -> Array:
    """x / y, for a number or an array."""
    return x.div(y)


def sqrt(x: Array) -> Array:
    """The root of x.

    # twin: torch's is one unit in the last place off, for a sixth of float32 and an eightieth of float64; XLA's is not.
    """
    return root(x)


def lerp(start: Array, end: Array, weight: Any) -> Array:
    """From start to end by a share."""
    return torch.lerp(start, end, weight)


def lerp_(start: Array, end: Array, weight: Any) -> Array:
    """From start to end by a share."""
    return start.lerp_(end, weight)


def addcmul(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a * b."""
    return x.addcmul(a, b, value=value)


def addcmul_(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a * b."""
    return x.addcmul_(a, b, value=value)


def addcdiv_(x: Array, a: Array, b: Array, value: Any = 1.0) -> Array:
    """x + value * a / b."""
    return x.addcdiv_(a, b, value=value)


def maximum_(x: Array, y: Array) -> Array:
    """The larger of x and y."""
    return torch.maximum(x, y, out=x)


def copy_(x: Array, y: Array) -> Array:
    """y."""
    return x.copy_(y)


def over(number: Any, x: Array) -> Array:
    """number / x."""
    return x.reciprocal().mul_(number)  # as torch divides a number by an array


def decayed(spec: Optimizer, params: Array, grads: Array) -> tuple[Array, Array]:
    """Parameters and gradient after weight decay: the former shrunk, or the latter with the penalty of the spec."""
    if not spec.weight_decay:
        return params, grads
    if spec.decoupled:
        return mul_(params, 1 - spec.lr * spec.weight_decay), grads
    return params, add(grads, params, spec.weight_decay)
