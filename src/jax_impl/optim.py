"""Optimizers: genuine optax transformations, and the same updates as functions of one array, in torch's order of operations."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.core import Tracer
from jax.experimental.sparse import BCOO
from jax.flatten_util import ravel_pytree

from isoparam.arguments import check_real, check_schedule, steps_of
from isoparam.errors import SpecError
from isoparam.layout import Part
from isoparam.optimizers import LBFGS, Optimizer, Slot, as_optimizer
from isoparam.schedules import Schedule, Timetable, first_settings, with_settings
from jax_impl import lbfgs
from jax_impl.optimizers import STEPS

State = dict[str, Any]
TABLE = 2**14
"""Updates whose settings are part of a compiled program with a schedule.

# No twin: torch's scheduler is asked before every step.
"""


class OptaxState(NamedTuple):
    """State of `optimizer`: the count of updates of each parameter, and one tree per buffer, by torch's names.

    # No twin: torch's optimizer keeps its state to itself; optax hands it to the caller.
    """

    step: Any
    buffers: dict[str, Any]


def optimizer(spec: Optimizer, params: Any = None, schedule: Schedule | None = None) -> Any:
    """The optimizer of the framework that does what the spec says.

    # twin: torch's optimizer holds the parameters and needs them here; optax's is given them at each update.

    Args:
        spec: such as `isoparam.Adam(lr=0.01)`.
        params: not needed here.
        schedule: how the step size changes, such as `isoparam.StepLR(100)`; every `update` is one step of it.

    Returns:
        An `optax.GradientTransformation` for any pytree, with the meaning of torch.optim. Its `update` takes the params too:
        the change that it gives back then leads to the very numbers of torch's step, but for a last rounding where a parameter
        more than doubles or halves. A gradient of None leaves its parameter and its state as they are.
        One `update` of `LBFGS` is one `.step()` of torch: several moves on one loss, which is given as `value_fn=` of params.

    Raises:
        SpecError: for something that is no optimizer spec or schedule, or one that follows a loss; from `update`, past the end
            of a schedule that has one (an error of JAX with this message in a compiled program); from `init`, for complex
            parameters (optax.contrib.split_real_and_imaginary makes them pairs of reals, as torch takes them) and for whole
            numbers.

    Limits: the settings of a spec are numbers, so `optax.inject_hyperparams` cannot trace them; a step size that changes is a
    `schedule`.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import optimizer
        >>> transform = optimizer(iso.SGD(lr=0.5))
        >>> transform.update(jnp.ones(2), transform.init(jnp.zeros(2)))[0].tolist()
        [-0.5, -0.5]
    """
    del params
    as_optimizer(spec)
    check_schedule(schedule)
    making: Callable[[Any], Any] = _lbfgs if isinstance(spec, LBFGS) else _by_leaf
    return making(spec) if schedule is None else _scheduled(spec, schedule, making)


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
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import init_state
        >>> sorted(init_state(iso.Adam(), jnp.ones(2)))
        ['exp_avg', 'exp_avg_sq', 'step']
    """
    check_real("the parameter", str(params.dtype), _is_real(params))
    if isinstance(spec, LBFGS):
        return lbfgs.init_state(spec, params)
    count = {"step": jnp.zeros((), jnp.int32)}
    if parts is None or spec.elementwise:
        return count | {name: _buffer(slot, params) for name, slot in spec.slots(params.shape).items()}
    state: dict[str, list[Array]] = {}
    for part in parts:
        for name, slot in spec.slots(part.shape).items():
            state.setdefault(name, []).append(_buffer(slot, params).reshape(-1))
    return count | {name: jnp.concatenate(buffers) for name, buffers in state.items()}


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
    after: dict[str, list[Array]] = {"params": []} | {name: [] for name in state}
    for part in parts:
        buffers = {}
        for name, slot in spec.slots(part.shape).items():
            first = taken[name]
            taken[name] = first + prod(slot.shape)
            buffers[name] = state[name][first : taken[name]].reshape(slot.shape)
        here, slope = (vector[part.start : part.stop].reshape(part.shape) for vector in (params, grads))
        new, kept = step(spec, here, slope, {"step": state["step"], **buffers})
        for name, array in {"params": new, **kept}.items():
            after[name].append(array.reshape(-1))
    whole = {name: jnp.concatenate(arrays) for name, arrays in after.items() if name != "step"}
    return whole.pop("params"), {"step": state["step"] + 1, **whole}


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
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import init_state, step
        >>> params = jnp.ones(2)
        >>> state = init_state(iso.SGD(lr=0.5), params)
        >>> params, state = step(iso.SGD(lr=0.5), params, jnp.ones(2), state)
        >>> params.tolist(), int(state["step"])
        ([0.5, 0.5], 1)
    """
    if grads is None:
        return params, state
    count = state["step"] + 1
    if spec.maximize:
        grads = -grads
    buffers = {name: buffer for name, buffer in state.items() if name != "step"}
    with jax.enable_x64(True):  # what depends on the step alone is computed in float64, and rounded once
        params, after = steps_of(spec, STEPS)(spec, params, grads, buffers, count.astype(jnp.float64))
    return params, {"step": count, **after}


def _by_leaf(spec: Optimizer) -> Any:
    """An optimizer that needs nothing but the gradient as a transformation, over each parameter."""

    def init(params: Any) -> OptaxState:
        leaves, tree = jax.tree.flatten(params)
        _check_real(params)
        return _packed([init_state(spec, leaf) for leaf in leaves], tree)

    def update(updates: Any, state: OptaxState, params: Any = None) -> tuple[Any, OptaxState]:
        if spec.reads_params and params is None:
            raise SpecError(f"{spec} needs the parameters themselves; write update(grads, state, params)")
        grads, tree = jax.tree.flatten(updates, is_leaf=_is_gradient)
        leaves = [_zeros(grad) for grad in grads] if params is None else tree.flatten_up_to(params)
        states = _unpacked(state, tree)
        after = [step(spec, *each) for each in zip(leaves, grads, states, strict=True)]
        changes = [None if new is None else new - leaf for (new, _), leaf in zip(after, leaves, strict=True)]
        return tree.unflatten(changes), _packed([own for _, own in after], tree)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _scheduled(spec: Optimizer, schedule: Schedule, making: Callable[[Any], Any]) -> Any:
    """The transformation with the settings of its update: out of a table, or past its end asked from the host."""
    times = Timetable(spec, schedule)
    table = _halves(times.rows(0, min(TABLE, schedule.longest or TABLE)))
    shape = jax.ShapeDtypeStruct(table.shape[1:], table.dtype)
    first = making(first_settings(spec, schedule))

    def settings(count: Array) -> Array:
        past = lambda: jax.pure_callback(lambda k: _halves(times.rows(int(k), 1))[0], shape, count)  # noqa: E731
        bits = jax.lax.cond(count < len(table), lambda: jnp.asarray(table)[count], past)
        return jax.lax.bitcast_convert_type(bits, jnp.float64)

    def init(params: Any) -> Any:
        return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32)), first.init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        count = state[0].count
        if schedule.longest is not None and not isinstance(count, Tracer) and count >= schedule.longest:
            times.rows(int(count), 1)  # which says that there is no such update
        with jax.enable_x64(True):
            settled = with_settings(spec, *settings(count))
        changes, inner = making(settled).update(updates, state[1], params, **extra)
        return changes, (optax.ScaleByScheduleState(count + 1), inner)

    return (optax.GradientTransformationExtraArgs if isinstance(spec, LBFGS) else optax.GradientTransformation)(init, update)


def _halves(rows: np.ndarray) -> np.ndarray:
    """Numbers of float64 in two halves each, which a program without float64 keeps as they are."""
    return rows.view(np.uint32).reshape(*rows.shape, 2)


def _lbfgs(spec: Any) -> Any:
    """LBFGS as a transformation, over all parameters as one vector."""

    def init(params: Any) -> Any:
        _check_real(params)
        return lbfgs.init_state(spec, ravel_pytree(params)[0])

    def update(updates: Any, state: Any, params: Any = None, *, value: Any = None, value_fn: Any = None, **extra: Any) -> Any:
        if params is None:
            raise SpecError(f"{spec} needs the parameters themselves; write update(grads, state, params, value_fn=...)")
        start, unravel = ravel_pytree(params)
        settled = with_settings(spec, spec.lr.astype(start.dtype)) if isinstance(spec.lr, Array) else spec
        own = None if value_fn is None else jax.value_and_grad(lambda flat: value_fn(unravel(flat), **extra))
        if own is None and (spec.max_iter > 1 or spec.line_search_fn is not None):
            raise SpecError(
                f"{spec} moves several times; write update(grads, state, params, value_fn=loss), or LBFGS(max_iter=1)"
            )
        objective = (lambda flat: (jnp.zeros((), flat.dtype), jnp.zeros_like(flat))) if own is None else own
        loss = objective(start)[0] if value is None else jnp.asarray(value, start.dtype)
        after, state = lbfgs.step(settled, start, loss, ravel_pytree(updates)[0], state, objective)
        return unravel(after - start), state

    return optax.GradientTransformationExtraArgs(init, update)


def _buffer(slot: Slot, params: Array) -> Array:
    return jnp.full(slot.shape, slot.fill, params.dtype if slot.dtype is None else slot.dtype)


def _is_real(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _check_real(params: Any) -> None:
    for path, leaf in jax.tree.leaves_with_path(params):
        check_real(f"the parameter {jax.tree_util.keystr(path) or 'itself'}", str(leaf.dtype), _is_real(leaf))


def _is_gradient(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, BCOO)


def _zeros(grad: Any) -> Any:
    """Parameters to count the change from, where none are given."""
    return None if grad is None else jnp.zeros(grad.shape, grad.dtype)


def _packed(states: list[State], tree: Any) -> OptaxState:
    """The states of all parameters as one tree per name, with None where a parameter has no such buffer."""
    names = dict.fromkeys(name for state in states for name in state if name != "step")
    trees = {name: tree.unflatten([state.get(name) for state in states]) for name in names}
    return OptaxState(tree.unflatten([state.get("step") for state in states]), trees)


def _unpacked(state: OptaxState, tree: Any) -> list[State]:
    columns = {name: tree.flatten_up_to(buffer) for name, buffer in {"step": state.step, **state.buffers}.items()}
    rows = zip(*columns.values(), strict=True)
    return [{name: entry for name, entry in zip(columns, row, strict=True) if entry is not None} for row in rows]
