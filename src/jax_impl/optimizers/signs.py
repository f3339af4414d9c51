"""Steps whose sizes follow the signs of the gradient alone."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from isoparam.optimizers import Rprop
from jax_impl.optimizers.arithmetic import addcmul_, mul_


def rprop(spec: Rprop, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Rprop`."""
    sign = jnp.sign(grads * state["prev"])
    factor = jnp.where(sign > 0, spec.etas[1], jnp.where(sign < 0, spec.etas[0], 1.0)).astype(grads.dtype)
    size = jnp.clip(mul_(state["step_size"], factor), *spec.step_sizes)
    grads = jnp.where(sign < 0, 0.0, grads)
    return addcmul_(params, jnp.sign(grads), size, -1.0), {"prev": grads, "step_size": size}
