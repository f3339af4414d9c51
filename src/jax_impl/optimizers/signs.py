"""Steps whose sizes follow the signs of the gradient alone."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.optimizers import Rprop
from jax_impl.optimizers.arithmetic import addcmul_, mul_


def rprop_step(spec: Rprop, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Rprop`."""
    sign = jnp.sign(grads * state["prev"])
    shrink, grow = (jnp.asarray(eta, sign.dtype) for eta in spec.etas)
    factor = jnp.where(sign > 0, grow, jnp.where(sign < 0, shrink, 1.0))
    size = jnp.clip(mul_(state["step_size"], factor), *spec.step_sizes)
    grads = jnp.where(sign < 0, 0.0, grads)
    return addcmul_(params, jnp.sign(grads), size, -1.0), {"prev": grads, "step_size": size}
