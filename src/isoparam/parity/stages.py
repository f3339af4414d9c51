"""The stages of a comparison as rows, and one run looked at on its way."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from isoparam.parity.budgets import Budget, Stage
from isoparam.parity.report import Quantity, Row
from isoparam.parity.ulp import bits_apart, max_relative, max_ulp, relative_difference
from isoparam.plan import Plan
from isoparam.problem import Problem
from isoparam.run import Evaluation
from isoparam.specs import FrozenArray, Ordered, Real, Spec

SNAPSHOTS = (1, 10, 100)
Arrays = Mapping[str, np.ndarray]


class Trace(NamedTuple):
    """One run, looked at on its way.

    Attributes:
        raw: {updates made: {name: raw}}, from the start on; empty trees where values are what is trained.
        values: {updates made: {name: value}}.
        loss: before every update.
        fall: the first step whose loss or gradient is not finite, or None.
    """

    raw: Mapping[int, Arrays]
    values: Mapping[int, Arrays]
    loss: np.ndarray
    fall: int | None


def trace(loop: Any, plan: Plan, steps: int) -> Trace:
    """Advance a loop that stands at its start: what is compiled once serves every snapshot."""
    chunks, raw, values = [], {}, {}
    for done, count in pairwise((0, 0, *(k for k in SNAPSHOTS if k < steps), steps)):
        chunks += [loop.advance(part) for part in _parts(count - done, plan.capacity)]
        raw[count] = {} if plan.layout.projected else plan.layout.unflatten(loop.state()["raw"])
        values[count] = loop.values()
    loss, norms = (np.concatenate([getattr(rows, name) for rows in chunks]) for name in ("loss", "grad_norm"))
    bad = np.flatnonzero(~np.isfinite(loss + norms))
    return Trace(raw, values, loss, int(bad[0]) if bad.size else None)


class Comparison:
    """The stages of one comparison, as rows."""

    def __init__(self, problem: Problem, budgets: Mapping[str, Budget], dtype: str) -> None:
        self.problem = problem
        self.budgets = budgets
        self.dtype = dtype
        self.scales: dict[tuple[str, str], float] = {}  # largest entry so far of each parameter, raw and value

    def start(self, backends: list[ModuleType], plan: Plan) -> Iterator[Row]:
        """The stages before the first update."""
        where = {"dtype": plan.dtype, "device": plan.device, "method": plan.layout.method}
        ours, theirs = (backend.train.start(self.problem, plan.seed, **where) for backend in backends)
        yield from self.arrays("start", 0, "value" if plan.layout.projected else "raw", ours, theirs)
        batch = _first_batch(self.problem)
        torch, jax = (backend.train.evaluate(self.problem, ours, batch, **where) for backend in backends)
        yield from self._seen(torch, jax)

    def exact_start(self, loops: list[Any], plan: Plan) -> Iterator[Row]:
        """The stages before the first update for loops that stand there: what they computed in float64, rounded as they do."""
        ours, theirs = (plan.layout.unflatten(loop.state()["raw"]) for loop in loops)
        yield from self.arrays("start", 0, "value" if plan.layout.projected else "raw", ours, theirs)
        yield from self._seen(*(loop.look() for loop in loops))

    def _seen(self, torch: Evaluation, jax: Evaluation) -> Iterator[Row]:
        """Values, loss and gradient from the same raw."""
        yield from self.arrays("forward", 0, "value", torch.values, jax.values)
        yield self._row("loss", 0, "loss", "loss", torch.loss, jax.loss)
        for name, gradient in torch.grads.items():
            if gradient.size == 0:
                continue
            yield self._row("gradient", 0, name, "gradient", gradient, jax.grads[name])

    def training(self, ours: Trace, theirs: Trace) -> Iterator[Row]:
        """Two runs at every snapshot, then their losses."""
        for step, values in ours.values.items():
            rows = list(self.arrays("training", step, "raw", ours.raw[step], theirs.raw[step]))
            rows += self.arrays("training", step, "value", values, theirs.values[step])
            if step:  # the start has stages of its own; here it only sets the scales
                yield from rows
        yield self._history(ours.loss, theirs.loss)

    def _history(self, torch: np.ndarray, jax: np.ndarray) -> Row:
        """The first step whose loss is over budget, or else the worst."""
        relative, scale = losses_apart(torch, jax)
        over = np.flatnonzero(~(relative <= self.budgets["history"].relative))
        step = int(over[0]) if over.size else int(np.argmax(relative))
        row = self._row("history", step, "loss", "loss", torch[step], jax[step], float(scale[step]))
        return replace(row, bits=bits_apart(torch, jax))

    def arrays(self, stage: Stage, step: int, quantity: Quantity, torch: Arrays, jax: Arrays) -> Iterator[Row]:
        """A row for every parameter; its scale is its largest entry so far."""
        for name in torch:
            key = name, quantity
            pair = torch[name], jax[name]
            if np.size(pair[0]) == 0:  # the raw of a parameter that is Fixed or Tied
                continue
            largest = max(map(largest_of, pair))
            unit = unit_of(self.problem.specs.get(name, Real()), quantity, largest)
            self.scales[key] = max(self.scales.get(key, 0.0), unit, largest)
            yield self._row(stage, step, name, quantity, *pair, self.scales[key], unit)

    def _row(
        self,
        stage: Stage,
        step: int,
        where: str,
        quantity: Quantity,
        torch: Any,
        jax: Any,
        scale: float | None = None,
        unit: float = 0.0,
    ) -> Row:
        torch, jax = np.asarray(torch), np.asarray(jax)
        dtype = self.dtype
        if quantity == "loss":
            torch, jax, dtype = _loss_numbers(torch, jax, self.dtype)
        scale = max(largest_of(torch), largest_of(jax)) if scale is None else scale
        worst = max_relative(torch, jax, scale)
        ulp = max_ulp(torch, jax, unit, dtype=dtype).distance
        budget, bits = self.budgets[stage], bits_apart(torch, jax)
        return Row(stage, step, where, quantity, ulp, worst.distance, scale, worst.index, worst.a, worst.b, budget, bits)


def _parts(count: int, most: int) -> list[int]:
    """A number of steps as chunks of at most `most`."""
    whole, rest = divmod(count, most)
    return [most] * whole + [rest] * (rest > 0)


def losses_apart(torch: np.ndarray, jax: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative differences of two histories of losses, and the scale of each: the largest loss so far."""
    sizes = np.fmax(np.abs(torch), np.abs(jax))
    scale = np.maximum.accumulate(np.where(np.isfinite(sizes), sizes, 0.0))
    return relative_difference(torch, jax, scale), scale


