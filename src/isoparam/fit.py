"""The loop of chunks around either backend, and everything that ends a run: its goal, a callback, a fault, Ctrl-C."""

import warnings
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from isoparam.errors import Interrupted, NonFiniteError, NonFiniteWarning
from isoparam.plan import Rows
from isoparam.run import Run, Stopped
from isoparam.saturation import caller
from isoparam.session import Session
from isoparam.stall import warn_of_stall

CHUNK_SECONDS = 0.2
FIRST_CHUNK = 16
GROWTH = 64  # at most this much longer than the chunk before

AT_END = "The run is at its end, and is not saved; save it elsewhere: run.save('another/directory')"

Callback = Callable[[dict[str, Any]], Any]


class _Stop(NamedTuple):
    """Why and before which update a run ends."""

    step: int
    reason: Stopped


class _Faults:
    """The steps that were skipped: how many in a row, and since when."""

    def __init__(self, session: Session) -> None:
        self._most = 0 if session.repeats else session.goal.skip_nonfinite
        self._next = -1
        self._warned = False
        self.first, self.in_row = -1, 0

    def may_skip(self, step: int) -> bool:
        """Whether the fault at a step is skipped; counts it."""
        self.in_row = self.in_row + 1 if step == self._next else 1
        self.first = step - self.in_row + 1
        self._next = step + 1
        return self.in_row <= self._most

    def needed(self, done: int) -> int:
        """The earliest step to which the run may have to go back: that before the first of the faults it is in."""
        return (self.first if done == self._next else done) - 1

    def warn(self, session: Session, step: int, loss: float) -> None:
        """Tell of the first one."""
        if not self._warned and session.plan.scaler is None:  # a scaler finds its scale by such steps
            self._warned = True
            warnings.warn(
                f"step {step} is skipped, since its loss {loss} or its gradient is not finite; so is every further one, up to "
                f"{self._most} in a row, and run.skipped counts them. skip_nonfinite=0 ends the run instead",
                NonFiniteWarning,
                stacklevel=caller(),
            )


def fit(loop: Any, session: Session, callbacks: tuple[Callback, ...], bar: Any) -> Run:
    """Run chunk after chunk. A chunk that holds a reason to stop is replayed from its start up to that step.

    Args:
        loop: of a backend, where the run begins or goes on.
        session: what the run gathers.
        callbacks: see `train`.
        bar: the context of a bar, which shows the progress.

    Raises:
        NonFiniteError: with the last good state.
        Interrupted: on Ctrl-C, with the state of the last chunk.
    """
    before, run = [loop.state()], None
    try:
        with bar as show:
            run = _advance(loop, session, before, callbacks, show)
        _save(session, run)
    except KeyboardInterrupt:
        raise _interrupted(loop, session, before[-1], run) from None
    if run.stopped == "steps":
        warn_of_stall(session.plan, run.history["loss"], run.history["grad_norm"], session.goal.tol_grad)
    return run


def _advance(loop: Any, session: Session, before: list[Any], callbacks: tuple[Callback, ...], show: Any) -> Run:
    """From chunk to chunk. `before` holds the states that a replay may begin with; the last is where the run stands."""
    goal, faults, size = session.goal, _Faults(session), FIRST_CHUNK
    done = int(before[-1]["step"])
    while done < goal.steps:
        room = goal.steps if session.keeper is None else session.keeper.room(done) or goal.steps
        count = min(size, goal.steps - done, session.plan.capacity, room)
        clock = perf_counter()
        rows = loop.advance(count)
        elapsed = perf_counter() - clock
        kept = session.rows(done, rows)
        stop = _earliest(rows, kept, done, goal.tol_grad, callbacks)
        _prove(session, rows, done)
        if stop is None and done + count == goal.steps and not np.isfinite(loop.state()["raw"]).all():
            stop = _Stop(goal.steps, "non_finite")  # no further row would show what the last update did
        if stop is None:
            session.keep(kept, done + count)
            done, size, state = done + count, _next_size(count, elapsed), loop.state()
        elif stop.reason == "non_finite" and stop.step < goal.steps and faults.may_skip(stop.step):
            asked = _asked(kept, stop.step, callbacks)
            if asked is not None:
                return _end(loop, session, before, kept, asked, faults)
            state = _skipped(loop, session, before, kept, stop.step)
            faults.warn(session, stop.step, float(rows.loss[stop.step - done]))
            size = max(1, min(size, 2 * (stop.step + 1 - done)))  # what a chunk does after a fault is done in vain
            done = stop.step + 1
        else:
            return _end(loop, session, before, kept, stop, faults)
        kept_for = faults.needed(done)
        before[:] = [max((s for s in before if s["step"] <= kept_for), key=_step, default=before[0]), state]
        session.saturation.look(loop, state["raw"])
        if session.keeper is not None and done < goal.steps:
            session.keeper.offer(done, lambda: session.snapshot(before[-1], loop.values(), "running"))
        if show is not None:
            show(done, float(rows.loss[-1]), loop.values())
    return session.finish(loop, "steps")


def _step(state: Mapping[str, Any]) -> int:
    return int(state["step"])


