"""Rounding or fault: how far a run parts from itself when its start is moved by one unit in the last place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from isoparam.arguments import whole
from isoparam.backends import load
from isoparam.optimizers import Adam, Optimizer
from isoparam.parity.budgets import STAGES, Budget
from isoparam.parity.report import Row
from isoparam.parity.stages import Comparison, losses_apart, trace, unit_of
from isoparam.parity.ulp import FRACTION
from isoparam.plan import Plan
from isoparam.problem import Problem
from isoparam.settings import plan_for
from isoparam.specs import Real

ANY = {stage: Budget(float("inf"), "measured, not judged") for stage in STAGES}


@dataclass(frozen=True)
class Sensitivity:
    """What one unit in the last place of the start becomes along a trajectory, in one backend.

    Attributes:
        problem: its name.
        backend: where it was measured.
        steps: updates of every run.
        dtype: of the parameters.
        optimizer: as text.
        directions: moved starts that were run; every number here is the worst of them.
        parameters: {(step, parameter, "raw" or "value"): relative difference}, at the steps and scales of `compare`.
        losses: relative difference of the loss before update k, or before an earlier one if it was larger there.
    """

    problem: str
    backend: str
    steps: int
    dtype: str
    optimizer: str
    directions: int
    parameters: Mapping[tuple[int, str, str], float]
    losses: np.ndarray

    def of(self, row: Row) -> float:
        """What a row of "training" or "history" would be for two runs that differ by the moved start alone.

        Raises:
            KeyError: for a row of another stage, or of a step that these runs did not look at.
        """
        if row.stage == "history":
            return float(self.losses[row.step])
        return self.parameters[row.step, row.where, row.quantity]

    def ratio(self, row: Row) -> float:
        """How much further torch and JAX are apart in a row than the moved start takes a run of one backend.

        A difference is never counted finer than one unit in the last place. A ratio of a few is the trajectory's own
        growth of roundings; a large one asks for another cause.
        """
        return row.relative / max(self.of(row), 2.0 ** -FRACTION[self.dtype])


def sensitivity(
    problem: Problem,
    backend: str,
    steps: int = 1000,
    dtype: str = "float64",
    optimizer: Optimizer | None = None,
    seed: int = 0,
    device: str = "cpu",
    directions: int = 4,
) -> Sensitivity:
    """Run a problem from its start, and again from starts that are moved in the last place, in one backend.

    Two backends whose trajectories part are not therefore different: a long chain of updates may turn the last place of a
    number into its first. This runs one backend against itself, so that nothing differs but the rounding of the start. Where
    `compare` finds torch and JAX hardly further apart than that, the trajectory is the cause; where it finds them much
    further apart, the losses or the updates differ.

    Every raw entry is moved by one unit in the last place, up or down at random; of 1 where raw is constrained and
    smaller (a logit, a logarithm), of the parameter's largest entry where it is 0. Each draw is run with its opposite.

    Limits: an estimate from a few directions, and of what the start's rounding alone does; two backends also round every
    update. Only trained raw, not `method="projected"`.

    Args:
        problem: an `isoparam.Problem` with a loss for the backend.
        backend: "torch" or "jax".
        steps: updates of every run.
        dtype: "float64", "float32" or "bfloat16".
        optimizer: by default the one of the problem's recipe, or else `Adam()`, as in `compare`.
        seed: of the data order and of the directions.
        device: where to run.
        directions: how many moved starts.

    Returns:
        A `Sensitivity`: `.of(row)` and `.ratio(row)` for a row of a report of the same run.

    Raises:
        BackendError: for a backend that is not installed, an unknown device, or a problem without a loss for it.
        SpecError: for steps or directions < 1, or an unknown dtype.

    Example:
        >>> import isoparam as iso
        >>> problem = iso.problems.get("scalar")
        >>> report = iso.parity.compare(problem, steps=10)
        >>> found = iso.parity.sensitivity(problem, "torch", steps=10)
        >>> all(found.ratio(row) < 10 for row in report.rows if row.stage == "training")
        True
    """
    engine = load(backend).train
    steps, directions = whole("steps", steps), whole("directions", directions)
    optimizer = optimizer or (problem.recipe and problem.recipe.optimizer) or Adam()
    plan = plan_for(problem, optimizer, seed, dtype, device, record=(), record_every=1)
    parameters: dict[tuple[int, str, str], float] = {}
    losses = np.zeros(steps)
    with engine.full_precision():
        loop = engine.Loop(problem, plan)
        start = loop.state()
        plain = trace(loop, plan, steps)
        for raw in islice(_moved(problem, plan, start["raw"], seed), directions):
            loop.load(start | {"raw": raw, "slots": {}})
            other = trace(loop, plan, steps)
            for row in Comparison(problem, ANY, dtype).training(plain, other):
                if row.stage == "training":
                    key = row.step, row.where, row.quantity
                    parameters[key] = max(parameters.get(key, 0.0), row.relative)
            losses = np.maximum(losses, losses_apart(plain.loss, other.loss)[0])
    return Sensitivity(
        problem.name, backend, steps, dtype, repr(optimizer), directions, parameters, np.maximum.accumulate(losses)
    )


def _moved(problem: Problem, plan: Plan, flat: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Starts that differ by a last place in every entry: a random choice of ups and downs, its opposite, the next choice."""
    steps = {}
    for name, raw in plan.layout.unflatten(np.asarray(flat, dtype=np.float64)).items():
        largest = float(np.max(np.abs(raw), initial=0.0)) or 1.0
        size = np.maximum(np.abs(raw), unit_of(problem.specs.get(name, Real()), "raw", largest))
        steps[name] = np.exp2(np.frexp(np.where(size == 0, largest, size))[1] - 1.0 - FRACTION[plan.dtype])
    step = plan.layout.flatten(steps)
    draw = np.random.Generator(np.random.Philox(seed))
    while True:
        signs = draw.choice([-1.0, 1.0], size=step.shape)
        yield flat + signs * step
        yield flat - signs * step
