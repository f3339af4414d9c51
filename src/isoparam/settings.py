"""Settings of a run, resolved from what the caller gave and from the recipe of the problem, and checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from isoparam.arguments import check_dtype, check_tolerance, whole
from isoparam.errors import BackendError, SpecError
from isoparam.exact import check_run
from isoparam.layout import Layout, layout
from isoparam.names import hint
from isoparam.optimizers import LBFGS, Optimizer, as_optimizer
from isoparam.plain import plain
from isoparam.plan import METHODS, NARROW, Plan, columns
from isoparam.problem import Problem, Recipe
from isoparam.schedules import ReduceLROnPlateau, Schedule, as_schedule
from isoparam.updates.averaging import check_average
from isoparam.updates.clipping import check_clip
from isoparam.updates.scaling import check_scaler
from isoparam.updates.segments import ranks_of, rules_for, segments_of

DEVICES = ("cpu", "cuda", "gpu")
NUMERICS = ("fast", "exact")


@dataclass(frozen=True)
class Policy:
    """What `train` is asked for besides problem, optimizer and data, as its arguments of these names."""

    groups: Any = field(default_factory=dict)
    decay: Any = "raw"
    frozen: Any = ()
    clip: Any = None
    average: Any = None
    accumulate: Any = 1
    compute_dtype: Any = None
    grad_scaler: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.frozen, list | set | frozenset):
            object.__setattr__(self, "frozen", tuple(sorted(self.frozen, key=str)))
        for entry in fields(self):
            object.__setattr__(self, entry.name, plain(getattr(self, entry.name)))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Policy":
        """The policy of these arguments, or SpecError for one that is none."""
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                raise SpecError(f"unknown argument {name!r}; {hint(name, known)}")
        return cls(**given)


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
    policy: Policy | None = None,
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
        policy: what else was asked for.

    Raises:
        SpecError: for an argument that cannot be right.
        BackendError: for an unknown device.
    """
    policy = policy or Policy()
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
    optimizer = as_optimizer(optimizer)
    if schedule is not None and not isinstance(as_schedule(schedule), ReduceLROnPlateau):
        next(schedule.settings(optimizer))  # refuses an optimizer without the momentum that is cycled
    _check_policy(policy, problem, optimizer, dtype, numerics)
    rules = rules_for(problem.shapes, problem.specs, method, optimizer, policy.groups, policy.decay, policy.frozen)
    frozen = {name for name, rule in rules.items() if rule.optimizer is None}
    laid_out = layout(problem.shapes, problem.specs, method, ranks_of(rules), frozen)
    if laid_out.free == 0:
        raise SpecError(f"frozen={policy.frozen!r} leaves nothing to train; leave one of {_listed(laid_out.names)} free")
    segments = segments_of(laid_out, rules)
    for segment in segments:
        _check_shapes(segment.optimizer, segment.layout)
    return Plan(
        layout=laid_out,
        columns=columns(problem.shapes, problem.specs, record),
        optimizer=optimizer,
        segments=segments,
        dtype=dtype,
        device=device,
        record_every=whole("record_every", record_every),
        batch_size=problem.batch_size,
        seed=whole("seed", seed, least=0),
        schedule=schedule,
        numerics=numerics,
        clip=policy.clip,
        average=policy.average,
        accumulate=policy.accumulate,
        narrow=policy.compute_dtype,
        scaler=policy.grad_scaler,
    )


def _check_policy(policy: Policy, problem: Problem, optimizer: Optimizer, dtype: str, numerics: str) -> None:
    """Raise SpecError for a policy that no run has."""
    check_clip(policy.clip)
    check_average(policy.average)
    check_scaler(policy.grad_scaler)
    if whole("accumulate", policy.accumulate) > 1 and problem.batch_size is None:
        raise SpecError(
            f"accumulate={policy.accumulate}: problem {problem.name!r} has no batch_size, so every part would be the same "
            f"data; leave accumulate out, or give the problem a batch_size"
        )
    narrow = policy.compute_dtype
    if narrow is not None and (narrow not in NARROW or dtype not in ("float32", "float64") or numerics == "exact"):
        raise SpecError(
            f"compute_dtype={narrow!r} with dtype={dtype!r}, numerics={numerics!r}: choose 'float16' or 'bfloat16' for a run "
            f"in float32 or float64 with numerics='fast', or None"
        )
    if policy.grad_scaler is not None and narrow is None:
        raise SpecError("grad_scaler without compute_dtype: only small numbers vanish; give compute_dtype='float16' too")
    if isinstance(optimizer, LBFGS):
        for name in ("clip", "grad_scaler"):
            if getattr(policy, name) is not None:
                raise SpecError(f"{name} with LBFGS: its line search needs the loss and gradient as they are; leave it out")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


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
    tol_grad = check_tolerance(tol_grad)
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
    """Raise SpecError for a problem or schedule that is none."""
    check_problem(problem)
    if schedule is not None:
        as_schedule(schedule)
