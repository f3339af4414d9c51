"""Adam and AdamW, and Adam for gradients that touch few rows."""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.experimental.sparse import BCOO

from isoparam.optimizers import Adam, AdamW, SparseAdam
from jax_impl.optimizers.arithmetic import add, addcdiv_, addcmul_, decayed, div, lerp_, maximum_, mul, mul_, plus, sqrt


def adam_step(spec: Adam | AdamW, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adam` or `AdamW`."""
    params, grads = decayed(spec, params, grads)
    beta1, beta2 = spec.betas
    first = lerp_(state["exp_avg"], grads, 1 - beta1)
    second = addcmul_(mul_(state["exp_avg_sq"], beta2), grads, grads, 1 - beta2)
    after = {"exp_avg": first, "exp_avg_sq": second}
    if spec.amsgrad:
        second = after["max_exp_avg_sq"] = maximum_(state["max_exp_avg_sq"], second)
    size, root = spec.lr / (1 - beta1**t), jnp.sqrt(1 - beta2**t)
    return addcdiv_(params, first, plus(div(sqrt(second), root), spec.eps), -size), after


def sparse_adam_step(
    spec: SparseAdam, params: Array, grads: Any, state: dict[str, Any], t: Any
) -> tuple[Array, dict[str, Any]]:
    """One step of `SparseAdam`.

    # twin: torch takes out the rows that are touched; JAX, whose shapes are fixed, does so for a sparse array only.
    """
    before = params, state["exp_avg"], state["exp_avg_sq"]
    if isinstance(grads, BCOO):
        grads = grads.sum_duplicates(nse=grads.nse)  # those left over point outside, where nothing is read or written
        places = tuple(grads.indices[:, axis] for axis in range(grads.n_sparse))
        rows = [array.at[places].get(mode="fill", fill_value=0) for array in before[1:]]
        changes = _changes(spec, grads.data, rows[0], rows[1], t)
        after = [array.at[places].add(part, mode="drop") for array, part in zip(before, changes, strict=True)]
    else:
        present = jnp.any(grads != 0, axis=tuple(range(1, grads.ndim)), keepdims=True)
        changes = _changes(spec, grads, before[1], before[2], t)
        after = [jnp.where(present, array + part, array) for array, part in zip(before, changes, strict=True)]
    return after[0], {"exp_avg": after[1], "exp_avg_sq": after[2]}


def _changes(spec: SparseAdam, g: Array, m: Array, v: Array, t: Any) -> tuple[Array, Array, Array]:
    """What is added to the parameters and to the two moments."""
    beta1, beta2 = spec.betas
    change, growth = mul(add(g, m, -1.0), 1 - beta1), mul(add(mul(g, g), v, -1.0), 1 - beta2)
    size = spec.lr * jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
    return mul(div(change + m, plus(sqrt(growth + v), spec.eps)), -size), change, growth
