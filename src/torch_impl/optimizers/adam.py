"""Adam and AdamW, and Adam for gradients that touch few rows."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import Adam, AdamW, SparseAdam
from torch_impl.optimizers.arithmetic import addcdiv_, addcmul_, decayed, div, lerp_, maximum_, mul_, plus, sqrt


def adam_step(spec: Adam | AdamW, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adam` or `AdamW`."""
    params, grads = decayed(spec, params, grads)
    beta1, beta2 = spec.betas
    first = lerp_(state["exp_avg"], grads, 1 - beta1)
    second = addcmul_(mul_(state["exp_avg_sq"], beta2), grads, grads, 1 - beta2)
    after = {"exp_avg": first, "exp_avg_sq": second}
    if spec.amsgrad:
        second = after["max_exp_avg_sq"] = maximum_(state["max_exp_avg_sq"], second)
    size, root = spec.lr / (1 - beta1**t), (1 - beta2**t) ** 0.5
    return addcdiv_(params, first, plus(div(sqrt(second), root), spec.eps), -size), after


def sparse_adam_step(
    spec: SparseAdam, params: Array, grads: Any, state: dict[str, Any], t: Any
) -> tuple[Array, dict[str, Any]]:
    """One step of `SparseAdam`.

    # twin: torch takes out the rows that are touched; JAX, whose shapes are fixed, does so for a sparse array only.
    """
    before = params, state["exp_avg"], state["exp_avg_sq"]
    if grads.is_sparse:
        grads = grads.coalesce()
        places, g = tuple(torch.unbind(grads.indices())), grads.values()
    else:
        present = (grads != 0).flatten(1).any(1) if grads.dim() > 1 else grads != 0
        places, g = (present,), grads[present]
    for array, part in zip(before, _changes(spec, g, before[1][places], before[2][places], t), strict=True):
        array[places] += part
    return params, {"exp_avg": before[1], "exp_avg_sq": before[2]}


def _changes(spec: SparseAdam, g: Array, m: Array, v: Array, t: Any) -> tuple[Array, Array, Array]:
    """What is added to the parameters and to the two moments."""
    beta1, beta2 = spec.betas
    change, growth = (g - m) * (1 - beta1), (g.pow(2) - v) * (1 - beta2)
    size = spec.lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    return -size * ((change + m) / plus(sqrt(growth + v), spec.eps)), change, growth
