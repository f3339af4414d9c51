"""Both backends in one process, stage by stage, until the first number that differs by more than its budget."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from isoparam.backends import BACKENDS, load
from isoparam.optimizers import Adam, Optimizer
from isoparam.parity.budgets import Budget, Stage, budgets_for
from isoparam.parity.report import Quantity, Report, Row
from isoparam.parity.ulp import max_relative, max_ulp, relative_difference
from isoparam.problem import Problem, whole
from isoparam.specs import FrozenArray, Real, Spec
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
) -> Report:
    """Run a problem in torch and in JAX and say where, and by how much, they part.

    The stages, in order: `start` (raw of the starting values), `forward`, `loss` and `gradient` (of raw), all three
    from the same raw numbers in both backends, so that each stage answers for itself; then `training`, raw and values
    after 1, 10, 100 and `steps` updates, and `history`, the loss before every update.

    Every row has the worst ULP distance and the worst relative difference of its array. The relative difference is
    over a scale, because an entry near 0 inherits the absolute error of what it is the difference of: the largest
    entry of the parameter, in both backends (while training: the largest so far), and at least the size of the bounds
    for values, and 1 for raw of a constrained parameter. The budget is on the relative difference;
    `isoparam.parity.BUDGETS` is the table, with causes.

    Matrix products run in full precision (no TF32) while comparing, in both.

    Args:
        problem: an `isoparam.Problem` with a loss for both backends.
        steps: updates of the longest run.
        dtype: "float64", "float32" or "bfloat16".
        optimizer: such as `isoparam.Adam(lr=0.01)`; by default the one of the problem's recipe, or else `Adam()`.
        seed: of the start and of the data order; both backends receive the same numbers.
        device: where both run, "cpu" or a GPU that both see ("cuda", "cuda:1").
        budgets: {stage: Budget or allowed relative difference}, in place of the table's.

    Returns:
        A `Report`: `.ok`, `.first_divergence`, `.max_ulp`, `.rows`, `.check()`, `.to_json()`, `.to_html()`.

    Raises:
        BackendError: when a framework is not installed, or the problem has a loss for one backend only.
        SpecError: for steps < 1, or an unknown dtype or stage.
        NonFiniteError: when a run meets a loss or gradient that is nan or inf.

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
    options = {"optimizer": optimizer, "seed": seed, "dtype": dtype, "device": device}
    with ExitStack() as stack:
        for backend in backends:
            stack.enter_context(backend.train.full_precision())
        rows = tuple(_Comparison(problem, allowed, dtype).rows(backends, steps, options))
    return Report(
        problem=problem.name,
        steps=steps,
        dtype=dtype,
        device=device,
        optimizer=repr(optimizer),
        seed=seed,
        versions={"isoparam": __version__, "torch": version("torch"), "jax": version("jax")},
        rows=rows,
    )


class _Comparison:
    """The stages of one comparison, as rows."""

    def __init__(self, problem: Problem, budgets: Mapping[str, Budget], dtype: str) -> None:
        self.problem = problem
        self.budgets = budgets
        self.dtype = dtype
        self.scales: dict[tuple[str, str], float] = {}  # largest entry so far of each parameter, raw and value

    def rows(self, backends: list[ModuleType], steps: int, options: Mapping[str, Any]) -> Iterator[Row]:
        """Every row, stage after stage."""
        yield from self._start(backends, options)
        yield from self._training(steps, options)

    def _start(self, backends: list[ModuleType], options: Mapping[str, Any]) -> Iterator[Row]:
        where = {"dtype": self.dtype, "device": options["device"]}
        ours, theirs = (backend.train.start(self.problem, options["seed"], **where) for backend in backends)
        yield from self._arrays("start", 0, "raw", ours, theirs)
        batch = _first_batch(self.problem)
        torch, jax = (backend.train.evaluate(self.problem, ours, batch, **where) for backend in backends)
        yield from self._arrays("forward", 0, "value", torch.values, jax.values)
        yield self._row("loss", 0, "loss", "loss", torch.loss, jax.loss)
        for name, gradient in torch.grads.items():
            yield self._row("gradient", 0, name, "gradient", gradient, jax.grads[name])

    def _training(self, steps: int, options: Mapping[str, Any]) -> Iterator[Row]:
        for count in sorted({*(k for k in SNAPSHOTS if k < steps), steps}):
            torch, jax = (train(self.problem, backend=name, steps=count, record=(), **options) for name in BACKENDS)
            yield from self._arrays("training", count, "raw", torch.raw, jax.raw)
            yield from self._arrays("training", count, "value", torch.values, jax.values)
            if count == steps:
                yield from self._history(torch.history["loss"], jax.history["loss"])

    def _history(self, torch: np.ndarray, jax: np.ndarray) -> Iterator[Row]:
        """The first step whose loss is over budget, or else the worst; and the lengths, when they differ."""
        if len(torch) != len(jax):
            stop = min(len(torch), len(jax))
            inf, lengths = float("inf"), (float(len(torch)), float(len(jax)))
            yield Row("history", stop, "loss", "steps", inf, inf, 1.0, (), *lengths, self.budgets["history"])
            torch, jax = torch[:stop], jax[:stop]
        scale = np.maximum.accumulate(np.maximum(np.abs(torch), np.abs(jax)))
        relative = relative_difference(torch, jax, scale)
        over = np.flatnonzero(~(relative <= self.budgets["history"].relative))
        step = int(over[0]) if over.size else int(np.argmax(relative))
        yield self._row("history", step, "loss", "loss", torch[step], jax[step], float(scale[step]))

    def _arrays(self, stage: Stage, step: int, quantity: Quantity, torch: Arrays, jax: Arrays) -> Iterator[Row]:
        for name in torch:
            key = name, quantity
            least = self.scales.get(key) or _unit(self.problem.specs.get(name, Real()), quantity)
            self.scales[key] = max(least, _largest(torch[name]), _largest(jax[name]))
            yield self._row(stage, step, name, quantity, torch[name], jax[name], self.scales[key])

    def _row(
        self, stage: Stage, step: int, where: str, quantity: Quantity, torch: Any, jax: Any, scale: float | None = None
    ) -> Row:
        torch, jax = np.asarray(torch), np.asarray(jax)
        scale = max(_largest(torch), _largest(jax)) if scale is None else scale
        worst = max_relative(torch, jax, scale)
        ulp = max_ulp(torch, jax, dtype=None if quantity == "loss" else self.dtype).distance
        return Row(stage, step, where, quantity, ulp, worst.distance, scale, worst.index, worst.a, worst.b, self.budgets[stage])


def _unit(spec: Spec, quantity: Quantity) -> float:
    """The smallest scale of a parameter: its raw is a logit or a logarithm, its value is a sum with its bounds."""
    if isinstance(spec, Real):
        return 0.0
    if quantity == "raw":
        return 1.0
    bounds = (getattr(spec, entry.name) for entry in fields(spec))
    return max((_largest(np.asarray(bound)) for bound in bounds if isinstance(bound, float | FrozenArray)), default=0.0)


def _largest(array: np.ndarray) -> float:
    """The largest finite absolute entry; 0 for none."""
    sizes = np.abs(np.asarray(array, dtype=np.float64))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _first_batch(problem: Problem) -> dict[str, np.ndarray]:
    """The data, or its first rows where training sees minibatches."""
    return {name: array[: problem.batch_size] for name, array in (problem.data or {}).items()}
