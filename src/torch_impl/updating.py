"""Updates of the flat vector: clipped, by the optimizer of each parameter group, averaged; and what they keep between steps."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.optimizers import Optimizer
from isoparam.plan import Plan
from isoparam.schedules import with_settings
from isoparam.slots import named, own
from isoparam.updates import ClipByNorm, Segment
from torch_impl.clipping import averaged, clip_by_norm, clip_by_value
from torch_impl.flat import DTYPES, pull, to_numpy
from torch_impl.optim import init_state, update
from torch_impl.optimizers.arithmetic import add, add_, div

Slots = dict[str, Any]


def init_slots(plan: Plan, raw: Array) -> Slots:
    """The state of all optimizers before the first update: "step" (0), and the buffers of each segment."""
    slots: Slots = {"step": 0}
    for i, (segment, spec) in enumerate(zip(plan.segments, plan.first_optimizers, strict=True)):
        state = init_state(spec, raw[segment.start : segment.stop], segment.parts)
        slots |= named(state, i, len(plan.segments))
    return slots


def init_extras(plan: Plan, raw: Array) -> dict[str, Array]:
    """What a run keeps besides, before the first update: "average" (flat), "plateau" and "scaler", where it has them."""
    extras = {}
    if plan.average is not None:
        extras["average"] = raw.clone()
    if plan.plateau is not None:
        begin = plan.plateau.begin(segment.optimizer.lr for segment in plan.segments)
        extras["plateau"] = torch.tensor(begin, dtype=torch.float64)
    if plan.scaler is not None:
        extras["scaler"] = torch.tensor(plan.scaler.begin(), device=raw.device)
    return extras


def to_host(extras: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """What a run keeps besides, in numpy; bfloat16 as float32.

    # twin: JAX keeps "plateau" as the halves of its numbers, in a program without float64 too.
    """
    return {name: to_numpy(array) for name, array in extras.items()}


def from_host(extras: Mapping[str, np.ndarray], like: Mapping[str, Array]) -> dict[str, Array]:
    """The reverse of `to_host`, in the dtypes of a fresh run."""
    return {name: torch.tensor(array, dtype=like[name].dtype, device=like[name].device) for name, array in extras.items()}


def accumulated(objective: Callable[..., Any], count: int) -> Callable[..., Any]:
    """An objective of a batch in so many equal parts: the means of loss and gradient, one part after the other.

    Args:
        objective: of raw parameters, variables, batch, step and scale; gives loss, gradient, variables and values.
        count: the parts.
    """
    if count == 1:
        return objective

    def mean(raw: Array, variables: Any, batch: Any, step: Any, scale: Any = None) -> Any:
        def one(j: int, variables: Any) -> Any:
            rows = {name: len(array) // count for name, array in batch.items()}
            part = {name: array[j * rows[name] : (j + 1) * rows[name]] for name, array in batch.items()}
            loss, grads, after, whole = objective(raw, variables, part, step * count + j, scale)
            return div(loss, count), div(grads, count), after, whole

        loss, grads, variables, whole = one(0, variables)
        for j in range(1, count):
            more, slope, variables, _ = one(j, variables)
            loss, grads = loss + more, grads + slope
        return loss, grads, variables, whole

    return mean


def updated(
    plan: Plan, raw: Array, loss: Array, grads: Array, slots: Slots, extras: dict[str, Array], settings: Any, objective: Any
) -> tuple[Array, Slots]:
    """One update of everything that is trained.

    # twin: torch updates params and buffers in place, JAX returns new ones; same operations in the same order.

    Args:
        plan: of the run.
        raw: the parameters as one vector.
        loss: the loss there.
        grads: the gradient there.
        slots: from `init_slots` or the update before.
        extras: from `init_extras` or the step before.
        settings: what the schedule sets for each segment; None without one that knows it beforehand.
        objective: (loss, gradient) at any vector; only LBFGS calls it.
    """
    grads = _clipped(plan, grads)
    many, after = len(plan.segments), {}
    first = plan.segments[0]
    if many == 1 and first.layout.size == plan.layout.size and not first.pull:  # short, since each step costs microseconds
        return update(_settled(first.optimizer, 0, extras, settings), raw, loss, grads, slots, objective, first.parts)
    for i, segment in enumerate(plan.segments):
        spec = _settled(segment.optimizer, i, extras, settings)
        state = {"step": slots["step"], **own(slots, i, many)}
        part, slope = raw[segment.start : segment.stop], grads[segment.start : segment.stop]
        if segment.pull:
            part, slope = _decayed(plan, segment, spec, part, slope)

        def around(part: Array, segment: Segment = segment) -> tuple[Array, Array]:
            there, slope = objective(torch.cat([raw[: segment.start], part, raw[segment.stop :]]))
            return there, slope[segment.start : segment.stop]

        part, state = update(spec, part, loss, slope, state, around, segment.parts)
        after |= {"step": state["step"], **named(state, i, many)}
    return raw, after


def followed(plan: Plan, raw: Array, loss: Array, slots: Slots, extras: dict[str, Array]) -> dict[str, Array]:
    """What a run keeps besides, after an update.

    Args:
        plan: of the run.
        raw: the parameters after the update.
        loss: the loss before it.
        slots: after it.
        extras: before it.
    """
    after = dict(extras)
    if plan.average is not None:
        count = plan.average.count(slots["step"])
        if count > plan.average.count(slots["step"] - 1) and count > 0:
            after["average"] = averaged({"": extras["average"]}, {"": raw}, count - 1, plan.average.decay)[""]
    if plan.plateau is not None:
        after["plateau"] = torch.tensor(plan.plateau.told(extras["plateau"].tolist(), float(loss)), dtype=torch.float64)
    if plan.scaler is not None:
        scale, good = extras["scaler"]
        full = good + 1 == plan.scaler.growth_interval
        risen = scale * plan.scaler.growth_factor
        risen = torch.where(full & torch.isfinite(risen), risen, scale)
        after["scaler"] = torch.stack([risen, torch.where(full, 0.0, good + 1)])
    return after


def _settled(optimizer: Optimizer, number: int, extras: Mapping[str, Array], settings: Any) -> Optimizer:
    """The optimizer of a segment with the settings of one update."""
    if settings is not None:
        return with_settings(optimizer, *settings[number])
    if "plateau" in extras:
        return with_settings(optimizer, extras["plateau"][3 + number].item())
    return optimizer


def _clipped(plan: Plan, grads: Array) -> Array:
    """The gradient within the size of the plan."""
    if plan.clip is None:
        return grads
    if not isinstance(plan.clip, ClipByNorm):
        return clip_by_value({"": grads}, plan.clip.clip_value)[""]
    wide = grads.to(DTYPES[plan.computing])
    return clip_by_norm({"": wide}, plan.clip.max_norm, plan.clip.norm_type)[0][""].to(grads.dtype)


def _decayed(plan: Plan, segment: Segment, spec: Optimizer, part: Array, slope: Array) -> tuple[Array, Array]:
    """Parameters and gradient after the weight decay of their values: the former shrunk, or the latter with the penalty."""
    pulled = pull(segment.layout, part.to(DTYPES[plan.computing])).to(part.dtype)
    if spec.decoupled:
        return add_(part, pulled, -spec.lr * segment.pull), slope
    return part, add(slope, pulled, -segment.pull if spec.maximize else segment.pull)
