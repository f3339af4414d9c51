"""Settings of a run, resolved from what the caller gave and from the recipe of the problem, and checked."""

from collections.abc import Iterable
from typing import Any

from isoparam.arguments import check_dtype, check_schedule, check_tolerance, whole
from isoparam.errors import BackendError, SpecError
from isoparam.exact import check_run
from isoparam.optimizers import LBFGS, Optimizer, as_optimizer
from isoparam.plan import METHODS, Layout, Plan, columns, layout
from isoparam.problem import Problem, Recipe
from isoparam.schedules import Schedule

DEVICES = ("cpu", "cuda", "gpu")
NUMERICS = ("fast", "exact")


def plan_for(
    problem: Problem,
    optimizer: Optimizer | None,
    seed: int,
    dtype: str | None,
    device: str,
    record: Iterable[str] | None,
    record_every: int,
    method: str = "transform",
    schedule: Schedule | None = None,
    numerics: str = "fast",
) -> Plan:
    """The plan of a run: arguments left out come from the problem's recipe.

    Args:
        problem: what is trained.
        optimizer: None takes that of the recipe.
        seed: of the data order.
        dtype: None takes that of the recipe, or "float64" without one.
        device: "cpu", or "cuda" or "gpu" (the same).
        record: names or globs to record; None records what is constrained.
        record_every: keep every so many steps.
        method: "transform" or "projected".
        schedule: None takes that of the recipe together with its optimizer, or else a constant step size.
        numerics: "fast" or "exact", whose dtype is "float32" where none is given.

    Raises:
        SpecError: for an argument that cannot be right.
        BackendError: for an unknown device.
    """
    if device not in DEVICES:
        raise BackendError(f"unknown device={device!r}; choose one of {', '.join(map(repr, DEVICES))}")
    recipe = problem.recipe
    if optimizer is None:
        if recipe is None:
            raise SpecError(f"problem {problem.name!r} has no recipe; give optimizer=isoparam.Adam(lr=0.01), for instance")
        optimizer = recipe.optimizer
        schedule = recipe.schedule if schedule is None else schedule
    if dtype is None:
        dtype = "float32" if numerics == "exact" else "float64" if recipe is None else recipe.dtype
    check_dtype(dtype)
    check_method(method, optimizer)
    check_numerics(numerics)
    if numerics == "exact":
        check_run(optimizer, dtype, device)
    if dtype == "bfloat16" and isinstance(optimizer, LBFGS):
        raise SpecError("dtype='bfloat16' with LBFGS: gradients of 8 bits have no curvature left; use float32 or float64")
    if schedule is not None:
        next(schedule.settings(as_optimizer(optimizer)))  # refuses an optimizer without the momentum that is cycled
    laid_out = layout(problem.shapes, problem.specs, method)
    _check_shapes(as_optimizer(optimizer), laid_out)
    return Plan(
        layout=laid_out,
        columns=columns(problem.shapes, problem.specs, record),
        optimizer=as_optimizer(optimizer),
        dtype=dtype,
        device=device,
        record_every=whole("record_every", record_every),
        batch_size=problem.batch_size,
        seed=whole("seed", seed, least=0),
        schedule=schedule,
        numerics=numerics,
    )


def check_length(plan: Plan, steps: int) -> None:
    """Raise SpecError for a run that is longer than its schedule."""
    longest = None if plan.schedule is None else plan.schedule.longest
    if longest is not None and steps > longest:
        raise SpecError(f"steps={steps}, but {plan.schedule} has {longest} rates; make the schedule longer or the run shorter")


def _check_shapes(optimizer: Optimizer, laid_out: Layout) -> None:
    """Raise SpecError for a parameter of a shape that the optimizer cannot train, with its name."""
    if optimizer.elementwise or isinstance(optimizer, LBFGS):
        return
    for entry in (entry for group in laid_out.groups for entry in group.entries if entry.start < entry.stop):
        try:
            optimizer.slots(entry.raw_shape)
        except SpecError as error:
            raise SpecError(f"{entry.name!r}: {error}") from None


def length_for(recipe: Recipe | None, steps: int | None, tol_grad: float | None) -> tuple[int, float | None]:
    """Steps and tol_grad of a run; the tolerance of the recipe belongs to its steps and holds only with them."""
    check_tolerance(tol_grad)
    if steps is not None:
        return whole("steps", steps), tol_grad
    if recipe is None:
        raise SpecError("the problem has no recipe; give steps=1000, for instance")
    return recipe.steps, recipe.tol_grad if tol_grad is None else tol_grad


def check_method(method: str, optimizer: Optimizer) -> None:
    """Raise SpecError for an unknown method, or an optimizer that cannot be followed by a projection."""
    if method not in METHODS:
        raise SpecError(f"unknown method={method!r}; choose one of {', '.join(map(repr, METHODS))}")
    if method == "projected" and isinstance(optimizer, LBFGS):
        raise SpecError(
            "method='projected' with LBFGS: its line search assumes a loss without borders; use method='transform', or Adam "
            "or SGD with 'projected'"
        )


def check_problem(problem: Any) -> None:
    """Raise SpecError for what is no problem, such as the name of one."""
    if not isinstance(problem, Problem):
        raise SpecError(f"problem={problem!r} must be an isoparam.Problem; write isoparam.problems.get('scalar'), for instance")


def check_numerics(numerics: Any) -> None:
    """Raise SpecError for an unknown numerics."""
    if numerics not in NUMERICS:
        raise SpecError(f"unknown numerics={numerics!r}; choose one of {', '.join(map(repr, NUMERICS))}")


def check_settings(problem: Any, schedule: Any) -> None:
    """Raise SpecError for a problem that is none, or a schedule that cannot be followed."""
    check_problem(problem)
    check_schedule(schedule)