def unit_of(spec: Spec, quantity: Quantity, largest: float) -> float:
    """The size that an entry of a parameter is computed at, however small it comes out; 0 where that is its own size.

    Raw is a logit or a logarithm, exact to the last place of 1; a bound is added to a value; ordered entries are sums.
    """
    if isinstance(spec, Real):
        return 0.0
    if quantity == "raw":
        return 1.0
    if isinstance(spec, Ordered):
        return largest
    bounds = [getattr(spec, entry.name) for entry in fields(spec)]
    parts = [part for bound in bounds for part in (bound if isinstance(bound, tuple) else (bound,)) if isinstance(part, Spec)]
    if parts:
        return max(unit_of(part, quantity, largest) for part in parts)
    return max((largest_of(np.asarray(bound)) for bound in bounds if isinstance(bound, float | FrozenArray)), default=0.0)


def _loss_numbers(torch: np.ndarray, jax: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray, str]:
    """The two losses as the history keeps them, and the dtype that they are counted in.

    A loss may be wider than the parameters: under bfloat16 it is counted in float32 unless both are bfloat16 numbers.
    """
    kept = "float64" if dtype == "float64" else "float32"
    torch, jax = torch.astype(kept), jax.astype(kept)
    narrow = dtype == "bfloat16" and not any(np.any(loss.view(np.uint32) & 0xFFFF) for loss in (torch, jax))
    return torch, jax, "bfloat16" if narrow else kept


def largest_of(array: np.ndarray) -> float:
    """The largest finite absolute entry; 0 for none."""
    sizes = np.abs(np.asarray(array, dtype=np.float64))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _first_batch(problem: Problem) -> dict[str, np.ndarray]:
    """The data, or its first rows where training sees minibatches."""
    return {name: array[: problem.batch_size] for name, array in (problem.data or {}).items()}
