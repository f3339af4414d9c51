"""Training: chunks of steps over one flat vector of raw parameters, recorded on the device."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
from jax import Array, lax

from isoparam.batches import data_order
from isoparam.layout import layout
from isoparam.plan import Piece, Plan, Rows, pieces_of, probe
from isoparam.problem import Problem
from isoparam.run import Evaluation
from isoparam.specs import Spec
from jax_impl.exact import check_exact, rounded
from jax_impl.flat import (
    DTYPES,
    Objective,
    arrays_of,
    descent,
    device_of,
    leaves_of,
    norm_of,
    projected,
    setting,
    to_numpy,
    values_of,
    variables_of,
)
from jax_impl.optim import _halves
from jax_impl.start import start
from jax_impl.updating import accumulated, followed, from_host, init_extras, init_slots, to_host, updated
from jax_impl.verbs import forward


class Loop:
    """One run of one problem: a state on the device, advanced chunk by chunk.

    Args:
        problem: what is trained.
        plan: the settings.

    Raises:
        DomainError: for a start outside its set, or on its border, in the dtype of the plan.
        BackendError: for a loss or a device that is not there.
    """

    def __init__(self, problem: Problem, plan: Plan) -> None:
        if plan.numerics == "exact":
            check_exact()
        self._plan = plan
        self._specs = problem.specs
        self._loss = problem.loss_for("jax")
        objective = Objective(plan.layout, self._loss, plan.seed, plan.narrow)
        self._objective = accumulated(rounded(objective) if plan.numerics == "exact" else objective, plan.accumulate)
        self._timetables = plan.timetables
        self._order = data_order(plan.seed, problem.rows, plan.batch_size)
        with setting(plan.computing, plan.device):
            self._data = arrays_of(problem.data or {}, plan.narrow or plan.computing, plan.device)
        # One program serves every chunk and every replay: the number of steps is an argument.
        self._program = jax.jit(partial(_chunk, plan, self._objective), donate_argnums=0)
        self._shown = jax.jit(partial(_whole, plan))
        self._pulled = jax.jit(partial(_slopes, self._specs))
        _, self._places = pieces_of(plan.layout, plan.columns)
        self._ordered = bool(np.all(np.diff(self._places) == 1))
        raw = start(problem, plan.seed, plan.computing, plan.device, plan.layout.method)
        self.load({"step": 0, "raw": plan.layout.flatten(raw), "slots": {}})

    def state(self) -> dict[str, Any]:
        """A copy on the host: "step", "updates", "raw" (flat), "slots" (buffers of the optimizers, flat, by torch's names),
        "variables", "extras" (see `init_extras`). A step that was skipped is no update.
        """
        slots = {name: to_numpy(slot) for name, slot in self._slots.items() if name != "step"}
        variables = {name: to_numpy(self._variables[name]) for name in self._names}  # jit sorts a dict
        counts = {"step": self._step, "updates": int(self._slots["step"])}
        kept = {"variables": variables, "extras": to_host(self._extras)}
        return {**counts, "raw": to_numpy(self._raw), "slots": slots, **kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state; what is missing is as at a start, and no step was skipped unless it says that."""
        self._step = int(state["step"])
        with setting(self._plan.computing, self._plan.device):
            raw = jnp.array(state["raw"], DTYPES[self._plan.dtype])
            fresh, extras = init_slots(self._plan, raw), init_extras(self._plan, raw)
            slots = {n: jnp.array(s, fresh[n].dtype) for n, s in state["slots"].items()}
            slots = fresh | slots | {"step": jnp.array(state.get("updates", self._step), jnp.int32)}
            # Committed, as data makes what a chunk returns: otherwise the second chunk would be compiled anew.
            state_now = raw, slots, extras | from_host(state.get("extras", {}), extras)
            self._raw, self._slots, self._extras = jax.device_put(state_now, device_of(self._plan.device))
            self._variables = variables_of(self._loss, self._plan.computing, self._plan.device, state.get("variables", {}))
            self._names = tuple(self._variables)

    def advance(self, count: int) -> Rows:
        """Do `count` updates and give back what they recorded: row k is of the state before update k."""
        first, every = self._step, self._plan.record_every
        with setting(self._plan.computing, self._plan.device):
            carry = self._raw, self._slots, self._variables, self._extras
            order = self._indices(first, count)
            carry, table, kept = self._program(
                carry, self._data, order, self._settings(first, count), np.int32(first), np.int32(count)
            )
        self._raw, self._slots, self._variables, self._extras = carry
        self._step += count
        view = np.asarray(table)[:count]
        host = view if 2 * count >= self._plan.capacity else view.copy()  # a short view would keep all of the table alive
        skipped = -(-first // every) - first // every  # the first row began before this chunk
        columns = (
            host[:, 2:] if every == 1 else np.array(np.asarray(kept)[skipped : -(-(first + count) // every) - first // every])
        )
        rows = Rows(host[:, 0], host[:, 1], columns if self._ordered else columns[:, self._places])
        return rows.rounded(self._plan.history_dtype)

    def look(self) -> Evaluation:
        """Values, loss and gradients where the loop stands, for the batch that comes next."""
        order = self._indices(self._step, 1)
        with setting(self._plan.computing, self._plan.device):
            batch = _batch(self._data, order, 0)
            now = self._raw, self._variables, batch, jnp.int32(self._step), _scale(self._extras)
            loss, grads, _, whole = jax.jit(partial(self._objective))(*now)
            shown = self._plan.layout.cut(to_numpy(value.astype(self._raw.dtype)) for value in whole)
        return Evaluation(shown, to_numpy(loss), self._plan.layout.unflatten(to_numpy(grads)))

    def values(self) -> dict[str, np.ndarray]:
        """The constrained values where the loop stands."""
        with setting(self._plan.computing, self._plan.device):
            return self._plan.layout.cut(to_numpy(value.astype(self._raw.dtype)) for value in self._shown(self._raw))

    def averages(self) -> dict[str, np.ndarray] | None:
        """The constrained values of the average; None where no step is in it yet."""
        average = self._plan.average
        if average is None or average.count(int(self._slots["step"])) < 1:
            return None
        with setting(self._plan.computing, self._plan.device):
            raw = self._extras["average"]
            if self._plan.layout.projected:
                raw = projected(self._plan.layout, _widened(self._plan, raw))
            return self._plan.layout.cut(to_numpy(value.astype(self._raw.dtype)) for value in self._shown(raw))

    def slopes(self) -> dict[str, np.ndarray]:
        """For each constrained parameter, of the shape of raw: exactly 0 where no value moves with that raw entry."""
        raw = self._plan.layout.unflatten(to_numpy(self._raw))
        with setting(self._plan.computing, self._plan.device):
            leaves = {
                name: jnp.asarray(raw[name], DTYPES[self._plan.dtype]) for name in raw if name in self._specs and raw[name].size
            }
            return {name: to_numpy(slope) for name, slope in self._pulled(leaves).items()}

    def _settings(self, first: int, count: int) -> Any:
        """What the schedule sets, as the halves of float64 numbers, filled up to the capacity of a chunk."""
        if self._timetables is None:
            return None
        rows = self._timetables.rows(first, count)
        filled = np.zeros((self._plan.capacity, *rows.shape[1:]))
        filled[:count] = rows
        return _halves(filled)

    def _indices(self, first: int, count: int) -> Any:
        """Row numbers, filled up to the capacity of a chunk so that one program serves every chunk."""
        if self._order is None or self._plan.batch_size is None:
            return None
        many = self._plan.accumulate
        filled = np.zeros((self._plan.capacity, many * self._plan.batch_size), np.int32)
        filled[:count] = self._order.indices(first * many, count * many).reshape(count, filled.shape[1])
        return filled


def evaluate(
    problem: Problem,
    raw: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    method: str = "transform",
) -> Evaluation:
    """Values, loss and gradients at one point; with the variables of the start, as at step 0 of seed 0.

    Args:
        problem: whose loss.
        raw: {name: raw parameter}, as from `start`.
        batch: the data to use; None for all of it.
        dtype: in which to compute.
        device: on which to compute.
        method: "transform", or "projected": raw holds the values themselves.

    Raises:
        SpecError: for a raw of other names or shapes than the problem's, or a loss that is no scalar.
    """
    plan = layout(problem.shapes, problem.specs, method)
    plan.check(raw, problem.name)
    with setting(dtype, device):
        flat = jnp.asarray(plan.flatten(raw), DTYPES[dtype])
        data = arrays_of((problem.data or {}) if batch is None else batch, dtype, device)
        function = problem.loss_for("jax")
        variables = variables_of(function, dtype, device, {})
        loss, grads, _, whole = jax.jit(Objective(plan, function, 0).__call__)(flat, variables, data, 0)
    return Evaluation(plan.cut(map(to_numpy, whole)), to_numpy(loss), plan.unflatten(to_numpy(grads)))


def versions() -> dict[str, str]:
    """Versions of what computes here."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.version.__version__, "optax": optax.__version__}


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products in float32 for the time of a block, without TF32 or bfloat16; nothing changes after it.

    Example:
        >>> from jax_impl.train import full_precision
        >>> with full_precision():
        ...     pass
    """
    with jax.default_matmul_precision("highest"):
        yield


def _chunk(
    plan: Plan,
    objective: Any,
    carry: Any,
    data: dict[str, Array],
    order: Any,
    settings: Any,
    first: Array,
    count: Array,
) -> Any:
    """`count` updates from step `first` on, with loss and gradient norm of each and the columns of the recorded ones."""
    dtype, every = DTYPES[plan.keeping], plan.record_every
    pieces, places = pieces_of(plan.layout, plan.columns)
    width = len(places)
    table = jnp.zeros((plan.capacity, 2 + (width if every == 1 else 0)), dtype)
    kept = jnp.zeros((0 if every == 1 else plan.capacity // every + 2, width), dtype)

    def one(k: Array, state: Any) -> Any:
        (raw, slots, variables, extras), table = state
        before = variables, _batch(data, order, k), first + k, _scale(extras)
        loss, grads, variables, whole = objective(raw, *before)
        norm = norm_of(descent(plan.layout, _widened(plan, raw), _widened(plan, grads), plan.maximizes), dtype)
        parts = [loss.reshape(1), norm.reshape(1), *(_record(pieces, whole) if every == 1 else ())]
        table = _put(table, parts, k)
        # Another raw is tried with the batch, variables and random numbers of this step.
        now = None if settings is None else settings[k]
        raw, slots = updated(plan, raw, loss, grads, slots, extras, now, lambda raw: objective(raw, *before)[:2])
        if plan.layout.projected:
            raw = projected(plan.layout, _widened(plan, raw)).astype(raw.dtype)
        return (raw, slots, variables, followed(plan, raw, loss, slots, extras)), table

    if every == 1:
        carry, table = lax.fori_loop(np.int32(0), count, one, (carry, table))
        return carry, table, kept

    def record(row: Array, state: Any) -> Any:
        carry, table, kept = state
        whole = _whole(plan, carry[0])
        kept = _put(kept, _record(pieces, whole), row) if width else kept
        low = jnp.maximum((first // every + row) * every - first, 0)
        high = jnp.minimum((first // every + row + 1) * every - first, count)
        carry, table = lax.fori_loop(low, high, one, (carry, table))
        return carry, table, kept

    rows = jnp.where(count > 0, (first + count - 1) // every - first // every + 1, 0)
    return lax.fori_loop(np.int32(0), rows, record, (carry, table, kept))


def _widened(plan: Plan, flat: Array) -> Array:
    """A flat vector in the dtype in which values are computed."""
    return flat.astype(DTYPES[plan.computing])


def _whole(plan: Plan, raw: Array) -> tuple[Array, ...]:
    """The values of whole groups."""
    return values_of(plan.layout, leaves_of(plan.layout, _widened(plan, raw)))[1]


def _scale(extras: Mapping[str, Array]) -> Array | None:
    """What the loss is multiplied by; None without a scaler."""
    return extras["scaler"][0] if "scaler" in extras else None


def _slopes(specs: Mapping[str, Spec], raw: dict[str, Array]) -> dict[str, Array]:
    """The pull of the weights of `probe` through each map."""
    result = {}
    for name, leaf in raw.items():
        value, pull = jax.vjp(partial(forward, specs[name]), leaf)
        result[name] = pull(jnp.asarray(probe(value.shape), value.dtype))[0]
    return result


def _put(table: Array, parts: list[Array], row: Array) -> Array:
    """Write numbers into a row of a table, in place."""
    line = jnp.concatenate([part.astype(table.dtype) for part in parts])
    return lax.dynamic_update_slice(table, line[None], (row, np.int32(0)))


def _record(pieces: list[Piece], whole: tuple[Array, ...]) -> list[Array]:
    """The recorded numbers of one row, in the order of the groups."""
    parts = []
    for piece in pieces:
        flat = whole[piece.group].reshape(-1)
        part = flat if piece.whole_group else flat[piece.start : piece.stop]
        parts.append(jnp.stack([part.min(), part.mean(), part.max()]) if piece.summary else part)
    return parts


def _batch(data: dict[str, Array], order: Any, k: Any) -> dict[str, Array]:
    if order is None:
        return dict(data)
    index = order[k]
    return {name: array.at[index].get(mode="promise_in_bounds") for name, array in data.items()}
