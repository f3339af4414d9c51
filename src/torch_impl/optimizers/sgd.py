"""Gradient descent, plain, with momentum, and averaged."""

from math import nan
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import ASGD, SGD
from torch_impl.optimizers.arithmetic import add, add_, copy_, decayed, mul, mul_


def sgd_step(spec: SGD, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `SGD`."""
    params, grads = decayed(spec, params, grads)
    if not state:
        return add_(params, grads, -spec.lr), {}
    buffer = state["momentum_buffer"]
    if spec.cycled and spec.momentum == 0:  # the buffer waits; before its first use it is nan
        buffer = mul_(buffer, nan) if t == 1 else buffer
        return add_(params, grads, -spec.lr), {"momentum_buffer": buffer}
    first = t == 1 or (spec.cycled and bool(buffer.isnan().all()))
    # The first gradient enters undamped.
    buffer = copy_(buffer, grads) if first else add_(mul_(buffer, spec.momentum), grads, 1 - spec.dampening)
    along = add(grads, buffer, spec.momentum) if spec.nesterov else buffer
    return add_(params, along, -spec.lr), {"momentum_buffer": buffer}


def asgd_step(spec: ASGD, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `ASGD`."""
    params, grads = decayed(spec, params, grads)
    eta, mu, ax = state["eta"].item(), state["mu"], state["ax"]
    params = add_(mul_(params, 1 - spec.lambd * eta), grads, -eta)
    ax = copy_(ax, params) if mu == 1 else add_(ax, mul(add(params, ax, -1.0), mu.item()))
    after = spec.lr / (1 + spec.lambd * spec.lr * t) ** spec.alpha, 1 / max(1.0, t - spec.t0)
    return params, {"eta": torch.tensor(after[0]), "mu": torch.tensor(after[1]), "ax": ax}
