"""resume(directory, backend=...): a run that was saved goes on, in the backend that began it or in the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from isoparam import problems
from isoparam.arguments import check_tolerance, place, whole
from isoparam.checkpoints.data import check_fingerprint, decode_schedule
from isoparam.checkpoints.disk import CURRENT, PREVIOUS
from isoparam.checkpoints.keeper import Keeper, keeper_for
from isoparam.checkpoints.settings import check_place, checked
from isoparam.checkpoints.snapshot import check_values, state_of
from isoparam.checkpoints.store import read
from isoparam.errors import BackendError, CheckpointError, IsoparamError, SpecError
from isoparam.fit import Callback
from isoparam.plain import plain
from isoparam.plan import Plan, Rows, history
from isoparam.problem import Problem
from isoparam.run import Run
from isoparam.schedules import Schedule
from isoparam.session import Goal, Leg
from isoparam.settings import Policy, check_length, plan_for
from isoparam.train import check_callbacks, launch


def resume(
    folder: str | Path,
    backend: str,
    steps: int | None = None,
    problem: Problem | None = None,
    tol_grad: float | None = None,
    device: str | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    progress: bool = False,
    schedule: Schedule | None = None,
) -> Run:
    """Go on with a run that `Run.save` or `train(..., checkpoint_dir=...)` saved.

    In the backend that saved it the result has the bits of the run that was never interrupted; in the other it lies as
    close as the two backends do. Optimizer and its state, schedule, groups and the rest that is done to gradients
    and parameters, average, dtype, method, order of the data, what is recorded and the history so
    far are those of the saved run.

    Args:
        folder: the directory; or its previous.json, for the state before the last.
        backend: "torch" or "jax", whichever saved it; there is no default.
        steps: further steps; None: up to the steps that the run was to have, with its tol_grad.
        problem: what is trained, for one that is not built in: with the parameters, constraints, data and batch size of the
            saved run.
        tol_grad: see `train`; with steps, None is none.
        device: see `train`; None is that of the saved run.
        callbacks: see `train`; those of the saved run are not saved.
        checkpoint_dir: save here; None: in the same directory, if the run was being saved while it ran, else nowhere.
        checkpoint_every: see `train`; None is that of the saved run.
        progress: see `train`.
        schedule: that of the saved run again, where it holds a function (`LambdaLR`), which no checkpoint does; None is that
            of the saved run.

    Returns:
        The `Run` from its first step on, whose `seconds` and `versions` are of this part.

    Raises:
        CheckpointError: for a directory without a state, or one that is damaged, foreign, of a newer version or of another
            problem. Nothing of it is used then.
        SpecError: for an argument that cannot be right.
        BackendError: for a backend, loss or device that is not there.

    Example:
        >>> import isoparam as iso, tempfile
        >>> folder, problem = tempfile.mkdtemp(), iso.problems.get("linkage")
        >>> iso.train(problem, backend="torch", optimizer=iso.Adam(lr=0.01), steps=40).save(folder)
        >>> run = iso.resume(folder, backend="torch", steps=60)
        >>> whole = iso.train(problem, backend="torch", optimizer=iso.Adam(lr=0.01), steps=100)
        >>> bool(run.raw["t"] == whole.raw["t"]), len(run.history["loss"])
        (True, 100)
    """
    begun = perf_counter()
    home = place("resume: folder", folder)
    callbacks = check_callbacks(callbacks)
    tol_grad, device = check_tolerance(tol_grad), plain(device)
    further = None if steps is None else whole("steps", steps)
    stored = read(home)
    settings = checked(stored.settings)
    problem = _problem(settings, problem)
    check_fingerprint(problem, settings["problem"])
    asked = settings["asked"] | ({} if device is None else {"device": device})
    asked["schedule"] = decode_schedule(asked["schedule"], schedule)
    plan = _plan(problem, asked)
    goal = _goal(settings, further, tol_grad)
    check_length(plan, goal.steps)
    step, updates = settings["step"], settings["updates"]
    keeper = _keeper(home, settings["saving"], checkpoint_dir, checkpoint_every)
    rows = _history(stored.history, plan, step)
    check_place(settings, problem, plan, rows)

    def take_up(loop: Any) -> None:
        loop.load(state_of(plan, stored.state, step, updates, loop.state()))
        check_values(stored, loop.values(), plan.dtype)

    leg = Leg(step, rows, tuple(settings["legs"]))
    return launch(problem, backend, plan, asked, goal, keeper, callbacks, progress, begun, leg, take_up)


def is_exact(folder: str | Path) -> bool:
    """Whether the run that was saved here is one of numerics="exact".

    Raises:
        CheckpointError: as `resume`.
    """
    return checked(read(place("resume: folder", folder)).settings)["asked"]["numerics"] == "exact"


def _problem(settings: Mapping[str, Any], problem: Any) -> Problem:
    """The problem that was given, or the built-in one of the saved name."""
    if isinstance(problem, Problem):
        return problem
    if problem is not None:
        raise SpecError(f"problem={problem!r} must be an isoparam.Problem")
    name = settings["problem"]["name"]
    if name not in problems.names():
        raise SpecError(f"the checkpoint is of {name[:80]!r}, which is not built in; resume(..., problem=problem)")
    return problems.get(name)


def _plan(problem: Problem, asked: Mapping[str, Any]) -> Plan:
    """The settings of the run, checked as `train` checks its arguments."""
    try:
        rest = {name: value for name, value in asked.items() if name != "policy"}
        return plan_for(problem, **rest, policy=Policy(**asked["policy"]))
    except BackendError:
        raise
    except (IsoparamError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint holds settings that no run has: {error}") from None


def _goal(settings: Mapping[str, Any], further: int | None, tol_grad: float | None) -> Goal:
    """How far to go: so many steps more, or to the end that the run was to have."""
    goal, step = settings["goal"], settings["step"]
    try:
        check_tolerance(goal["tol_grad"])
        skip = whole("skip_nonfinite", goal["skip_nonfinite"], least=0)
        planned = whole("steps", goal["steps"])
    except SpecError as error:
        raise CheckpointError(f"the checkpoint holds settings that no run has: {error}") from None
    if further is not None:
        return Goal(step + further, tol_grad, skip)
    return Goal(max(step, planned), goal["tol_grad"] if tol_grad is None else tol_grad, skip)


def _keeper(saved: Path, saving: Mapping[str, Any], checkpoint_dir: Any, checkpoint_every: Any) -> Keeper | None:
    """What saves the run from here on: as it was saved before, unless something else is asked for."""
    home = saved.parent if saved.name in (CURRENT, PREVIOUS) else saved
    if checkpoint_dir is None and (saving["on"] or checkpoint_every is not None):
        checkpoint_dir = home
    every = saving["every"] if checkpoint_every is None and checkpoint_dir is not None else checkpoint_every
    resumed = isinstance(checkpoint_dir, str | Path) and Path(checkpoint_dir).absolute() == home.absolute()
    return keeper_for(checkpoint_dir, every, resumed)


def _history(saved: Mapping[str, np.ndarray], plan: Plan, step: int) -> dict[str, np.ndarray]:
    """The rows before a step; the row of the step itself is there where the run ended, and comes again."""
    none = np.empty(0, plan.history_dtype)
    width = sum(column.width for column in plan.columns)
    rows = Rows(none, none, none.reshape(0, width))
    wanted = history(plan.columns, np.arange(0), rows.loss, rows.grad_norm, rows.columns)
    kinds = {name: (array.dtype, array.shape[1:]) for name, array in wanted.items()}
    if {name: (array.dtype, array.shape[1:]) for name, array in saved.items()} != kinds:
        own = ", ".join(wanted)
        raise CheckpointError(
            f"the history of the checkpoint has the columns {', '.join(saved)[:160]}; those of the run are {own}"
        )
    kept = saved["step"] < step
    if not np.array_equal(saved["step"][kept], np.arange(0, step, plan.record_every)):
        raise CheckpointError("the history of the checkpoint does not have the rows of its steps")
    return {name: np.array(saved[name][kept]) for name in wanted}
