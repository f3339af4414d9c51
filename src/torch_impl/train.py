"""Training: chunks of steps over one flat vector of raw parameters, recorded on the device."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.batches import data_order
from isoparam.layout import layout
from isoparam.plan import Plan, Rows, pieces_of, probe
from isoparam.problem import Problem
from isoparam.run import Evaluation
from torch_impl.exact import check_exact, equal_steps, flushed, rounded
from torch_impl.flat import (
    DTYPES,
    Objective,
    arrays_of,
    descent,
    device_of,
    leaves_of,
    norm_of,
    projected,
    to_numpy,
    values_of,
    variables_of,
)
from torch_impl.start import start
from torch_impl.updating import accumulated, followed, from_host, init_extras, init_slots, to_host, updated
from torch_impl.verbs import forward

SHORT = 64  # entries up to which the gradient of every step is kept for a chunk


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
        self._loss = problem.loss_for("torch")
        objective = Objective(plan.layout, self._loss, plan.seed, plan.narrow)
        self._objective = accumulated(rounded(objective) if plan.numerics == "exact" else objective, plan.accumulate)
        self._device = device_of(plan.device)
        self._dtype = DTYPES[plan.dtype]
        self._kept_dtype = DTYPES[plan.keeping]
        self._timetables = plan.timetables
        self._order = data_order(plan.seed, problem.rows, plan.batch_size)
        self._data = arrays_of(problem.data or {}, plan.narrow or plan.computing, plan.device)
        self._pieces, self._places = pieces_of(plan.layout, plan.columns)
        raw = start(problem, plan.seed, plan.computing, plan.device, plan.layout.method)
        self.load({"step": 0, "raw": plan.layout.flatten(raw), "slots": {}})

    def state(self) -> dict[str, Any]:
        """A copy on the host: "step", "updates", "raw" (flat), "slots" (buffers of the optimizers, flat, by torch's names),
        "variables", "extras" (see `init_extras`). A step that was skipped is no update.
        """
        slots = {name: to_numpy(slot) for name, slot in self._slots.items() if name != "step"}
        variables = {name: to_numpy(array) for name, array in self._variables.items()}
        counts = {"step": self._step, "updates": self._slots["step"]}
        kept = {"variables": variables, "extras": to_host(self._extras)}
        return {**counts, "raw": to_numpy(self._raw), "slots": slots, **kept}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state; what is missing is as at a start, and no step was skipped unless it says that."""
        self._step = int(state["step"])
        self._raw = torch.tensor(state["raw"], dtype=self._dtype, device=self._device)
        fresh, extras = init_slots(self._plan, self._raw), init_extras(self._plan, self._raw)
        slots = {n: torch.tensor(s, dtype=fresh[n].dtype, device=fresh[n].device) for n, s in state["slots"].items()}
        self._slots: dict[str, Any] = fresh | slots | {"step": int(state.get("updates", self._step))}
        self._extras = extras | from_host(state.get("extras", {}), extras)
        self._variables = variables_of(self._loss, self._plan.computing, self._plan.device, state.get("variables", {}))

    def advance(self, count: int) -> Rows:
        """Do `count` updates and give back what they recorded: row k is of the state before update k."""
        first, every = self._step, self._plan.record_every
        order = self._indices(first, count)
        layout = self._plan.layout
        settings = None if self._timetables is None else self._timetables.rows(first, count).tolist()
        short = layout.size <= SHORT  # a short gradient is kept whole, and its norms are taken together at the end
        width = len(self._places) if every == 1 else 0
        split = 1 + (layout.size if short else 1)
        table = self._table(count, split + width)
        kept = self._table(-(-(first + count) // every) - -(-first // every), len(self._places) - width)
        waiting = iter(kept.unbind(0))
        for k, row in enumerate(table.unbind(0)):
            before = self._variables, self._batch(order, k), first + k, self._scale
            loss, grads, self._variables, whole = self._objective(self._raw, *before)
            vanishing = descent(layout, self._widened, grads, self._plan.maximizes)
            parts = [loss.view(1), vanishing if short else norm_of(vanishing, self._kept_dtype).view(1)]
            if width:
                parts += self._record(whole)
            elif self._pieces and (first + k) % every == 0:
                torch.cat(self._record(whole), out=next(waiting))
            torch.cat(parts, out=row)
            now = None if settings is None else settings[k]
            with equal_steps(layout.size) if self._plan.numerics == "exact" else nullcontext():
                tools = self._slots, self._extras, now, partial(self._again, before)
                _, self._slots = updated(self._plan, self._raw, loss, grads, *tools)
            if layout.projected:
                self._raw.copy_(projected(layout, self._widened))
            if self._extras:
                with equal_steps(layout.size) if self._plan.numerics == "exact" else nullcontext():
                    self._extras = followed(self._plan, self._raw, loss, self._slots, self._extras)
        self._step += count
        norms = norm_of(table[:, 1:split], self._kept_dtype) if short else table[:, 1]
        columns = (table[:, split:] if every == 1 else kept).cpu().numpy()
        return Rows(table[:, 0].cpu().numpy(), norms.cpu().numpy(), columns[:, self._places]).rounded(self._plan.history_dtype)

    def look(self) -> Evaluation:
        """Values, loss and gradients where the loop stands, for the batch that comes next."""
        batch = self._batch(self._indices(self._step, 1), 0)
        loss, grads, _, _ = self._objective(self._raw, self._variables, batch, self._step, self._scale)
        return Evaluation(self.values(), to_numpy(loss), self._plan.layout.unflatten(to_numpy(grads)))

    def values(self) -> dict[str, np.ndarray]:
        """The constrained values where the loop stands."""
        return self._values_at(self._widened)

    def averages(self) -> dict[str, np.ndarray] | None:
        """The constrained values of the average; None where no step is in it yet."""
        average = self._plan.average
        if average is None or average.count(self._slots["step"]) < 1:
            return None
        raw = self._extras["average"].to(DTYPES[self._plan.computing])
        return self._values_at(projected(self._plan.layout, raw) if self._plan.layout.projected else raw)

    def slopes(self) -> dict[str, np.ndarray]:
        """For each constrained parameter, of the shape of raw: exactly 0 where no value moves with that raw entry."""
        result = {}
        for name, raw in self._plan.layout.unflatten(to_numpy(self._raw)).items():
            if name in self._specs and raw.size:
                leaf = torch.tensor(raw, dtype=self._dtype, device=self._device, requires_grad=True)
                with torch.enable_grad():
                    value = forward(self._specs[name], leaf)
                weights = torch.tensor(probe(tuple(value.shape)), dtype=self._dtype, device=self._device)
                result[name] = to_numpy(torch.autograd.grad(value, leaf, weights)[0])
        return result

    def _values_at(self, raw: Array) -> dict[str, np.ndarray]:
        with torch.no_grad():
            whole = values_of(self._plan.layout, leaves_of(self._plan.layout, raw))[1]
        with flushed() if self._plan.numerics == "exact" else nullcontext():
            return self._plan.layout.cut(to_numpy(value.to(self._dtype)) for value in whole)

    @property
    def _scale(self) -> Array | None:
        """What the loss is multiplied by; None without a scaler."""
        return self._extras["scaler"][0] if "scaler" in self._extras else None

    @property
    def _widened(self) -> Array:
        """raw in the dtype in which values are computed."""
        return self._raw.to(DTYPES[self._plan.computing])

    def _again(self, before: tuple[Any, ...], raw: Array) -> tuple[Array, Array]:
        """Loss and gradient at another raw, for the batch, variables and random numbers of one step."""
        return self._objective(raw, *before)[:2]

    def _record(self, whole: tuple[Array, ...]) -> list[Array]:
        """The recorded numbers of one row, in the order of the groups."""
        parts = []
        for piece in self._pieces:
            flat = whole[piece.group].detach().reshape(-1)
            part = flat if piece.whole_group else flat[piece.start : piece.stop]
            parts.append(torch.stack([part.min(), part.mean(), part.max()]) if piece.summary else part)
        return parts

    def _table(self, rows: int, width: int) -> Array:
        return torch.empty((rows, width), dtype=self._kept_dtype, device=self._device)

    def _indices(self, first: int, count: int) -> Array | None:
        if self._order is None or self._plan.batch_size is None:
            return None
        many = self._plan.accumulate
        rows = self._order.indices(first * many, count * many).reshape(count, many * self._plan.batch_size)
        return torch.as_tensor(rows, dtype=torch.int64, device=self._device)

    def _batch(self, order: Array | None, k: int) -> dict[str, Array]:
        if order is None:
            return dict(self._data)
        index = order[k]
        return {name: torch.index_select(array, 0, index) for name, array in self._data.items()}


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
    flat = torch.tensor(plan.flatten(raw), dtype=DTYPES[dtype], device=device_of(device))
    data = arrays_of((problem.data or {}) if batch is None else batch, dtype, device)
    function = problem.loss_for("torch")
    loss, grads, _, whole = Objective(plan, function, 0)(flat, variables_of(function, dtype, device, {}), data, 0)
    return Evaluation(plan.cut(map(to_numpy, whole)), to_numpy(loss), plan.unflatten(to_numpy(grads)))


def versions() -> dict[str, str]:
    """Versions of what computes here."""
    return {"torch": str(torch.__version__)}


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products in float32 for the time of a block, without TF32 or bfloat16; nothing changes after it.

    Example:
        >>> from torch_impl.train import full_precision
        >>> with full_precision():
        ...     pass
    """
    cudnn, mkldnn = cast(Any, torch.backends.cudnn), cast(Any, torch.backends.mkldnn)
    parts = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "ieee"
        yield
    finally:
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision
