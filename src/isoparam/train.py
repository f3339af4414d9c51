"""train(problem, backend=...): what is asked for, checked, and the loop of a backend set going."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, Literal

from isoparam.arguments import whole
from isoparam.backends import load
from isoparam.checkpoints.data import encode
from isoparam.checkpoints.keeper import Keeper, keeper_for
from isoparam.errors import SpecError
from isoparam.fit import Callback, fit
from isoparam.optimizers import Optimizer
from isoparam.plain import plain
from isoparam.plan import Plan
from isoparam.problem import Problem
from isoparam.reads import check_reads
from isoparam.run import Run
from isoparam.schedules import Schedule
from isoparam.session import Goal, Leg, Session
from isoparam.settings import Policy, check_length, check_settings, length_for, plan_for
from isoparam.updates import Average, Clip, GradScaler


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
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    skip_nonfinite: int = 10,
    progress: bool = False,
    method: Literal["transform", "projected"] = "transform",
    groups: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    decay: str | Mapping[str, str] = "raw",
    frozen: Iterable[str] = (),
    clip: Clip | None = None,
    average: Average | None = None,
    accumulate: int = 1,
    compute_dtype: Literal["float16", "bfloat16"] | None = None,
    grad_scaler: GradScaler | None = None,
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
        numerics: "fast" computes in `dtype`. "exact" is for runs in float32 that are to have the same bits in both
            backends: values, loss and gradient are computed in float64 and rounded once, and the steps of the optimizer
            are rounded operation by operation. It needs `isoparam.exact.ENVIRONMENT` in the environment, an x86-64
            processor, and an optimizer other than LBFGS, Adafactor and Muon. Equality is measured, not proven.
        record: names or globs to record; None records what is constrained, () only loss and gradient norm. Values of
            more than 64 entries are recorded as `name.min`, `name.mean` and `name.max`.
        record_every: keep every so many steps.
        callbacks: each is called as `callback(row)` with every kept row, in order; a true result stops the run before
            the update of that row. Rows are read once per chunk of up to 0.2 s, so calls come in bursts.
        tol_grad: stop before the update of the first step whose gradient norm (`grad_norm` of the history) is at most this.
        checkpoint_dir: save the run here as it goes on and at its end, for `isoparam.resume`; a new directory. A state is
            saved once the step after it has shown a finite loss and gradient.
        checkpoint_every: save every so many steps; None: about once a minute.
        skip_nonfinite: steps in a row whose loss or gradient is not finite that are skipped: nothing is updated, and the
            next batch comes. One more ends the run; 0 ends it at the first. Without batches or variables every step is the
            same, and the first ends it.
        progress: show a bar with the loss and up to four constrained values.
        method: "transform" trains raw, whose value is always inside. "projected" trains the value itself and moves it
            after each step to the nearest point of the closed set (`project`), so that it can lie on the border, at the
            start too; momentum and the moments of Adam know nothing of the move. Then `raw` of the run holds the values,
            and `grad_norm` is the norm of x - project(x - gradient), which is the gradient where the border is far and
            vanishes at a solution on the border, where the gradient does not.
        groups: parameter groups, {name or glob: {setting: value}}: settings of the optimizer that differ for these parameters,
            such as {"encoder.*": {"lr": 1e-4}}. The schedule changes the rate of each group as torch does.
        decay: what the weight decay of the optimizer acts on: "raw", as in torch; "value": it pulls the constrained value x
            to 0, by the gradient of weight_decay * |x|^2 / 2 with respect to raw, which is added to that of the loss, or taken
            off raw directly where the decay is decoupled as in AdamW; "none". Or {name or glob: one of these}, "raw" for the
            rest.
        frozen: names or globs of parameters that stay at their start to the last bit; their gradients count as 0, in
            `grad_norm` too.
        clip: `isoparam.ClipByNorm` or `isoparam.ClipByValue`, which the gradient passes before the optimizer; `grad_norm` is
            that before.
        average: `isoparam.EMA` or `isoparam.SWA` of the parameters, in `average` of the run.
        accumulate: batches whose mean gradient makes one update; the recorded loss is their mean.
        compute_dtype: dtype of the values and data that the loss is given, in a run whose parameters, optimizer and
            constraints keep `dtype`; None for the same.
        grad_scaler: `isoparam.GradScaler`, for compute_dtype="float16". Steps that it skips are counted, without a warning.

    Returns:
        The `Run`: values, raw, history and what ended it.

    Raises:
        SpecError: for an argument that cannot be right, a loss that is no scalar or of a narrower dtype than the run (or its
            compute_dtype), or what LBFGS cannot have: method="projected", groups, clip and grad_scaler.
        DomainError: for a start outside its set or on its border, in the dtype of the run.
        BackendError: for a backend, loss or device that is not there.
        NonFiniteError: for losses or gradients that stay nan or inf; `.run` is the last good state.
        CheckpointError: for a checkpoint_dir that cannot be written, or that holds a checkpoint already.
        Interrupted: on Ctrl-C, a KeyboardInterrupt; `.run` is the state of the last chunk, which is saved too.

    Warns:
        NonFiniteWarning: once, at the first step that is skipped; `skipped` of the run counts them.
        CheckpointWarning: where the run could not be saved on its way, as on a full disk; it goes on.
        SaturationWarning: once per parameter whose gradient has underflowed to exactly 0.
        StallWarning: where LBFGS stood still at the end of its steps.

    Example:
        >>> import isoparam as iso
        >>> run = iso.train(iso.problems.get("scalar"), backend="torch")
        >>> round(float(run.values["x"]), 12)
        0.9
    """
    begun = perf_counter()
    check_settings(problem, schedule)
    callbacks = check_callbacks(callbacks)
    record = plain(record if record is None or isinstance(record, str) else tuple(record))
    dtype, device, numerics, method = map(plain, (dtype, device, numerics, method))
    steps, tol_grad = length_for(problem.recipe, steps, tol_grad)
    policy = Policy(groups, decay, frozen, clip, average, accumulate, compute_dtype, grad_scaler)
    plan = plan_for(problem, optimizer, seed, dtype, device, record, record_every, method, schedule, numerics, policy)
    check_length(plan, steps)
    goal = Goal(steps, tol_grad, whole("skip_nonfinite", skip_nonfinite, least=0))
    keeper = keeper_for(checkpoint_dir, checkpoint_every, resumed=False)
    asked = {"optimizer": plan.optimizer, "seed": plan.seed, "dtype": plan.dtype, "device": device}
    asked |= {
        "record": record,
        "record_every": plan.record_every,
        "method": method,
        "schedule": plan.schedule,
        "numerics": numerics,
        "policy": vars(policy),
    }
    for name, value in asked.items():
        encode(name, value)  # what no checkpoint could hold is told before the work is done
    return launch(problem, backend, plan, asked, goal, keeper, callbacks, progress, begun, Leg(), None)


