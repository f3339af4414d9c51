"""train(problem, backend=...): the same loop of chunks around either backend, and everything that ends a run."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np

from isoparam.backends import load
from isoparam.errors import NonFiniteError, SpecError
from isoparam.optimizers import Optimizer
from isoparam.plan import Plan, Rows, history
from isoparam.problem import Problem
from isoparam.reads import check_reads
from isoparam.run import Run, Stopped
from isoparam.saturation import Saturation
from isoparam.schedules import Schedule
from isoparam.settings import check_length, check_settings, length_for, plan_for
from isoparam.stall import warn_of_stall

CHUNK_SECONDS = 0.2
FIRST_CHUNK = 16
GROWTH = 64  # at most this much longer than the chunk before

Callback = Callable[[dict[str, Any]], Any]


def train(
    problem: Problem,
    backend: str,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    steps: int | None = None,
    seed: int = 0,
    dtype: str | None = None,
    device: str = "cpu",
    numerics: Literal["fast", "exact"] = "fast",
    record: Iterable[str] | None = None,
    record_every: int = 1,
    callbacks: Sequence[Callback] = (),
    tol_grad: float | None = None,
    checkpoint_dir: str | None = None,
    progress: bool = False,
    method: Literal["transform", "projected"] = "transform",
) -> Run:
    """Make the loss of a problem small.

    Args:
        problem: parameters, data and loss. The loss must be a pure function of values and batch: JAX traces it, and a
            chunk may be run again to stop at an exact step, which random numbers of its own would change.
        backend: "torch" or "jax"; there is no default.
        optimizer: such as `isoparam.Adam(lr=0.01)`; None takes that of the problem's recipe.
        schedule: how the step size changes, such as `isoparam.CosineAnnealingLR(T_max=1000)`; None takes that of the recipe
            together with its optimizer, or else a constant one.
        steps: updates at most; None takes steps and tol_grad of the recipe.
        seed: of the data order, which is the same in both backends.
        dtype: "float64", "float32" or "bfloat16"; None takes that of the recipe, or "float64" without one.
        device: "cpu", or "cuda" or "gpu" (the same).
        numerics: "fast"; "exact" is not available yet.
        record: names or globs to record; None records what is constrained, () only loss and gradient norm. Values of
            more than 64 entries are recorded as `name.min`, `name.mean` and `name.max`.
        record_every: keep every so many steps.
        callbacks: each is called as `callback(row)` with every kept row, in order; a true result stops the run before
            the update of that row. Rows are read once per chunk of up to 0.2 s, so calls come in bursts.
        tol_grad: stop before the update of the first step whose gradient norm (`grad_norm` of the history) is at most this.
        checkpoint_dir: not available yet.
        progress: show a bar with the loss and up to four constrained values.
        method: "transform" trains raw, whose value is always inside. "projected" trains the value itself and moves it
            after each step to the nearest point of the closed set (`project`), so that it can lie on the border, at the
            start too; momentum and the moments of Adam know nothing of the move. Then `raw` of the run holds the values,
            and `grad_norm` is the norm of x - project(x - gradient), which is the gradient where the border is far and
            vanishes at a solution on the border, where the gradient does not.

    Returns:
        The `Run`: values, raw, history and what ended it.

    Raises:
        SpecError: for an argument that cannot be right, a loss that is no scalar or of a narrower dtype than the run, or
            method="projected" with LBFGS.
        DomainError: for a start outside its set or on its border, in the dtype of the run.
        BackendError: for a backend, loss or device that is not there.
        NonFiniteError: for a loss or gradient that became nan or inf; `.run` is the last good state.

    Warns:
        SaturationWarning: once per parameter whose gradient has underflowed to exactly 0.
        StallWarning: where LBFGS stood still at the end of its steps.

    Example:
        >>> import isoparam as iso
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch")
        >>> round(float(run.values["x"]), 12)
        0.9
    """
    begun = perf_counter()
    check_settings(problem, schedule, numerics, checkpoint_dir)
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise SpecError(f"callbacks={callbacks!r} must be a tuple of functions; write callbacks=(f,)")
    steps, tol_grad = length_for(problem.recipe, steps, tol_grad)
    plan = plan_for(problem, optimizer, seed, dtype, device, record, record_every, method, schedule)
    check_length(plan, steps)
    implementation = load(backend).train
    where = {"dtype": plan.dtype, "device": plan.device, "method": plan.layout.method}
    check_reads(
        problem, backend, lambda probe: implementation.evaluate(probe, implementation.start(probe, plan.seed, **where), **where)
    )
    loop = implementation.Loop(problem, plan)
    loop.advance(0)  # compiles
    loop.values()
    session = _Session(problem, backend, plan, implementation.versions(), begun, perf_counter() - begun)
    return _fit(loop, session, steps, tol_grad, tuple(callbacks), _bar(progress, problem, steps))


class _Session:
    """What a run gathers on its way, and the `Run` made of it."""

    def __init__(
        self, problem: Problem, backend: str, plan: Plan, versions: dict[str, str], begun: float, compiling: float
    ) -> None:
        self.problem, self.backend, self.plan, self.versions = problem, backend, plan, versions
        self.begun, self.compiling = begun, compiling
        self.saturation = Saturation(plan.layout, problem.specs)
        self.parts: list[dict[str, np.ndarray]] = [self.rows(0, self.nothing())]

    def nothing(self) -> Rows:
        """What a chunk of no steps records."""
        none = np.empty(0, self.plan.history_dtype)
        return Rows(none, none, none.reshape(0, sum(column.width for column in self.plan.columns)))

    def rows(self, first: int, rows: Rows) -> dict[str, np.ndarray]:
        """The recorded rows of a chunk that began at step `first`, by name."""
        every, last = self.plan.record_every, first + len(rows.loss)
        kept = slice(-first % every, None, every)
        steps = np.arange(first, last)[kept]
        return history(self.plan.columns, steps, rows.loss[kept], rows.grad_norm[kept], rows.columns)

    def finish(self, loop: Any, stopped: Stopped) -> Run:
        """The run as it stands."""
        state = loop.state()
        return Run(
            values=loop.values(),
            raw=self.plan.layout.unflatten(state["raw"]),
            variables=state["variables"],
            history={name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]},
            problem=self.problem.name,
            backend=self.backend,
            steps=int(state["step"]),
            stopped=stopped,
            optimizer=self.plan.optimizer,
            seed=self.plan.seed,
            dtype=self.plan.dtype,
            method=self.plan.layout.method,
            versions=self.versions,
            seconds=perf_counter() - self.begun,
            compile_seconds=self.compiling,
        )


class _Stop(NamedTuple):
    """Why and before which update a run ends."""

    step: int
    reason: Stopped


def _fit(loop: Any, session: _Session, steps: int, tol_grad: float | None, callbacks: tuple[Callback, ...], bar: Any) -> Run:
    """Run chunk after chunk. A chunk that holds a reason to stop is replayed from its start up to that step."""
    done, size = 0, FIRST_CHUNK
    before = [loop.state()]
    with bar as show:
        while done < steps:
            count = min(size, steps - done, session.plan.capacity)
            clock = perf_counter()
            rows = loop.advance(count)
            elapsed = perf_counter() - clock
            kept = session.rows(done, rows)
            stop = _earliest(rows, kept, done, tol_grad, callbacks)
            if stop is None and done + count == steps and not np.isfinite(loop.state()["raw"]).all():
                stop = _Stop(steps, "non_finite")  # no further row would show what the last update did
            if stop is not None:
                return _end(loop, session, before, kept, stop)
            session.parts.append(kept)
            done += count
            size = _next_size(count, elapsed)
            before = [before[-1], loop.state()]
            session.saturation.look(loop, before[-1]["raw"])
            if show is not None:
                show(done, float(rows.loss[-1]), loop.values())
    run = session.finish(loop, "steps")
    warn_of_stall(session.plan, run.history["loss"], run.history["grad_norm"], tol_grad)
    return run


def _earliest(
    rows: Rows, kept: dict[str, np.ndarray], first: int, tol_grad: float | None, callbacks: tuple[Callback, ...]
) -> _Stop | None:
    """The first step of a chunk at which the run must end, and why. Callbacks see the rows up to it."""
    stop = None
    bad = np.flatnonzero(~(np.isfinite(rows.loss) & np.isfinite(rows.grad_norm)))
    if len(bad):
        stop = _Stop(first + int(bad[0]), "non_finite")
    if tol_grad is not None:
        small = np.flatnonzero(rows.grad_norm <= tol_grad)
        if len(small) and (stop is None or first + small[0] < stop.step):
            stop = _Stop(first + int(small[0]), "tol_grad")
    for i, step in enumerate(kept["step"] if callbacks else ()):
        if stop is not None and (step > stop.step or (step == stop.step and stop.reason == "non_finite")):
            break
        row = {name: column[i] for name, column in kept.items()}
        answers = [callback(row) for callback in callbacks]  # every callback sees the row
        if any(answers):
            return stop if stop is not None and stop.step == step else _Stop(int(step), "callback")
    return stop


def _end(loop: Any, session: _Session, before: list[Any], kept: dict[str, np.ndarray], stop: _Stop) -> Run:
    """Put the loop into the state in which the run ends, and make the `Run` or the error."""
    if stop.reason != "non_finite":
        _replay(loop, before, stop.step)
        _keep(session, kept, stop.step)
        session.saturation.look(loop, loop.state()["raw"])
        return session.finish(loop, stop.reason)
    _replay(loop, before, stop.step)
    seen = loop.look()
    guilty = next((name for name, grad in seen.grads.items() if not np.isfinite(grad).all()), None)
    last_good = max(0, stop.step - 1)
    _replay(loop, before, last_good)
    _keep(session, kept, last_good if stop.step else -1)
    run = session.finish(loop, "non_finite")
    raise NonFiniteError(_non_finite(seen, stop.step, guilty), step=stop.step, parameter=guilty, run=run)


def _replay(loop: Any, before: list[Any], step: int) -> None:
    """Run again, by the same program, from the last kept state at or before `step`."""
    state = next(state for state in reversed(before) if state["step"] <= step)
    loop.load(state)
    loop.advance(step - int(state["step"]))


def _keep(session: _Session, kept: dict[str, np.ndarray], last: int) -> None:
    wanted = kept["step"] <= last
    session.parts.append({name: column[wanted] for name, column in kept.items()})


def _non_finite(seen: Any, step: int, guilty: str | None) -> str:
    gradient = f"the gradient of {guilty!r} is not finite" if guilty else "no gradient is non-finite by itself"
    lost = "" if step else "; nothing was updated"
    return (
        f"loss {float(seen.loss)} at step {step}, and {gradient}{lost}. error.run is the last good state; try a smaller lr, "
        f"a start further inside, or a loss that is finite at the border"
    )


def _next_size(count: int, elapsed: float) -> int:
    """Steps of the next chunk: towards CHUNK_SECONDS, at most GROWTH times this one."""
    return max(1, min(count * GROWTH, int(count * CHUNK_SECONDS / max(elapsed, 1e-9))))


def _bar(progress: bool, problem: Problem, steps: int) -> AbstractContextManager[Any]:
    if not progress:
        return nullcontext()
    from isoparam.progress import bar  # rich is slow to import

    return bar(problem.name, steps, list(problem.specs)[:4])
