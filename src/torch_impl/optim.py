"""Optimizers: genuine torch.optim objects, and the same updates as functions of one array, in torch's order of operations."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.arguments import check_real, steps_of
from isoparam.errors import SpecError
from isoparam.layout import Part
from isoparam.optimizers import LBFGS, Optimizer, Slot, as_optimizer
from isoparam.schedules import Schedule, as_schedule
from torch_impl import lbfgs
from torch_impl.optimizers import STEPS

State = dict[str, Any]


def optimizer(spec: Optimizer, params: Any = None, schedule: Schedule | None = None) -> Any:
    """The optimizer of the framework that does what the spec says.

    # twin: torch's optimizer holds the parameters and needs them here; optax's is given them at each update.

    Args:
        spec: such as `isoparam.Adam(lr=0.01)`.
        params: what to train: tensors, torch's parameter groups, or a dict of raw tensors, whose names it keeps.
        schedule: how the step size changes, such as `isoparam.StepLR(100)`.

    Returns:
        The optimizer of torch.optim that has the name of the spec; on the CPU its default is the loop over parameters. With a
        schedule the pair of it and the scheduler of torch.optim.lr_scheduler.

    Raises:
        SpecError: for something that is no optimizer spec or schedule, or without params.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import optimizer
        >>> type(optimizer(iso.Adam(lr=0.1), [torch.zeros(2, requires_grad=True)])).__name__
        'Adam'
    """
    as_optimizer(spec)
    if params is None:
        raise SpecError("params=None: torch optimizers hold their parameters; write optimizer(spec, module.parameters())")
    if isinstance(params, torch.nn.Module) or not isinstance(params, Iterable):
        raise SpecError(
            f"params={type(params).__name__}(...) must be tensors, torch's parameter groups or a dict of tensors; of a module "
            f"write optimizer(spec, module.parameters())"
        )
    tensors = list(params.items()) if isinstance(params, Mapping) else params
    made = getattr(torch.optim, type(spec).__name__)(tensors, **vars(spec))
    return made if schedule is None else (made, _scheduler(as_schedule(schedule), made))


def init_state(spec: Optimizer, params: Array, parts: Sequence[Part] | None = None) -> State:
    """The state before the first update: "step" (0), and one array per buffer, by torch's names.

    Args:
        spec: the optimizer.
        params: the parameter; or all parameters as one vector, for LBFGS and with parts.
        parts: the parameters within a vector. Where an update is not elementwise, every buffer is then a vector too: those of
            the parameters, one after the other.

    Returns:
        The state; of LBFGS that of `lbfgs.init_state`.

    Raises:
        SpecError: for a parameter that holds no real floating numbers.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import init_state
        >>> sorted(init_state(iso.Adam(), torch.ones(2)))
        ['exp_avg', 'exp_avg_sq', 'step']
    """
    check_real("the parameter", str(params.dtype), params.dtype.is_floating_point)
    if isinstance(spec, LBFGS):
        return lbfgs.init_state(spec, params)
    if parts is None or spec.elementwise:
        return {"step": 0} | {name: _buffer(slot, params) for name, slot in spec.slots(tuple(params.shape)).items()}
    state: dict[str, list[Array]] = {}
    for part in parts:
        for name, slot in spec.slots(part.shape).items():
            state.setdefault(name, []).append(_buffer(slot, params).reshape(-1))
    return {"step": 0} | {name: torch.cat(buffers) for name, buffers in state.items()}


def update(
    spec: Optimizer,
    params: Array,
    loss: Array,
    grads: Array,
    state: State,
    objective: lbfgs.Objective,
    parts: Sequence[Part],
) -> tuple[Array, State]:
    """One update of any optimizer.

    Args:
        spec: the optimizer.
        params: the parameters as one vector.
        loss: the loss there, a scalar.
        grads: the gradient there, a vector.
        state: from `init_state` or the update before.
        objective: (loss, gradient) at any vector; only LBFGS calls it.
        parts: the parameters within the vector.

    Returns:
        params and state after the update.
    """
    if isinstance(spec, LBFGS):
        return lbfgs.step(spec, params, loss, grads, state, objective)
    if spec.elementwise:
        return step(spec, params, grads, state)
    taken = dict.fromkeys(state, 0)
    for part in parts:
        buffers = {}
        for name, slot in spec.slots(part.shape).items():
            first = taken[name]
            taken[name] = first + prod(slot.shape)
            buffers[name] = state[name][first : taken[name]].view(slot.shape)
        here, slope = (vector[part.start : part.stop].view(part.shape) for vector in (params, grads))
        step(spec, here, slope, {"step": state["step"], **buffers})
    state["step"] += 1
    return params, state


def step(spec: Optimizer, params: Array, grads: Array | None, state: State) -> tuple[Array, State]:
    """One update of an optimizer that needs nothing but the gradient.

    # twin: torch updates params and buffers in place, JAX returns new ones; same operations in the same order.

    Args:
        spec: the optimizer.
        params: the parameter, an array of any shape.
        grads: the gradient, of the same shape; None for none: the parameter then waits, and its count of steps with it.
        state: from `init_state` or the step before.

    Returns:
        params and state after the update.

    Raises:
        SpecError: for an optimizer that needs more than the gradient (LBFGS), or is none.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import init_state, step
        >>> params = torch.ones(2)
        >>> state = init_state(iso.SGD(lr=0.5), params)
        >>> params, state = step(iso.SGD(lr=0.5), params, torch.ones(2), state)
        >>> params.tolist(), state["step"]
        ([0.5, 0.5], 1)
    """
    if grads is None:
        return params, state
    state["step"] += 1
    if spec.maximize:
        grads = -grads
    buffers = {name: buffer for name, buffer in state.items() if name != "step"}
    params, after = steps_of(spec, STEPS)(spec, params, grads, buffers, float(state["step"]))
    state.update(after)
    return params, state


def _scheduler(schedule: Schedule, made: Any) -> Any:
    """The scheduler of torch that does what the schedule says; those that it is made of come first, in their order."""
    settings = dict(vars(schedule))
    if "schedulers" in settings:
        settings["schedulers"] = [_scheduler(part, made) for part in settings["schedulers"]]
    return getattr(torch.optim.lr_scheduler, type(schedule).__name__)(optimizer=made, **settings)


def _buffer(slot: Slot, params: Array) -> Array:
    """A fresh buffer; the numbers that torch keeps in float32 stay on the host, where it reads them."""
    if slot.dtype is not None:
        return torch.full(slot.shape, slot.fill, dtype=getattr(torch, slot.dtype))
    return torch.full(slot.shape, slot.fill, dtype=params.dtype, device=params.device)
