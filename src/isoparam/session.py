"""What a run gathers on its way: the rows of its history, what is saved of it, and the `Run` that comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from isoparam.checkpoints.data import fingerprint
from isoparam.checkpoints.keeper import Keeper
from isoparam.checkpoints.snapshot import Snapshot, arrays_of
from isoparam.objective import ModuleLoss
from isoparam.plan import Plan, Rows, history
from isoparam.problem import Problem
from isoparam.run import Run, Stopped
from isoparam.saturation import Saturation


@dataclass(frozen=True)
class Goal:
    """What ends a run.

    Attributes:
        steps: updates at most, from the start of the run.
        tol_grad: or the first step whose gradient norm is at most this.
        skip_nonfinite: or more steps in a row than this with a loss or gradient that is not finite.
    """

    steps: int
    tol_grad: float | None
    skip_nonfinite: int


@dataclass(frozen=True)
class Leg:
    """A part of a run that one backend did: from which step on, and what came before it.

    Attributes:
        first: the step that it begins with.
        history: the rows before that step; None at the start.
        before: the legs before it, as JSON.
    """

    first: int = 0
    history: dict[str, np.ndarray] | None = None
    before: tuple[dict[str, Any], ...] = ()


class Session:
    """What a run gathers on its way, and the `Run` made of it.

    Args:
        problem: what is trained.
        backend: where.
        plan: the settings.
        asked: the settings as they were asked for, which a resumed run is given again.
        goal: what ends the run.
        keeper: what saves it, if anything.
        leg: where it begins.
        versions: of what computes.
        begun: the clock at its begin.
        compiling: seconds that preparing took.
    """

    def __init__(
        self, problem: Problem, backend: str, plan: Plan, asked: Mapping[str, Any], goal: Goal, keeper: Keeper | None,
        leg: Leg, versions: dict[str, str], begun: float, compiling: float,
    ) -> None:  # fmt: skip
        self.problem, self.backend, self.plan, self.asked, self.goal = problem, backend, plan, asked, goal
        self.keeper, self.leg, self.versions = keeper, leg, versions
        self.begun, self.compiling = begun, compiling
        trained = {name: spec for name, spec in problem.specs.items() if name not in plan.frozen}
        self.saturation = Saturation(plan.layout, trained)
        self._parts = [self.rows(0, self.nothing()) if leg.history is None else leg.history]
        self._fingerprint: dict[str, Any] | None = None

    @property
    def repeats(self) -> bool:
        """Whether a step that is skipped would come back exactly as it was: all of the data, and no other state or scale."""
        plan = self.plan
        return (
            plan.batch_size is None and plan.scaler is None and not isinstance(self.problem.loss_for(self.backend), ModuleLoss)
        )

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

    def keep(self, kept: Mapping[str, np.ndarray], last: int) -> None:
        """Add rows to the history, up to and with that of step `last`."""
        wanted = kept["step"] <= last
        self._parts.append({name: column[wanted] for name, column in kept.items()})

    def forget(self, last: int) -> None:
        """Drop the rows after that of step `last`."""
        self._parts = [self.history(last + 1)]

    def history(self, stop: int | None = None) -> dict[str, np.ndarray]:
        """The rows so far, or those before step `stop`."""
        whole = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        self._parts = [whole]
        count = len(whole["step"]) if stop is None else int(np.searchsorted(whole["step"], stop))
        return {name: column[:count] for name, column in whole.items()}

    def snapshot(self, state: Mapping[str, Any], values: Mapping[str, np.ndarray], stopped: str) -> Snapshot:
        """A state as it is saved."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.problem)
        step, rows = int(state["step"]), self.problem.rows
        leg = {"backend": self.backend, "versions": self.versions, "first": self.leg.first, "last": step}
        settings = {
            "problem": self._fingerprint,
            "asked": self.asked,
            "constrained": [name for name in self.problem.shapes if name in self.problem.specs],
            "goal": {"steps": self.goal.steps, "tol_grad": self.goal.tol_grad, "skip_nonfinite": self.goal.skip_nonfinite},
            "saving": {"on": self.keeper is not None, "every": None if self.keeper is None else self.keeper.every},
            "step": step,
            "updates": int(state["updates"]),
            "data": {
                "order": "philox",
                "seed": self.plan.seed,
                "rows": step * self.plan.accumulate * (self.plan.batch_size or rows or 0),
            },
            "stopped": stopped,
            "legs": [*self.leg.before, leg],
        }
        segments = zip(self.plan.segments, self.plan.first_optimizers, strict=True)
        optimizers = {name: spec for segment, spec in segments for name in segment.layout.names}
        return Snapshot(settings, arrays_of(self.plan, state, values), optimizers)

    def finish(self, loop: Any, stopped: Stopped) -> Run:
        """The run as it stands."""
        state, values = loop.state(), loop.values()
        return Run(
            values=values,
            raw=self.plan.layout.unflatten(state["raw"]),
            average=loop.averages(),
            variables=state["variables"],
            history=self.history(),
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
            skipped=int(state["step"]) - int(state["updates"]),
            checkpoint=self.snapshot(state, values, stopped),
        )
