"""Optimizers that see a parameter as a matrix."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from isoparam.optimizers import Adafactor, Muon
from jax_impl.optimizers.arithmetic import add_, decayed, lerp, lerp_


def adafactor_step(spec: Adafactor, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adafactor`."""
    least = float(jnp.finfo(params.dtype).eps) if spec.eps[0] is None else spec.eps[0]
    share = t**spec.beta2_decay
    size = jnp.maximum(spec.eps[1], _rms(params)) * jnp.minimum(spec.lr, 1 / jnp.sqrt(t))
    params, grads = decayed(spec, params, grads)
    if "variance" in state:
        estimate = lerp_(state["variance"], grads * grads, share)
        after = {"variance": estimate}
    else:
        row = lerp_(state["row_var"], _mean_square(grads, -1), share)
        column = lerp_(state["col_var"], _mean_square(grads, -2), share)
        estimate = row @ column / jnp.maximum(row.mean(-2, keepdims=True), least)
        after = {"row_var": row, "col_var": column}
    change = lax.rsqrt(jnp.maximum(estimate, least * least)) * grads
    return add_(params, change, -size / jnp.maximum(1.0, _rms(change) / spec.d)), after


def muon_step(spec: Muon, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Muon`."""
    buffer = lerp_(state["momentum_buffer"], grads, 1 - spec.momentum)
    along = lerp(grads, buffer, spec.momentum) if spec.nesterov else buffer
    params, _ = decayed(spec, params, grads)
    change = orthogonal(spec, along).astype(params.dtype)
    return add_(params, change, -(spec.lr * spec.ratio(params.shape))), {"momentum_buffer": buffer}


def orthogonal(spec: Muon, matrix: Array) -> Array:
    """The nearly orthogonal matrix of Newton-Schulz iterations, in bfloat16.

    # twin: torch adds two terms in its product of matrices; JAX takes the products in float32 and rounds their sum.
    """
    a, b, c = spec.ns_coefficients
    x = _brief(matrix)
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    x = _brief(x / jnp.maximum(_brief(jnp.linalg.norm(x)), _brief(jnp.float32(spec.eps))))
    for _ in range(spec.ns_steps):
        gram = _brief(x @ x.T)
        x = _brief(a * x + _brief(b * gram + c * (gram @ gram)) @ x)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _brief(x: Array) -> Array:
    """Rounded to the 8 bits of bfloat16, but kept as float32."""
    return lax.reduce_precision(x.astype(jnp.float32), 8, 7)


def _mean_square(x: Array, axis: int) -> Array:
    return jnp.square(jnp.sqrt(jnp.sum(x * x, axis=axis, keepdims=True))) / x.shape[axis]


def _rms(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x * x)).astype(jnp.float64) / x.size**0.5