def _earliest(
    rows: Rows, kept: dict[str, np.ndarray], first: int, tol_grad: float | None, callbacks: tuple[Callback, ...]
) -> _Stop | None:
    """The first step of a chunk at which the run must end, and why. Callbacks see the rows up to it."""
    stop = None
    bad = _first_bad(rows, first)
    if bad is not None:
        stop = _Stop(bad, "non_finite")
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


def _first_bad(rows: Rows, first: int) -> int | None:
    """The first step of a chunk whose loss or gradient is not finite."""
    bad = np.flatnonzero(~(np.isfinite(rows.loss) & np.isfinite(rows.grad_norm)))
    return first + int(bad[0]) if len(bad) else None


def _prove(session: Session, rows: Rows, first: int) -> None:
    """A state that waits to be saved is good when the step from it is; what came later does not matter."""
    if session.keeper is not None:
        session.keeper.prove(_first_bad(rows, first), session.history)


def _asked(kept: dict[str, np.ndarray], step: int, callbacks: tuple[Callback, ...]) -> _Stop | None:
    """Show the row of a step that is skipped, if it is recorded, to the callbacks, which may end the run there."""
    for i in np.flatnonzero(kept["step"] == step) if callbacks else ():
        row = {name: column[i] for name, column in kept.items()}
        answers = [callback(row) for callback in callbacks]  # every callback sees the row
        if any(answers):
            return _Stop(step, "callback")
    return None


def _skipped(loop: Any, session: Session, before: list[Any], kept: dict[str, np.ndarray], step: int) -> dict[str, Any]:
    """Pass a step without its update: the state is as before it, but for the place in the data."""
    _replay(loop, before, step)
    state = loop.state() | {"step": step + 1}
    scaler = session.plan.scaler
    if scaler is not None:
        state["extras"] = state["extras"] | {"scaler": scaler.fallen(state["extras"]["scaler"])}
    loop.load(state)
    session.keep(kept, step)
    return state


def _end(loop: Any, session: Session, before: list[Any], kept: dict[str, np.ndarray], stop: _Stop, faults: _Faults) -> Run:
    """Put the loop into the state in which the run ends, and make the `Run` or the error."""
    _replay(loop, before, stop.step)
    if stop.reason != "non_finite":
        session.keep(kept, stop.step)
        session.saturation.look(loop, loop.state()["raw"])
        return session.finish(loop, stop.reason)
    seen = loop.look()
    guilty = next((name for name, grad in seen.grads.items() if not np.isfinite(grad).all()), None)
    first = stop.step if faults.in_row == 0 or stop.step != faults.first + faults.in_row - 1 else faults.first
    last_good = max(int(before[0]["step"]), first - 1)
    _replay(loop, before, last_good)
    session.keep(kept, stop.step)
    session.forget(last_good if first > last_good else last_good - 1)
    run = session.finish(loop, "non_finite")
    saved = _save(session, run)
    row = "" if first == stop.step else f", the last of {stop.step - first + 1} in a row from step {first} on"
    raise NonFiniteError(_non_finite(seen, stop.step, guilty, row) + saved, step=first, parameter=guilty, run=run)


def _replay(loop: Any, before: list[Any], step: int) -> None:
    """Run again, by the same program, from the last kept state at or before `step`."""
    state = next(state for state in reversed(before) if state["step"] <= step)
    loop.load(state)
    loop.advance(step - int(state["step"]))


def _non_finite(seen: Any, step: int, guilty: str | None, row: str) -> str:
    gradient = f"the gradient of {guilty!r} is not finite" if guilty else "no gradient is non-finite by itself"
    lost = "" if step else "; nothing was updated"
    return (
        f"loss {float(seen.loss)} at step {step}{row}, and {gradient}{lost}. error.run is the last good state; try a smaller "
        f"lr, a start further inside, or a loss that is finite at the border"
    )


def _interrupted(loop: Any, session: Session, state: dict[str, Any], done: Run | None) -> Interrupted:
    """The error of Ctrl-C, which may have come in the midst of an update: the run ends where its last chunk did.

    Args:
        loop: of a backend.
        session: what the run gathered.
        state: that of the last chunk.
        done: the run, where it was at its end and only being saved.
    """
    if done is None:
        loop.load(state)
        session.forget(int(state["step"]) - 1)
    run = session.finish(loop, "interrupted") if done is None else done
    try:
        saved = _save(session, run)
    except KeyboardInterrupt:  # once more: the run is not lost, and not saved
        saved = ""
    saved = saved or "; error.run holds it, and error.run.save('a/directory') keeps it"
    return Interrupted(f"interrupted after step {run.steps} of {session.goal.steps}{saved}", run)


def _save(session: Session, run: Run) -> str:
    """Save the end of a run where it is being saved, and what to say about it."""
    if session.keeper is None or not session.keeper.attempt(run.checkpoint, run.history, AT_END):
        return ""
    folder = str(session.keeper.folder)
    return (
        f"; saved in {folder!r}: isoparam.resume({folder!r}, backend={session.backend!r}), or on the command line isoparam "
        f"resume {folder} --backend {session.backend}, goes on"
    )


def _next_size(count: int, elapsed: float) -> int:
    """Steps of the next chunk: towards CHUNK_SECONDS, at most GROWTH times this one."""
    return max(1, min(count * GROWTH, int(count * CHUNK_SECONDS / max(elapsed, 1e-9))))