def check_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """The callbacks as a tuple; SpecError for anything but functions."""
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise SpecError(f"callbacks={callbacks!r} must be a tuple of functions; write callbacks=(f,)")
    return tuple(callbacks)


def launch(
    problem: Problem, backend: str, plan: Plan, asked: dict[str, Any], goal: Goal, keeper: Keeper | None,
    callbacks: tuple[Callback, ...], progress: bool, begun: float, leg: Leg, take_up: Callable[[Any], None] | None,
) -> Run:  # fmt: skip
    """Make the loop of a backend and run it: what `train` and `resume` share.

    Args:
        problem: what is trained.
        backend: where.
        plan: the settings.
        asked: the settings as they were asked for.
        goal: what ends the run.
        keeper: what saves it, if anything.
        callbacks: see `train`.
        progress: whether to show a bar.
        begun: the clock at the begin.
        leg: where the run begins.
        take_up: puts the loop into the state in which it goes on; None: it begins.
    """
    implementation = load(backend).train
    where = {"dtype": plan.dtype, "device": plan.device, "method": plan.layout.method}
    check_reads(
        problem, backend, lambda probe: implementation.evaluate(probe, implementation.start(probe, plan.seed, **where), **where)
    )
    loop = implementation.Loop(problem, plan)
    if take_up is not None:
        take_up(loop)
    loop.advance(0)  # compiles
    values = loop.values()
    compiling = perf_counter() - begun
    session = Session(problem, backend, plan, asked, goal, keeper, leg, implementation.versions(), begun, compiling)
    if keeper is not None:  # a directory that cannot be written is told before the work is done
        keeper.save(session.snapshot(loop.state(), values, "running"), session.history())
    return fit(loop, session, callbacks, _bar(progress, problem, goal.steps))


def _bar(progress: bool, problem: Problem, steps: int) -> AbstractContextManager[Any]:
    if not progress:
        return nullcontext()
    from isoparam.progress import bar  # rich is slow to import

    return bar(problem.name, steps, list(problem.specs)[:4])
