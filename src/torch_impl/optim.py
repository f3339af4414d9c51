"""Optimizers: genuine torch.optim objects, and the same updates as functions of one array, in torch's order of operations."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.arguments import check_schedule
from isoparam.errors import SpecError
from isoparam.optimizers import LBFGS, SGD, Adam, AdamW, Optimizer, as_optimizer
from torch_impl import lbfgs

State = dict[str, Any]
Elementwise = SGD | Adam | AdamW


def optimizer(spec: Optimizer, params: Any = None, schedule: None = None) -> Any:
    """The optimizer of the framework that does what the spec says.

    # twin: torch's optimizer holds the parameters and needs them here; optax's is given them at each update.

    Args:
        spec: such as `isoparam.Adam(lr=0.01)`.
        params: what to train: tensors, torch's parameter groups, or a dict of raw tensors.
        schedule: learning rates over the steps; none are available yet.

    Returns:
        A `torch.optim.SGD`, `Adam`, `AdamW` or `LBFGS`.

    Raises:
        SpecError: for something that is no optimizer spec, or without params.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import optimizer
        >>> type(optimizer(iso.Adam(lr=0.1), [torch.zeros(2, requires_grad=True)])).__name__
        'Adam'
    """
    as_optimizer(spec)
    check_schedule(schedule)
    if params is None:
        raise SpecError("params=None: torch optimizers hold their parameters; write optimizer(spec, module.parameters())")
    tensors = list(params.values()) if isinstance(params, Mapping) else params
    return getattr(torch.optim, type(spec).__name__)(tensors, **vars(spec))


def init_state(spec: Optimizer, params: Array) -> State:
    """The state before the first update: "step" (0), and one array per buffer, by torch's names, as large as params.

    Of LBFGS, which takes a vector, it is that of `lbfgs.init_state`.
    """
    if isinstance(spec, LBFGS):
        return lbfgs.init_state(spec, params)
    return {"step": 0} | {name: torch.zeros_like(params) for name in _buffers(spec)}


def update(
    spec: Optimizer, params: Array, loss: Array, grads: Array, state: State, objective: lbfgs.Objective
) -> tuple[Array, State]:
    """One update of any optimizer.

    Args:
        spec: the optimizer.
        params: the parameters as one vector.
        loss: the loss there, a scalar.
        grads: the gradient there, a vector.
        state: from `init_state` or the update before.
        objective: (loss, gradient) at any vector; only LBFGS calls it.

    Returns:
        params and state after the update.
    """
    if isinstance(spec, LBFGS):
        return lbfgs.step(spec, params, loss, grads, state, objective)
    return step(spec, params, grads, state)


def step(spec: Elementwise, params: Array, grads: Array, state: State) -> tuple[Array, State]:
    """One update of an optimizer that needs nothing but the gradient.

    # twin: torch updates params and buffers in place, JAX returns new ones; same operations in the same order.

    Args:
        spec: the optimizer.
        params: the parameters as one array of any shape; the update is elementwise.
        grads: the gradient, of the same shape.
        state: from `init_state` or the step before.

    Returns:
        params and state after the update.
    """
    state["step"] += 1
    if spec.maximize:
        grads = -grads
    if isinstance(spec, SGD):
        _sgd(spec, params, grads, state)
    else:
        _adam(spec, params, grads, state)
    return params, state


def _buffers(spec: Elementwise) -> tuple[str, ...]:
    if isinstance(spec, SGD):
        return ("momentum_buffer",) if spec.momentum else ()
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if spec.amsgrad else ()))


def _sgd(spec: SGD, params: Array, grads: Array, state: State) -> None:
    if spec.weight_decay:
        grads = grads.add(params, alpha=spec.weight_decay)
    if spec.momentum:
        buffer = state["momentum_buffer"]
        if state["step"] == 1:
            buffer.copy_(grads)  # the first gradient enters undamped
        else:
            buffer.mul_(spec.momentum).add_(grads, alpha=1 - spec.dampening)
        grads = grads.add(buffer, alpha=spec.momentum) if spec.nesterov else buffer
    params.add_(grads, alpha=-spec.lr)


def _adam(spec: Adam | AdamW, params: Array, grads: Array, state: State) -> None:
    first, second = state["exp_avg"], state["exp_avg_sq"]
    if spec.weight_decay:
        if isinstance(spec, AdamW):
            params.mul_(1 - spec.lr * spec.weight_decay)
        else:
            grads = grads.add(params, alpha=spec.weight_decay)
    first.lerp_(grads, 1 - spec.betas[0])
    second.mul_(spec.betas[1]).addcmul_(grads, grads, value=1 - spec.betas[1])
    if spec.amsgrad:
        second = torch.maximum(state["max_exp_avg_sq"], second, out=state["max_exp_avg_sq"])
    size, root = _corrections(spec, float(state["step"]))
    params.addcdiv_(first, second.sqrt().div_(root).add_(spec.eps), value=-size)


def _corrections(spec: Adam | AdamW, count: float) -> tuple[float, float]:
    """lr/(1 - beta1^t) and sqrt(1 - beta2^t), in float64 whatever the parameters are."""
    size = spec.lr / (1 - spec.betas[0] ** count)
    return size, (1 - spec.betas[1] ** count) ** 0.5
