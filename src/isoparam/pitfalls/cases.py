"""The pitfall, its wrong fixes and its cures, run: what raised, whether the value moved, how soon it arrived.

Every case trains x, which should lie in (0, 1), by Adam from raw = 0 (x = 0.5) towards three targets at once, each its own
entry of x with its own squared error: 0.9 inside the set, 1.0 on its border, 1.5 outside, where the best feasible value is 1.0.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from isoparam.arguments import whole
from isoparam.backends import BACKENDS, load
from isoparam.errors import SpecError
from isoparam.optimizers import Adam

TARGETS = (0.9, 1.0, 1.5)
BEST = tuple(min(target, 1.0) for target in TARGETS)  # the nearest point of the closed set
TOLERANCES = (1e-3, 1e-6)
ADAM = Adam(lr=0.05)
STEPS = 10_000


@dataclass(frozen=True)
class Case:
    """One way to keep x in its set, or to believe so.

    Attributes:
        name: how the functions of the backends are called.
        title: what is done.
        monitor: what is read to watch x.
        backends: where it exists; in both means that both give the same numbers, but for `differs`.
        differs: what is expected to differ between the backends; empty for equal rows.
    """

    name: str
    title: str
    monitor: str = "model.x"
    backends: tuple[str, ...] = BACKENDS
    differs: str = ""


CASES = (
    Case("static", "x = sigmoid(x_raw), once, in __init__", differs="torch raises, JAX trains nothing in silence"),
    Case("silent", "x = x_raw + 0.5, once, in __init__", backends=("torch",)),
    Case("retain_graph", "static, with backward(retain_graph=True)", backends=("torch",)),
    Case("captured", "params captured by jit at trace time", monitor="x of the compiled loss", backends=("jax",)),
    Case("leaf", "x = sigmoid(x_raw) stored as a leaf", monitor="params['x']", backends=("jax",)),
    Case("constrained", "x = Constrained(UnitInterval())"),
    Case("constrain", "constrain(raw, ...) inside the loss", monitor="constrain(raw, ...)['x']"),
    Case("clamp", "x = clamp(x_raw, 0, 1) in every forward"),
    Case("projection", "x = project(spec, x) after each step", monitor="x"),
    Case("wrong_monitor", "a stale x, its raw watched", monitor="sigmoid(x_raw)"),
    Case("right_monitor", "Constrained, its value watched", monitor="values(model)['x']"),
)


class Observation(NamedTuple):
    """What a backend saw in one case.

    Attributes:
        values: (rows, targets): the value that the loss used before each update, and the one after the last.
        shown: (targets,): what the monitor reads at the end.
        raised: the class and message of the exception that ended the run, or None.
    """

    values: np.ndarray
    shown: np.ndarray
    raised: str | None


@dataclass(frozen=True)
class Row:
    """One case at one target.

    Attributes:
        case: name of the case.
        target: what the squared error pulls x to.
        raised: class and message of what ended the run, or None.
        updates: updates that were done.
        moved: whether the value that the loss used ever changed.
        value: that value at the end.
        shown: what the monitor reads at the end.
        steps: {"1e-03": n, "1e-06": n}: the first step from which on the value stays this close to the target, or to 1.0
            for the target outside the set; None where it never does.
    """

    case: str
    target: float
    raised: str | None
    updates: int
    moved: bool
    value: float
    shown: float
    steps: dict[str, int | None]


def cases(backend: str) -> tuple[Case, ...]:
    """The cases of a backend, in the order of the table."""
    return tuple(case for case in CASES if backend in case.backends)


def twins() -> tuple[Case, ...]:
    """The cases that give the same rows in both backends."""
    return tuple(case for case in CASES if case.backends == BACKENDS and not case.differs)


def run(backend: str, case: str, steps: int = STEPS) -> tuple[Row, ...]:
    """Run a case: one row per target.

    Args:
        backend: "torch" or "jax".
        case: a name of `cases(backend)`.
        steps: updates, at least 1.

    Raises:
        SpecError: for a case that the backend does not have, or steps below 1.
        BackendError: for a backend that is not there.

    Example:
        >>> from isoparam import pitfalls
        >>> row = pitfalls.run("torch", "retain_graph", steps=100)[0]
        >>> row.raised, row.moved, row.value
        (None, False, 0.5)
    """
    whole("steps", steps)
    known = [each.name for each in cases(backend)]
    if backend in BACKENDS and case not in known:
        raise SpecError(f"{backend} has no case {case!r}; there are: {', '.join(map(repr, known))}")
    seen = load(backend).pitfalls.observe(case, TARGETS, ADAM, steps)
    return tuple(_row(case, target, i, seen) for i, target in enumerate(TARGETS))


def run_all(backend: str, steps: int = STEPS) -> list[Row]:
    """The rows of all cases of a backend."""
    load(backend)  # refuses an unknown name
    return [row for case in cases(backend) for row in run(backend, case.name, steps)]


def arrival(distance: np.ndarray, tolerance: float) -> int | None:
    """The first index from which on no distance is above the tolerance; None where the last one is."""
    above = np.flatnonzero(~(distance <= tolerance))
    first = int(above[-1]) + 1 if len(above) else 0
    return first if first < len(distance) else None


def as_data(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows as plain data, for JSON."""
    return [asdict(row) for row in rows]


def _row(case: str, target: float, i: int, seen: Observation) -> Row:
    values = seen.values[:, i]
    distance = np.abs(values - BEST[i])
    return Row(
        case=case,
        target=target,
        raised=seen.raised,
        updates=len(values) - 1,
        moved=bool((values != values[0]).any()),
        value=float(values[-1]),
        shown=float(seen.shown[i]),
        steps={f"{tolerance:.0e}": arrival(distance, tolerance) for tolerance in TOLERANCES},
    )
