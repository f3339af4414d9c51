"""Steps divided by the root of summed or averaged squares of the gradient."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.optimizers import Adadelta, Adagrad, RMSprop
from jax_impl.optimizers.arithmetic import add_, addcdiv_, addcmul, addcmul_, decayed, div, lerp_, mul, mul_, plus, sqrt


def adagrad_step(spec: Adagrad, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adagrad`."""
    params, grads = decayed(spec, params, grads)
    total = addcmul_(state["sum"], grads, grads)
    size = spec.lr / (1 + (t - 1) * spec.lr_decay)
    return addcdiv_(params, grads, plus(sqrt(total), spec.eps), -size), {"sum": total}


def adadelta_step(spec: Adadelta, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adadelta`."""
    params, grads = decayed(spec, params, grads)
    square = addcmul_(mul_(state["square_avg"], spec.rho), grads, grads, 1 - spec.rho)
    before = state["acc_delta"]
    delta = mul(div(sqrt(plus(before, spec.eps)), sqrt(plus(square, spec.eps))), grads)
    changes = addcmul_(mul_(before, spec.rho), delta, delta, 1 - spec.rho)
    return add_(params, delta, -spec.lr), {"square_avg": square, "acc_delta": changes}


def rmsprop_step(spec: RMSprop, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `RMSprop`."""
    params, grads = decayed(spec, params, grads)
    square = addcmul_(mul_(state["square_avg"], spec.alpha), grads, grads, 1 - spec.alpha)
    after, spread = {"square_avg": square}, square
    if spec.centered:
        mean = after["grad_avg"] = lerp_(state["grad_avg"], grads, 1 - spec.alpha)
        spread = addcmul(square, mean, mean, -1.0)
    size = plus(sqrt(spread), spec.eps)
    if "momentum_buffer" not in state:
        return addcdiv_(params, grads, size, -spec.lr), after
    buffer = after["momentum_buffer"] = addcdiv_(mul_(state["momentum_buffer"], spec.momentum), grads, size)
    moved = add_(params, buffer, -spec.lr)
    if spec.cycled:  # at a momentum of 0 the buffer waits
        moved = jnp.where(spec.momentum == 0, addcdiv_(params, grads, size, -spec.lr), moved)
        after["momentum_buffer"] = jnp.where(spec.momentum == 0, state["momentum_buffer"], buffer)
    return moved, after
