"""Steps whose sizes follow the signs of the gradient alone."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import Rprop
from torch_impl.optimizers.arithmetic import addcmul_, copy_, mul_


def rprop_step(spec: Rprop, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Rprop`."""
    sign = torch.sign(grads * state["prev"])
    shrink, grow = (sign.new_tensor(eta) for eta in spec.etas)
    factor = torch.where(sign > 0, grow, torch.where(sign < 0, shrink, 1.0))
    size = mul_(state["step_size"], factor).clamp_(*spec.step_sizes)
    grads = torch.where(sign < 0, 0.0, grads)
    return addcmul_(params, torch.sign(grads), size, -1.0), {"prev": copy_(state["prev"], grads), "step_size": size}
