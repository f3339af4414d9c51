"""Optimizers: genuine optax transformations, and the same updates as functions of one array, in torch's order of operations."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from isoparam.arguments import check_schedule
from isoparam.errors import SpecError
from isoparam.optimizers import LBFGS, SGD, Adam, AdamW, Optimizer, as_optimizer
from jax_impl import lbfgs

State = dict[str, Any]
Elementwise = SGD | Adam | AdamW


class OptaxState(NamedTuple):
    """State of `optimizer`: the count of updates, and one tree per buffer, by torch's names.

    # No twin: torch's optimizer keeps its state to itself; optax hands it to the caller.
    """

    step: Array
    buffers: dict[str, Any]


def optimizer(spec: Optimizer, params: Any = None, schedule: None = None) -> Any:
    """The optimizer of the framework that does what the spec says.

    # twin: torch's optimizer holds the parameters and needs them here; optax's is given them at each update.

    Args:
        spec: such as `isoparam.Adam(lr=0.01)`.
        params: not needed here.
        schedule: learning rates over the steps; none are available yet.

    Returns:
        An `optax.GradientTransformation` for any pytree, with the meaning of torch.optim: give `update` the params too
        where the spec has weight decay. For `LBFGS` it is optax's own `optax.lbfgs`, whose `update` does one move and takes
        `params`, and with a line search `value`, `grad` and `value_fn`; `LBFGS` says where it differs from torch's.

    Raises:
        SpecError: for something that is no optimizer spec.

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
    if isinstance(spec, LBFGS):
        return _optax_lbfgs(spec)

    def init(params: Any) -> OptaxState:
        buffers = {name: jax.tree.map(jnp.zeros_like, params) for name in _buffers(spec)}
        return OptaxState(jnp.zeros((), jnp.int32), buffers)

    def update(updates: Any, state: OptaxState, params: Any = None) -> tuple[Any, OptaxState]:
        if spec.weight_decay and params is None:
            raise SpecError(f"{spec} needs the parameters for its weight decay; write update(grads, state, params)")
        grads, tree = jax.tree.flatten(updates)
        leaves: list[Any] = [None] * len(grads) if params is None else tree.flatten_up_to(params)
        buffers = {name: tree.flatten_up_to(buffer) for name, buffer in state.buffers.items()}
        count = state.step + 1
        changes, after = [], {name: [] for name in buffers}
        for i, (leaf, grad) in enumerate(zip(leaves, grads, strict=True)):
            change, own = _change(spec, leaf, grad, count, {name: buffer[i] for name, buffer in buffers.items()})
            if isinstance(spec, AdamW) and spec.weight_decay:
                change = change - (spec.lr * spec.weight_decay) * leaf
            changes.append(change)
            for name in after:
                after[name].append(own[name])
        trees = {name: tree.unflatten(buffer) for name, buffer in after.items()}
        return tree.unflatten(changes), OptaxState(count, trees)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _optax_lbfgs(spec: LBFGS) -> Any:
    search = None
    if spec.line_search_fn is not None:
        search = optax.scale_by_zoom_linesearch(
            spec.evaluations, slope_rtol=lbfgs.DECREASE, curv_rtol=lbfgs.CURVATURE, initial_guess_strategy="one"
        )
    return optax.lbfgs(spec.lr, spec.history_size, linesearch=search)


def init_state(spec: Optimizer, params: Array) -> State:
    """The state before the first update: "step" (0), and one array per buffer, by torch's names, as large as params.

    Of LBFGS, which takes a vector, it is that of `lbfgs.init_state`.
    """
    if isinstance(spec, LBFGS):
        return lbfgs.init_state(spec, params)
    return {"step": jnp.zeros((), jnp.int32)} | {name: jnp.zeros_like(params) for name in _buffers(spec)}


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
    count = state["step"] + 1
    change, buffers = _change(spec, params, grads, count, {name: state[name] for name in _buffers(spec)})
    if isinstance(spec, AdamW) and spec.weight_decay:
        params = params * (1 - spec.lr * spec.weight_decay)
    return params + change, {"step": count, **buffers}


def _buffers(spec: Elementwise) -> tuple[str, ...]:
    if isinstance(spec, SGD):
        return ("momentum_buffer",) if spec.momentum else ()
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if spec.amsgrad else ()))


def _change(spec: Elementwise, params: Any, grads: Array, count: Array, buffers: State) -> tuple[Array, State]:
    """What is added to the parameters, but for the decay of AdamW, and the buffers after it."""
    if spec.maximize:
        grads = -grads
    if spec.weight_decay and not isinstance(spec, AdamW):
        grads = grads + spec.weight_decay * params
    return _sgd(spec, grads, count, buffers) if isinstance(spec, SGD) else _adam(spec, grads, count, buffers)


def _sgd(spec: SGD, grads: Array, count: Array, buffers: State) -> tuple[Array, State]:
    if not spec.momentum:
        return -spec.lr * grads, buffers
    buffer = buffers["momentum_buffer"] * spec.momentum + (1 - spec.dampening) * grads
    if spec.dampening:
        buffer = jnp.where(count == 1, grads, buffer)  # the first gradient enters undamped
    along = grads + spec.momentum * buffer if spec.nesterov else buffer
    return -spec.lr * along, {"momentum_buffer": buffer}


def _adam(spec: Adam | AdamW, grads: Array, count: Array, buffers: State) -> tuple[Array, State]:
    first = _lerp(buffers["exp_avg"], grads, 1 - spec.betas[0])
    second = buffers["exp_avg_sq"] * spec.betas[1] + (1 - spec.betas[1]) * grads * grads
    after = {"exp_avg": first, "exp_avg_sq": second}
    if spec.amsgrad:
        second = after["max_exp_avg_sq"] = jnp.maximum(buffers["max_exp_avg_sq"], second)
    size, root = _corrections(spec, count, grads.dtype)
    return (-size * first) / (jnp.sqrt(second) / root + spec.eps), after


def _lerp(start: Array, end: Array, weight: float) -> Array:
    """As torch.lerp, which starts from the nearer end."""
    return start + weight * (end - start) if weight < 0.5 else end - (end - start) * (1 - weight)


def _corrections(spec: Adam | AdamW, count: Array, dtype: Any) -> tuple[Array, Array]:
    """lr/(1 - beta1^t) and sqrt(1 - beta2^t), in float64 whatever the parameters are, rounded once."""
    with jax.enable_x64(True):
        t = count.astype(jnp.float64)
        size = spec.lr / (1 - spec.betas[0] ** t)
        root = jnp.sqrt(1 - spec.betas[1] ** t)
        return size.astype(dtype), root.astype(dtype)
