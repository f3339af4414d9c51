"""Gradient descent, plain, with momentum, and averaged."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.optimizers import ASGD, SGD
from jax_impl.optimizers.arithmetic import add, add_, decayed, mul, mul_


def sgd_step(spec: SGD, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `SGD`."""
    params, grads = decayed(spec, params, grads)
    if not state:
        return add_(params, grads, -spec.lr), {}
    buffer = add_(mul_(state["momentum_buffer"], spec.momentum), grads, 1 - spec.dampening)
    first = (t == 1) | jnp.isnan(state["momentum_buffer"]).all() if spec.cycled else t == 1
    buffer = jnp.where(first, grads, buffer)  # the first gradient enters undamped
    along = add(grads, buffer, spec.momentum) if spec.nesterov else buffer
    if spec.cycled:  # at a momentum of 0 the buffer waits; before its first use it is nan
        waits = jnp.where(t == 1, jnp.nan, state["momentum_buffer"]).astype(buffer.dtype)
        buffer, along = jnp.where(spec.momentum == 0, waits, buffer), jnp.where(spec.momentum == 0, grads, along)
    return add_(params, along, -spec.lr), {"momentum_buffer": buffer}


def asgd_step(spec: ASGD, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `ASGD`."""
    params, grads = decayed(spec, params, grads)
    eta, mu, ax = state["eta"].astype(t.dtype), state["mu"], state["ax"]
    params = add_(mul_(params, 1 - spec.lambd * eta), grads, -eta)
    ax = jnp.where(mu == 1, params, add_(ax, mul(add(params, ax, -1.0), mu)))
    after = spec.lr / (1 + spec.lambd * spec.lr * t) ** spec.alpha, 1 / jnp.maximum(1.0, t - spec.t0)
    return params, {"eta": after[0].astype(jnp.float32), "mu": after[1].astype(jnp.float32), "ax": ax}
