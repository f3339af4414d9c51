"""The state of an optimizer of one's own loop, as a framework-free `OptimizerState` and back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from isoparam.errors import CheckpointError
from isoparam.handover import STEP, UNCOUNTED, OptimizerState, check_entries, common_step, others
from isoparam.optimizers import Optimizer, as_optimizer
from isoparam.slots import entries
from jax_impl.optim import OptaxState
from jax_impl.tree import _array, _boxed, _named_leaves

MOMENTS: dict[type, dict[str, str]] = {
    optax.ScaleByAdamState: {"mu": "exp_avg", "nu": "exp_avg_sq"},
    optax.TraceState: {"trace": "momentum_buffer"},
}
"""The states of optax that have a counterpart: {field: entry of torch}; a field `count` is the step."""

COUNTS = (optax.ScaleByScheduleState,)
EMPTY = (optax.EmptyState,)
AROUND: dict[type, str] = {
    optax.MaskedState: "inner_state",
    optax.MultiStepsState: "inner_opt_state",
    optax.ApplyIfFiniteState: "inner_state",
    optax.InjectHyperparamsState: "inner_state",
    optax.InjectStatefulHyperparamsState: "inner_state",
}
"""The states of optax that stand around another: {state: its field}; what else they hold stays as it is, but for a step."""

COUNTED = (optax.InjectHyperparamsState, optax.InjectStatefulHyperparamsState)

STEPS = "steps"  # counted by parameter
Trees = dict[str, Any]


def to_neutral(
    spec: Optimizer, state: Any, params: Any, groups: Mapping[str, Mapping[str, Any]] | None = None
) -> OptimizerState:
    """The state of an optimizer, by the names of its parameters.

    # twin: torch's state is a state_dict, which numbers the parameters; optax's is a tree of the structure of the parameters.

    Args:
        spec: what the optimizer is, such as `isoparam.Adam()`; its lr does not matter.
        state: of `isoparam.jax.optimizer(spec)`, or of optax's own `adam`, `adamw` or `sgd`; or of one of these for each
            group of parameters, by `optax.partition` or `optax.masked`; `optax.MultiSteps`, `apply_if_finite` and
            `inject_hyperparams` may stand around it.
        params: the parameters, in any pytree; the name of one is its keys, joined by dots.
        groups: {name or glob: {setting: value}} of parameter groups whose settings are not those of `spec`.

    Returns:
        An `OptimizerState`, for `from_neutral` of either backend.

    Raises:
        CheckpointError: for an entry that is missing, unknown or of another shape, and for other parameters. A state of
            optax without a counterpart is unknown, such as that of its amsgrad, which keeps the largest corrected moment.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp, optax
        >>> from isoparam.jax import to_neutral
        >>> params, transform = {"x": jnp.ones(2)}, optax.sgd(0.1, momentum=0.9)
        >>> _, state = transform.update({"x": jnp.ones(2)}, transform.init(params))
        >>> to_neutral(iso.SGD(momentum=0.9), state, params).entries["x"]["momentum_buffer"].tolist()
        [1.0, 1.0]
    """
    as_optimizer(spec)
    found: Trees = {}
    _walked(state, lambda entry, part: found.setdefault(entry, []).append(part))
    counts = {int(count) for count in found.pop(STEP, [])}
    if len(counts) > 1:
        raise CheckpointError(f"the parts of the state have counted {sorted(counts)} updates; they should agree")
    trees: dict[str, dict[str, np.ndarray]] = {}
    for entry, parts in found.items():
        named = [_arrays(part) for part in parts]
        trees[entry] = {name: array for part in named for name, array in part.items()}
        if len(trees[entry]) < sum(map(len, named)):
            raise CheckpointError(f"the state has several parts for {entry!r}; give that of one transformation")
    leaves, _ = _named_leaves(params)
    shapes = {name: tuple(np.shape(_array(leaf))) for name, leaf in leaves}
    step = {STEP: np.array(counts.pop(), np.int64)} if counts else {}
    steps = {name: {STEP: array.astype(np.int64)} for name, array in trees.pop(STEPS, {}).items()}
    own = {
        name: steps.get(name, step) | {entry: tree[name] for entry, tree in trees.items() if name in tree} for name in shapes
    }
    own = {name: {} if _unused(kept) else kept for name, kept in own.items()}
    own |= {name: {} for tree in trees.values() for name in tree if name not in shapes}
    neutral = OptimizerState(spec, own, others(tuple(shapes), spec, groups))
    check_entries(neutral, shapes)
    return neutral


def from_neutral(neutral: OptimizerState, state: Any, params: Any) -> Any:
    """A state for an optimizer of this framework, with these numbers in it.

    # twin: torch's state is a state_dict, which numbers the parameters; optax's is a tree of the structure of the parameters.

    Args:
        neutral: from `to_neutral` of either backend.
        state: `transform.init(params)` of the transformation that is to go on, or any later state of it: its structure stays
            as it is. Schedules go on at the step of the moments; of SGD and Muon torch counts no steps, and the count of
            `state` stays.
        params: the parameters, as for `to_neutral`.

    Returns:
        A new state, for `transform.update`.

    Raises:
        CheckpointError: for an entry that is missing, unknown or of another shape, for other parameters, and for
            parameters that differ in their count of updates.

    Example:
        >>> import isoparam as iso, isoparam.jax, jax.numpy as jnp, optax
        >>> from isoparam.jax import from_neutral, to_neutral
        >>> params, sgd = {"x": jnp.ones(2)}, iso.SGD(lr=0.1, momentum=0.9)
        >>> ours, theirs = iso.jax.optimizer(sgd), optax.sgd(0.1, momentum=0.9)
        >>> _, state = ours.update({"x": jnp.ones(2)}, ours.init(params), params)
        >>> from_neutral(to_neutral(sgd, state, params), theirs.init(params), params)[0].trace["x"].tolist()
        [1.0, 1.0]
    """
    leaves, _ = _named_leaves(params)
    shapes = {name: tuple(np.shape(_array(leaf))) for name, leaf in leaves}
    check_entries(neutral, shapes)
    wanted = {entry for name, shape in shapes.items() for entry in entries(neutral.spec_of(name), shape)}
    filled: set[str] = set()

    def fill(entry: str, part: Any) -> Any:
        if entry == STEP:
            if isinstance(neutral.optimizer, UNCOUNTED) and not any(STEP in own for own in neutral.entries.values()):
                return part  # nobody has counted
            return jnp.asarray(common_step(neutral.optimizer, neutral.entries), part.dtype)
        filled.add(entry)
        named, tree = _named_leaves(part)
        if entry not in {*wanted, STEPS} or not {name for name, _ in named} <= set(shapes):
            raise CheckpointError(f"the state has a part {entry!r} that {neutral.optimizer} has not, or other parameters")
        if entry == STEPS:
            values = [neutral.entries[name].get(STEP, int(bool(neutral.entries[name]))) for name, _ in named]
        else:
            values = [neutral.entries[name].get(entry, _array(leaf)) for name, leaf in named]
        arrays = [jnp.asarray(value, _array(leaf).dtype) for value, (_, leaf) in zip(values, named, strict=True)]
        return jax.tree.unflatten(tree, [_boxed(leaf, array) for (_, leaf), array in zip(named, arrays, strict=True)])

    result = _walked(state, fill)
    if filled - {STEPS} != wanted:
        raise CheckpointError(f"the state has no part for {sorted(wanted - filled)[0]!r}; give that of {neutral.optimizer}")
    return result


def _unused(kept: Mapping[str, np.ndarray]) -> bool:
    """Whether the buffer of SGD waits for a momentum above 0, which torch says by having none."""
    buffer = kept.get("momentum_buffer")
    return set(kept) <= {STEP, "momentum_buffer"} and buffer is not None and buffer.size > 0 and bool(np.isnan(buffer).all())


def _walked(state: Any, visit: Callable[[str, Any], Any]) -> Any:
    """The state with every part replaced by what `visit(entry, part)` gives; the step is an entry too."""
    if isinstance(state, OptaxState):
        return OptaxState(visit(STEPS, state.step), {entry: visit(entry, tree) for entry, tree in state.buffers.items()})
    if type(state) in MOMENTS:
        named = {field: visit(entry, getattr(state, field)) for field, entry in MOMENTS[type(state)].items()}
        count = {"count": visit(STEP, state.count)} if "count" in state._fields else {}
        return state._replace(**named, **count)
    if type(state) in COUNTS:
        return state._replace(count=visit(STEP, state.count))
    if isinstance(state, optax.PartitionState):
        return state._replace(inner_states={label: _walked(inner, visit) for label, inner in state.inner_states.items()})
    if type(state) in AROUND:
        count = {"count": visit(STEP, state.count)} if isinstance(state, COUNTED) else {}
        return state._replace(**{AROUND[type(state)]: _walked(getattr(state, AROUND[type(state)]), visit)}, **count)
    if isinstance(state, EMPTY):
        return state
    if type(state) is tuple:
        return tuple(_walked(part, visit) for part in state)
    raise CheckpointError(
        f"the state holds a {type(state).__name__}, which has no counterpart in torch; known are those of "
        f"isoparam.jax.optimizer, and {', '.join(known.__name__ for known in (*MOMENTS, *COUNTS))} of optax"
    )


def _arrays(tree: Any) -> dict[str, np.ndarray]:
    """{name: array of numpy}; bfloat16, which numpy lacks, as float32."""
    result = {}
    for name, leaf in _named_leaves(tree)[0]:
        array = _array(leaf)
        result[name] = np.array(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)
    return result
