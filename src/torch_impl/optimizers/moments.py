"""Variants of Adam: Nesterov's momentum, a rectified start, the infinity norm."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import Adamax, NAdam, RAdam
from torch_impl.optimizers.arithmetic import (
    add_,
    addcdiv_,
    addcmul_,
    decayed,
    div,
    lerp_,
    maximum_,
    mul,
    mul_,
    over,
    plus,
    sqrt,
)


def nadam_step(spec: NAdam, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `NAdam`."""
    params, grads = decayed(spec, params, grads)
    beta1, beta2 = spec.betas
    mu, following = (beta1 * (1 - 0.5 * 0.96 ** (s * spec.momentum_decay)) for s in (t, t + 1))
    product = state["mu_product"] * mu
    first = lerp_(state["exp_avg"], grads, 1 - beta1)
    second = addcmul_(mul_(state["exp_avg_sq"], beta2), grads, grads, 1 - beta2)
    size = plus(sqrt(div(second, 1 - beta2**t)), spec.eps)
    so_far = product.item()
    params = addcdiv_(params, grads, size, -spec.lr * (1 - mu) / (1 - so_far))
    params = addcdiv_(params, first, size, (-spec.lr * following) / (1 - so_far * following))
    return params, {"mu_product": product, "exp_avg": first, "exp_avg_sq": second}


def radam_step(spec: RAdam, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `RAdam`."""
    params, grads = decayed(spec, params, grads)
    beta1, beta2 = spec.betas
    first = lerp_(state["exp_avg"], grads, 1 - beta1)
    second = addcmul_(mul_(state["exp_avg_sq"], beta2), grads, grads, 1 - beta2)
    correction = 1 - beta2**t
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / correction
    change = mul(div(first, 1 - beta1**t), spec.lr)
    if length > 5:
        rest = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        change = mul(mul(change, over(correction**0.5, plus(sqrt(second), spec.eps))), rest**0.5)
    return add_(params, change, -1.0), {"exp_avg": first, "exp_avg_sq": second}


def adamax_step(spec: Adamax, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adamax`."""
    params, grads = decayed(spec, params, grads)
    beta1, beta2 = spec.betas
    first = lerp_(state["exp_avg"], grads, 1 - beta1)
    largest = maximum_(mul_(state["exp_inf"], beta2), plus(torch.abs(grads), spec.eps))
    return addcdiv_(params, first, largest, -(spec.lr / (1 - beta1**t))), {"exp_avg": first, "exp_inf": largest}
