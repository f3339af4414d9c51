"""Updates of the flat vector: clipped, by the optimizer of each parameter group, averaged; and what they keep between steps."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from isoparam.optimizers import LBFGS, Optimizer
from isoparam.plan import Plan
from isoparam.schedules import ReduceLROnPlateau, with_settings
from isoparam.slots import named, own
from isoparam.updates import ClipByNorm, Segment
from jax_impl.clipping import averaged, clip_by_norm, clip_by_value
from jax_impl.flat import DTYPES, pull, to_numpy
from jax_impl.optim import _halves, init_state, update
from jax_impl.optimizers.arithmetic import add, add_, div

Slots = dict[str, Any]


def init_slots(plan: Plan, raw: Array) -> Slots:
    """The state of all optimizers before the first update: "step" (0), and the buffers of each segment."""
    slots: Slots = {"step": jnp.zeros((), jnp.int32)}
    for i, (segment, spec) in enumerate(zip(plan.segments, plan.first_optimizers, strict=True)):
        state = init_state(spec, raw[segment.start : segment.stop], segment.parts)
        slots |= named(state, i, len(plan.segments))
    return slots


def init_extras(plan: Plan, raw: Array) -> dict[str, Array]:
    """What a run keeps besides, before the first update: "average" (flat), "plateau" and "scaler", where it has them."""
    extras = {}
    if plan.average is not None:
        extras["average"] = jnp.array(raw)
    if plan.plateau is not None:
        begin = plan.plateau.begin(segment.optimizer.lr for segment in plan.segments)
        extras["plateau"] = jnp.asarray(_halves(np.array(begin)))
    if plan.scaler is not None:
        extras["scaler"] = jnp.asarray(plan.scaler.begin())
    return extras


def to_host(extras: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """What a run keeps besides, in numpy; bfloat16 as float32.

    # twin: JAX keeps "plateau" as the halves of its numbers, in a program without float64 too.
    """
    host = {name: to_numpy(array) for name, array in extras.items()}
    return {name: array.view(np.float64).reshape(-1) if name == "plateau" else array for name, array in host.items()}


def from_host(extras: Mapping[str, np.ndarray], like: Mapping[str, Array]) -> dict[str, Array]:
    """The reverse of `to_host`, in the dtypes of a fresh run."""
    host = {name: _halves(np.array(array)) if name == "plateau" else array for name, array in extras.items()}
    return {name: jnp.array(array, like[name].dtype) for name, array in host.items()}


def accumulated(objective: Callable[..., Any], count: int) -> Callable[..., Any]:
    """An objective of a batch in so many equal parts: the means of loss and gradient, one part after the other.

    Args:
        objective: of raw parameters, variables, batch, step and scale; gives loss, gradient, variables and values.
        count: the parts.
    """
    if count == 1:
        return objective

    def mean(raw: Array, variables: Any, batch: Any, step: Any, scale: Any = None) -> Any:
        parts = {name: array.reshape(count, len(array) // count, *array.shape[1:]) for name, array in batch.items()}

        def one(j: Any, variables: Any) -> Any:
            part = {name: lax.dynamic_index_in_dim(array, j, keepdims=False) for name, array in parts.items()}
            loss, grads, after, whole = objective(raw, variables, part, step * count + j, scale)
            return div(loss, count), div(grads, count), after, whole

        def more(j: Any, sums: Any) -> Any:
            loss, grads, variables = sums
            further, slope, variables, _ = one(j, variables)
            return loss + further, grads + slope, variables

        loss, grads, variables, whole = one(jnp.int32(0), variables)
        loss, grads, variables = lax.fori_loop(np.int32(1), np.int32(count), more, (loss, grads, variables))
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
    many, after, whole = len(plan.segments), {}, []
    for i, segment in enumerate(plan.segments):
        spec = _settled(segment.optimizer, i, extras, settings, raw)
        state = {"step": slots["step"], **own(slots, i, many)}
        part, slope = raw[segment.start : segment.stop], grads[segment.start : segment.stop]
        if segment.pull:
            part, slope = _decayed(plan, segment, spec, part, slope)

        def around(part: Array, segment: Segment = segment) -> tuple[Array, Array]:
            there, slope = objective(jnp.concatenate([raw[: segment.start], part, raw[segment.stop :]]))
            return there, slope[segment.start : segment.stop]

        part, state = update(spec, part, loss, slope, state, around, segment.parts)
        whole.append(part)
        after |= {"step": state["step"], **named(state, i, many)}
    return jnp.concatenate([*whole, raw[plan.layout.free :]]), after


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
        taken = (count > plan.average.count(slots["step"] - 1)) & (count > 0)
        # A count of -1 or less stands for steps that are left out.
        mean = averaged(extras["average"], raw, jnp.maximum(count - 1, 0), plan.average.decay)
        after["average"] = jnp.where(taken, mean, extras["average"])
    if plan.plateau is not None:
        after["plateau"] = _told(plan.plateau, extras["plateau"], loss)
    if plan.scaler is not None:
        scale, good = extras["scaler"]
        full = good + 1 == plan.scaler.growth_interval
        risen = scale * plan.scaler.growth_factor
        risen = jnp.where(full & jnp.isfinite(risen), risen, scale)
        after["scaler"] = jnp.stack([risen, jnp.where(full, 0.0, good + 1)])
    return after


def _settled(optimizer: Optimizer, number: int, extras: Mapping[str, Array], settings: Any, raw: Array) -> Optimizer:
    """The optimizer of a segment with the settings of one update, in float64 in a program without float64 too."""
    if settings is None and "plateau" not in extras:
        return optimizer
    bits = extras["plateau"][3 + number : 4 + number] if settings is None else settings[number]
    with jax.enable_x64(True):
        own = lax.bitcast_convert_type(bits, jnp.float64)
        if isinstance(optimizer, LBFGS):
            own = own.astype(raw.dtype)
        return with_settings(optimizer, *own)


def _clipped(plan: Plan, grads: Array) -> Array:
    """The gradient within the size of the plan."""
    if plan.clip is None:
        return grads
    if not isinstance(plan.clip, ClipByNorm):
        return clip_by_value(grads, plan.clip.clip_value)
    wide = grads.astype(DTYPES[plan.computing])
    return clip_by_norm(wide, plan.clip.max_norm, plan.clip.norm_type)[0].astype(grads.dtype)


def _decayed(plan: Plan, segment: Segment, spec: Optimizer, part: Array, slope: Array) -> tuple[Array, Array]:
    """Parameters and gradient after the weight decay of their values: the former shrunk, or the latter with the penalty."""
    pulled = pull(segment.layout, part.astype(DTYPES[plan.computing])).astype(part.dtype)
    with jax.enable_x64(True):  # a rate may be a number in float64, rounded once
        if spec.decoupled:
            return add_(part, pulled, -spec.lr * segment.pull), slope
        return part, add(slope, pulled, -segment.pull if spec.maximize else segment.pull)


def _told(schedule: ReduceLROnPlateau, bits: Array, loss: Array) -> Array:
    """`ReduceLROnPlateau.told`, of numbers in halves."""
    with jax.enable_x64(True):
        state = lax.bitcast_convert_type(bits, jnp.float64)
        (best, bad, cooling), rates, now = state[:3], state[3:], loss.astype(jnp.float64)
        better = schedule.is_better(now, best)
        best, bad = jnp.where(better, now, best), jnp.where(better, 0.0, bad + 1)
        bad = jnp.where(cooling > 0, 0.0, bad)
        cooling = jnp.where(cooling > 0, cooling - 1, cooling)
        falls = bad > schedule.patience
        lower = jnp.maximum(rates * schedule.factor, schedule.min_lr)
        rates = jnp.where(falls & (rates - lower > schedule.eps), lower, rates)
        counts = jnp.stack([best, jnp.where(falls, 0.0, bad), jnp.where(falls, float(schedule.cooldown), cooling)])
        return lax.bitcast_convert_type(jnp.concatenate([counts, rates]), jnp.uint32)
