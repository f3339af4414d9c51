"""Both backends in one process, stage by stage, until the first number that differs by more than its budget."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from isoparam.arguments import whole
from isoparam.backends import BACKENDS, load
from isoparam.optimizers import Adam, Optimizer
from isoparam.parity.budgets import Budget, Stage, budgets_for
from isoparam.parity.report import Quantity, Report, Row
from isoparam.parity.ulp import max_relative, max_ulp, relative_difference
from isoparam.plan import Plan, Rows
from isoparam.problem import Problem
from isoparam.settings import plan_for
from isoparam.specs import FrozenArray, Ordered, Real, Spec
from isoparam.train import train
from isoparam.version import __version__

SNAPSHOTS = (1, 10, 100)
Arrays = Mapping[str, np.ndarray]


def compare(
    problem: Problem,
    steps: int = 1000,
    dtype: str = "float64",
    optimizer: Optimizer | None = None,
    seed: int = 0,
    device: str = "cpu",
    budgets: Mapping[str, Budget | float] | None = None,
    method: str = "transform",
) -> Report:
    """Run a problem in torch and in JAX and say where, and by how much, they part.

    The stages, in order: `start` (raw of the starting values), `forward`, `loss` and `gradient` (of raw), all three
    from the same raw numbers in both backends, so that each stage answers for itself; then `training`, raw and values
    after 1, 10, 100 and `steps` updates, and `history`, the loss before every update.

    Every row has the worst ULP distance and the worst relative difference of its array. An entry near 0 inherits the
    absolute error of what it is the difference of, so the relative difference is over the largest entry of the
    parameter, in both backends (while training: the largest so far). Neither measure counts finer than the last place
    of the bounds, for values, and of 1, for raw of a constrained parameter. The budget is on the relative difference;
    `isoparam.parity.BUDGETS` is the table, with causes.

    Matrix products run in full precision (no TF32) while comparing, in both.

    Args:
        problem: an `isoparam.Problem` with a loss for both backends.
        steps: updates of the longest run.
        dtype: "float64", "float32" or "bfloat16".
        optimizer: such as `isoparam.Adam(lr=0.01)`; by default the one of the problem's recipe, or else `Adam()`.
        seed: of the data order, which is the same in both backends.
        device: where both run, "cpu" or a GPU that both see ("cuda" or "gpu", the same).
        budgets: {stage: Budget or allowed relative difference}, in place of the table's.
        method: "transform", or "projected" (see `isoparam.train`), which trains values and has no rows of raw.

    Returns:
        A `Report`: `.ok`, `.first_divergence`, `.max_ulp`, `.rows`, `.check()`, `.to_json()`, `.to_html()`.

    Raises:
        BackendError: when a framework is not installed, an unknown device, or a problem with a loss for one backend only.
        SpecError: for steps < 1, or an unknown dtype, stage or method.
        NonFiniteError: when both runs meet a loss or gradient that is nan or inf, at the same step. Where only one does,
            that is the divergence.

    Example:
        >>> import isoparam as iso
        >>> report = iso.parity.compare(iso.problems.get("scalar"), steps=10)
        >>> report.ok
        True
    """
    allowed = budgets_for(dtype, device, budgets)
    steps = whole("steps", steps)
    backends = [load(name) for name in BACKENDS]
    for name in BACKENDS:
        problem.loss_for(name)
    optimizer = optimizer or (problem.recipe and problem.recipe.optimizer) or Adam()
    plan = plan_for(problem, optimizer, seed, dtype, device, record=(), record_every=1, method=method)
    with ExitStack() as stack:
        for backend in backends:
            stack.enter_context(backend.train.full_precision())
        rows = tuple(_Comparison(problem, allowed, dtype).rows(backends, plan, steps))
    return Report(
        problem=problem.name,
        steps=steps,
        dtype=dtype,
        device=device,
        optimizer=repr(optimizer) if method == "transform" else f"{optimizer!r}, {method}",
        seed=seed,
        versions={"isoparam": __version__}
        | {name: text for backend in backends for name, text in backend.train.versions().items()},
        rows=rows,
    )


class _Comparison:
    """The stages of one comparison, as rows."""

    def __init__(self, problem: Problem, budgets: Mapping[str, Budget], dtype: str) -> None:
        self.problem = problem
        self.budgets = budgets
        self.dtype = dtype
        self.scales: dict[tuple[str, str], float] = {}  # largest entry so far of each parameter, raw and value

    def rows(self, backends: list[ModuleType], plan: Plan, steps: int) -> Iterator[Row]:
        """Every row, stage after stage."""
        yield from self._start(backends, plan)
        yield from self._training([backend.train.Loop(self.problem, plan) for backend in backends], plan, steps)

    def _start(self, backends: list[ModuleType], plan: Plan) -> Iterator[Row]:
        where = {"dtype": plan.dtype, "device": plan.device, "method": plan.layout.method}
        ours, theirs = (backend.train.start(self.problem, plan.seed, **where) for backend in backends)
        yield from self._arrays("start", 0, "value" if plan.layout.projected else "raw", ours, theirs)
        batch = _first_batch(self.problem)
        torch, jax = (backend.train.evaluate(self.problem, ours, batch, **where) for backend in backends)
        yield from self._arrays("forward", 0, "value", torch.values, jax.values)
        yield self._row("loss", 0, "loss", "loss", torch.loss, jax.loss)
        for name, gradient in torch.grads.items():
            yield self._row("gradient", 0, name, "gradient", gradient, jax.grads[name])

    def _training(self, loops: list[Any], plan: Plan, steps: int) -> Iterator[Row]:
        """One run of each backend, looked at on its way: what is compiled once serves every snapshot."""
        seen: list[list[Rows]] = [[] for _ in loops]
        for done, count in pairwise((0, *(k for k in SNAPSHOTS if k < steps), steps)):
            for loop, chunks in zip(loops, seen, strict=True):
                chunks += [loop.advance(part) for part in _parts(count - done, plan.capacity)]
            if not plan.layout.projected:
                raw = [plan.layout.unflatten(loop.state()["raw"]) for loop in loops]
                yield from self._arrays("training", count, "raw", *raw)
            yield from self._arrays("training", count, "value", *(loop.values() for loop in loops))
        ours, theirs = map(_fall, seen)
        if ours is not None and ours == theirs:  # two equal nans are no agreement worth a report: let train name the culprit
            settings: dict[str, Any] = {"seed": plan.seed, "dtype": plan.dtype, "device": plan.device}
            settings["method"] = plan.layout.method
            train(self.problem, BACKENDS[0], plan.optimizer, steps=ours + 1, record=(), **settings)
        yield self._history(*(np.concatenate([rows.loss for rows in chunks]) for chunks in seen))

    def _history(self, torch: np.ndarray, jax: np.ndarray) -> Row:
        """The first step whose loss is over budget, or else the worst."""
        sizes = np.fmax(np.abs(torch), np.abs(jax))
        scale = np.maximum.accumulate(np.where(np.isfinite(sizes), sizes, 0.0))
        relative = relative_difference(torch, jax, scale)
        over = np.flatnonzero(~(relative <= self.budgets["history"].relative))
        step = int(over[0]) if over.size else int(np.argmax(relative))
        return self._row("history", step, "loss", "loss", torch[step], jax[step], float(scale[step]))

    def _arrays(self, stage: Stage, step: int, quantity: Quantity, torch: Arrays, jax: Arrays) -> Iterator[Row]:
        for name in torch:
            key = name, quantity
            pair = torch[name], jax[name]
            largest = max(map(_largest, pair))
            unit = _unit(self.problem.specs.get(name, Real()), quantity, largest)
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
        scale = max(_largest(torch), _largest(jax)) if scale is None else scale
        worst = max_relative(torch, jax, scale)
        ulp = max_ulp(torch, jax, unit, dtype=dtype).distance
        return Row(stage, step, where, quantity, ulp, worst.distance, scale, worst.index, worst.a, worst.b, self.budgets[stage])


def _parts(count: int, most: int) -> list[int]:
    """A number of steps as chunks of at most `most`."""
    whole, rest = divmod(count, most)
    return [most] * whole + [rest] * (rest > 0)


def _fall(chunks: list[Rows]) -> int | None:
    """The first step whose loss or gradient is not finite."""
    bad = np.flatnonzero(~np.isfinite(np.concatenate([rows.loss + rows.grad_norm for rows in chunks])))
    return int(bad[0]) if bad.size else None


def _unit(spec: Spec, quantity: Quantity, largest: float) -> float:
    """The size that an entry of a parameter is computed at, however small it comes out; 0 where that is its own size.

    Raw is a logit or a logarithm, exact to the last place of 1; a bound is added to a value; ordered entries are sums.
    """
    if isinstance(spec, Real):
        return 0.0
    if quantity == "raw":
        return 1.0
    if isinstance(spec, Ordered):
        return largest
    bounds = (getattr(spec, entry.name) for entry in fields(spec))
    return max((_largest(np.asarray(bound)) for bound in bounds if isinstance(bound, float | FrozenArray)), default=0.0)


def _loss_numbers(torch: np.ndarray, jax: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray, str]:
    """The two losses as the history keeps them, and the dtype that they are counted in.

    A loss may be wider than the parameters: under bfloat16 it is counted in float32 unless both are bfloat16 numbers.
    """
    kept = "float64" if dtype == "float64" else "float32"
    torch, jax = torch.astype(kept), jax.astype(kept)
    narrow = dtype == "bfloat16" and not any(np.any(loss.view(np.uint32) & 0xFFFF) for loss in (torch, jax))
    return torch, jax, "bfloat16" if narrow else kept


def _largest(array: np.ndarray) -> float:
    """The largest finite absolute entry; 0 for none."""
    sizes = np.abs(np.asarray(array, dtype=np.float64))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _first_batch(problem: Problem) -> dict[str, np.ndarray]:
    """The data, or its first rows where training sees minibatches."""
    return {name: array[: problem.batch_size] for name, array in (problem.data or {}).items()}
