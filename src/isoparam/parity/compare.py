"""Both backends in one process, stage by stage, until the first number that differs by more than its budget."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Literal

from isoparam.arguments import whole
from isoparam.backends import BACKENDS, load
from isoparam.optimizers import Adam, Optimizer
from isoparam.parity.budgets import STAGES, Budget, budgets_for
from isoparam.parity.report import Report, Row
from isoparam.parity.stages import Comparison, trace
from isoparam.plan import Plan
from isoparam.problem import Problem
from isoparam.schedules import Schedule
from isoparam.settings import Policy, check_length, check_problem, plan_for
from isoparam.train import train
from isoparam.version import __version__

EXACT = Budget(0.0, "numerics='exact' asks for equal bits")


def compare(
    problem: Problem,
    steps: int = 1000,
    dtype: str | None = None,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    device: str = "cpu",
    budgets: Mapping[str, Budget | float] | None = None,
    method: str = "transform",
    schedule: Schedule | None = None,
    numerics: Literal["fast", "exact"] = "fast",
    **policy: Any,
) -> Report:
    """Run a problem in torch and in JAX and say where, and by how much, they part.

    The stages, in order: `start` (raw of the starting values), `forward`, `loss` and `gradient` (of raw), all three
    from the same raw numbers in both backends, so that each stage answers for itself; then `training`, raw and values
    after 1, 10, 100 and `steps` updates, and `history`, the loss before every update.

    Every row has the worst ULP distance and the worst relative difference of its array. An entry near 0 inherits the
    absolute error of what it is the difference of, so the relative difference is over the largest entry of the
    parameter, in both backends (while training: the largest so far). Neither measure counts finer than the last place
    of the bounds, for values, and of 1, for raw of a constrained parameter. The budget is on the relative difference;
    `isoparam.parity.BUDGETS` is the table, with causes, and `isoparam.parity.SENSITIVE` names the built-in problems whose
    trajectories magnify roundings, with what was measured; for your own, see `isoparam.parity.sensitivity`.

    Matrix products run in full precision (no TF32) while comparing, in both.

    Args:
        problem: an `isoparam.Problem` with a loss for both backends.
        steps: updates of the longest run.
        dtype: "float64", "float32" or "bfloat16"; by default float64, and float32 with numerics="exact".
        optimizer: such as `isoparam.Adam(lr=0.01)`; by default the one of the problem's recipe, or else `Adam()`.
        seed: of the data order, which is the same in both backends.
        device: where both run, "cpu" or a GPU that both see ("cuda" or "gpu", the same).
        budgets: {stage: Budget or allowed relative difference}, in place of the table's.
        method: "transform", or "projected" (see `isoparam.train`), which trains values and has no rows of raw.
        schedule: how the step size changes; None for a constant one, also where the recipe has one.
        numerics: "fast"; or "exact" (see `isoparam.train`), in which nothing may differ in a bit.
        **policy: groups, decay, frozen, clip, average, accumulate, compute_dtype and grad_scaler, as `isoparam.train` takes
            them.

    Returns:
        A `Report`: `.ok`, `.first_divergence`, `.max_ulp`, `.rows`, `.check()`, `.to_json()`, `.to_html()`.

    Raises:
        BackendError: when a framework is not installed, an unknown device, a problem with a loss for one backend only, or
            numerics="exact" without the variables that it needs in the environment.
        SpecError: for steps < 1, or an unknown dtype, stage, method or argument.
        NonFiniteError: when both runs meet a loss or gradient that is nan or inf, at the same step. Where only one does,
            that is the divergence.

    Example:
        >>> import isoparam as iso
        >>> report = iso.parity.compare(iso.problems.get("scalar"), steps=10)
        >>> report.ok
        True
    """
    check_problem(problem)
    steps = whole("steps", steps)
    backends = [load(name) for name in BACKENDS]
    for name in BACKENDS:
        problem.loss_for(name)
    optimizer = optimizer or (problem.recipe and problem.recipe.optimizer) or Adam()
    sensitive = problem.name if method == "transform" else None
    dtype = dtype or ("float32" if numerics == "exact" else "float64")
    asked = Policy.of(policy)
    plan = plan_for(problem, optimizer, seed, dtype, device, (), 1, method, schedule, numerics, asked)
    if numerics == "exact":
        budgets = dict.fromkeys(STAGES, EXACT) | dict(budgets or {})
    allowed = budgets_for(dtype, device, budgets, sensitive, type(optimizer).__name__)
    check_length(plan, steps)
    with ExitStack() as stack:
        for backend in backends:
            stack.enter_context(backend.train.full_precision())
        rows = tuple(_rows(problem, Comparison(problem, allowed, dtype), backends, plan, steps, asked))
    return Report(
        problem=problem.name,
        steps=steps,
        dtype=dtype,
        device=device,
        optimizer=", ".join(
            [repr(optimizer), *_said(method, schedule, {} if numerics == "fast" else {"numerics": numerics}, policy)]
        ),
        seed=seed,
        versions={"isoparam": __version__}
        | {name: text for backend in backends for name, text in backend.train.versions().items()},
        rows=rows,
    )


def _said(method: str, schedule: Schedule | None, *settings: Mapping[str, Any]) -> list[str]:
    """What a run is done with besides its optimizer."""
    named = ["projected"] if method == "projected" else []
    named += [] if schedule is None else [repr(schedule)]
    return named + [f"{name}={value!r}" for part in settings for name, value in part.items()]


def _rows(
    problem: Problem, comparison: Comparison, backends: list[ModuleType], plan: Plan, steps: int, asked: Policy
) -> Iterator[Row]:
    """Every row, stage after stage."""
    if plan.numerics == "fast":
        yield from comparison.start(backends, plan)
    loops = [backend.train.Loop(problem, plan) for backend in backends]
    if plan.numerics == "exact":
        yield from comparison.exact_start(loops, plan)
    ours, theirs = (trace(loop, plan, steps) for loop in loops)
    if ours.fall is not None and ours.fall == theirs.fall:
        # Two equal nans are no agreement worth a report: let train name the culprit.
        settings: dict[str, Any] = {"seed": plan.seed, "dtype": plan.dtype, "device": plan.device}
        settings |= {"method": plan.layout.method, "schedule": plan.schedule, "numerics": plan.numerics, **vars(asked)}
        train(problem, BACKENDS[0], plan.optimizer, steps=ours.fall + 1, record=(), **settings)
    yield from comparison.training(ours, theirs)
