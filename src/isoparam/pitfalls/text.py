"""The tables of `isoparam pitfalls`, as aligned plain text of 80 columns."""

from collections.abc import Iterator, Sequence
from textwrap import fill

from isoparam.pitfalls.cases import ADAM, Row, cases
from isoparam.pitfalls.contests import CONTESTS, GRID, METHODS, STEPS, Lap, winner


def case_table(backend: str, title: str, rows: Sequence[Row], steps: int) -> Iterator[str]:
    """The lines of the table of one backend, with what each case is and what was raised below it."""
    yield f"pitfalls on {title}: Adam(lr={ADAM.lr}), float64, {steps} steps"
    yield "x should lie in (0, 1), starts at 0.5 and is pulled to a target by its squared"
    yield "error. 1e-3, 1e-6: the step from which on x stays that close to the target; to"
    yield "1.0, the best value of the set, for the target 1.5 outside of it."
    yield ""
    yield f"{'case':<14}{'target':>6}  {'moved':<5}  {'value':>8}  {'monitor':>8}  {'1e-3':>6}  {'1e-6':>6}  raised"
    previous = ""
    for row in rows:
        yield _line(row, shown=row.case != previous)
        previous = row.case
    yield ""
    for case in cases(backend):
        yield f"{case.name:<14}{case.title:<41}{case.monitor}".rstrip()
    for name, raised in dict.fromkeys((row.case, row.raised) for row in rows if row.raised):
        updates = next(row.updates for row in rows if row.case == name)
        yield ""
        yield f"{name}, at step {updates + 1}:"
        yield fill(raised or "", 80, initial_indent="  ", subsequent_indent="  ")


def _line(row: Row, *, shown: bool) -> str:
    close, closer = (("never" if step is None else str(step)) for step in row.steps.values())
    raised = row.raised.partition(":")[0] if row.raised else "-"
    return (
        f"{row.case if shown else '':<14}{row.target:>6}  {'yes' if row.moved else 'no':<5}  {row.value:>8.6f}  "
        f"{row.shown:>8.6f}  {close:>6}  {closer:>6}  {raised}"
    )


def contest_table(title: str, laps: Sequence[Lap]) -> Iterator[str]:
    """The lines of the table of all contests, with what each of them is below it."""
    grid = ", ".join(f"{lr:g}" for lr in GRID)
    yield f"smooth map against projection after each step, {title}, float64"
    yield f"lr: the one of {grid} that arrives first; {STEPS} steps."
    yield "1e-3, 1e-6: the step from which on the loss stays within this share of its"
    yield "distance, at the start, from the smallest loss of the set."
    yield ""
    yield f"{'':<21}{'---- smooth map ----':<22}  ---- projection ----"
    columns = f"{'lr':>6}  {'1e-3':>6}  {'1e-6':>6}"
    yield f"{'case':<15}{'':<6}{columns}  {columns}  first"
    for contest in CONTESTS:
        own = [lap for lap in laps if lap.contest == contest.name]
        for optimizer in dict.fromkeys(lap.optimizer for lap in own):
            pair = [lap for method in METHODS for lap in own if (lap.optimizer, lap.method) == (optimizer, method)]
            first = {"transform": "smooth", "projected": "project", None: "-"}[winner(pair)]
            name = contest.name if optimizer == own[0].optimizer else ""
            yield f"{name:<15}{optimizer:<6}{'  '.join(map(_side, pair))}  {first}"
    yield ""
    for contest in CONTESTS:
        yield f"{contest.name:<15}{contest.title}; solution {'inside' if contest.solution == 'inside' else 'on the border'}"


def _side(lap: Lap) -> str:
    close, closer = ("never" if step is None else str(step) for step in lap.steps.values())
    lr = f"{lap.lr:g}" if any(step is not None for step in lap.steps.values()) else "any"
    return f"{lr:>6}  {close:>6}  {closer:>6}"
