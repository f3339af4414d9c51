"""Where the smooth map wins over projection after the step, and where it loses: both trained by `isoparam.train`.

Each case is run with Adam and with plain gradient descent (SGD), each with the learning rate of GRID that arrives first, which
`search` finds and the table of lrs below holds. A run has arrived when the loss stays within a share of its first distance
from the smallest loss that the set allows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf
from tomllib import loads
from typing import Any, Literal, get_args

import numpy as np

from isoparam.backends import load
from isoparam.errors import NonFiniteError
from isoparam.optimizers import SGD, Adam
from isoparam.pitfalls.cases import TOLERANCES, arrival
from isoparam.problem import Problem
from isoparam.problems.tables import column
from isoparam.specs import Positive, Simplex, Spec, UnitInterval
from isoparam.train import train

Method = Literal["transform", "projected"]
METHODS: tuple[Method, ...] = get_args(Method)
OPTIMIZERS: dict[str, Any] = {"Adam": Adam, "SGD": SGD}
GRID = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STEPS = 2000

# Twelve equations whose least squares solution over x >= 0 has two entries on the border.
EQUATIONS = """
-0.2 -0.1 -0.3 -1.3 -1.4  0.0 -0.7
-0.5  0.6  0.6  1.0  0.3  0.7  1.3
 1.7  1.5 -0.2 -0.9 -1.9  0.6  1.8
-1.9  0.9 -0.1  1.5  0.4 -1.0 -1.7
 1.0  0.3  0.7 -0.5  0.0  0.2  2.5
-0.9  0.2  0.0 -0.8  0.0  0.6 -0.9
 0.6 -1.9  0.3 -0.2  0.8 -1.4  0.5
 0.4 -0.7 -1.3  0.8  0.6 -0.7 -2.9
-0.7  0.4 -0.5 -0.6 -0.6 -2.4 -1.3
 0.3  1.6 -1.5 -1.0  0.2 -0.3 -1.9
 1.1 -1.2  1.3 -1.1 -1.3  1.4  2.9
-1.1  0.9 -0.6 -0.4  1.3 -0.8 -1.5
"""


@dataclass(frozen=True, eq=False)
class Contest:
    """One case.

    Attributes:
        name: of the case.
        title: what is fitted.
        solution: where the solution lies.
        loss: name of the loss in `contests.py` of the backends.
        constraints: as those of a Problem.
        init: as that of a Problem.
        data: makes the data.
        best: the smallest loss over the closed set.
        lrs: {(optimizer, method): the lr of GRID that arrives first}.
    """

    name: str
    title: str
    solution: Literal["inside", "border"]
    loss: str
    constraints: Mapping[str, Spec]
    init: Mapping[str, Any]
    data: Callable[[], dict[str, np.ndarray]]
    best: float
    lrs: Mapping[tuple[str, Method], float]


@dataclass(frozen=True)
class Lap:
    """One optimizer and method in one case.

    Attributes:
        contest: name of the case.
        optimizer: "Adam" or "SGD".
        method: "transform" or "projected".
        lr: learning rate.
        steps: {"1e-03": n, "1e-06": n}: the first step from which on the loss stays within this share of its distance at
            the start; None where it never does.
        finite: False where the run ended in a NonFiniteError.
    """

    contest: str
    optimizer: str
    method: Method
    lr: float
    steps: dict[str, int | None]
    finite: bool


def lap(backend: str, contest: Contest, optimizer: str, method: Method, lr: float | None = None) -> Lap:
    """Train one case.

    Args:
        backend: "torch" or "jax".
        contest: one of CONTESTS.
        optimizer: "Adam" or "SGD".
        method: of `train`.
        lr: learning rate; None takes that of the table.

    Example:
        >>> from isoparam.pitfalls.contests import CONTESTS, lap
        >>> lap("torch", CONTESTS[1], "Adam", "projected").steps
        {'1e-03': 1, '1e-06': 1}
    """
    lr = contest.lrs[optimizer, method] if lr is None else lr
    try:
        finite, run = True, train(_problem(backend, contest), backend, OPTIMIZERS[optimizer](lr=lr), steps=STEPS, method=method)
    except NonFiniteError as error:
        finite, run = False, error.run
    gap = np.append(run.history["loss"], [] if finite else [inf]) - contest.best
    share = gap / gap[0]
    steps = {f"{tolerance:.0e}": arrival(share, tolerance) for tolerance in TOLERANCES}
    return Lap(contest.name, optimizer, method, lr, steps, finite)


def laps(backend: str, contest: Contest) -> list[Lap]:
    """Both optimizers with both methods, each with its lr of the table."""
    return [lap(backend, contest, optimizer, method) for optimizer in OPTIMIZERS for method in METHODS]


def search(backend: str, contest: Contest, optimizer: str, method: Method) -> list[Lap]:
    """Every lr of GRID, the one that arrives first in front."""
    return sorted((lap(backend, contest, optimizer, method, lr) for lr in GRID), key=rank)


def rank(lap: Lap) -> tuple[float, ...]:
    """Smaller is better: steps to the narrow tolerance, then to the wide one, then the larger lr."""
    wide, narrow = (inf if step is None else step for step in lap.steps.values())
    return (narrow, wide, not lap.finite, -lap.lr)


def winner(laps: list[Lap]) -> Method | None:
    """The method that arrives first; None for a tie. Of several laps of a method the best one counts."""
    first = {method: min(rank(lap)[:2] for lap in laps if lap.method == method) for method in METHODS}
    if first["transform"] == first["projected"]:
        return None
    return min(METHODS, key=first.__getitem__)


@cache
def _problem(backend: str, contest: Contest) -> Problem:
    loss = load(backend).contests.LOSSES[contest.loss]
    return Problem(
        name=contest.name, constraints=contest.constraints, init=contest.init, loss={backend: loss}, data=contest.data()
    )


def _target(number: float) -> Callable[[], dict[str, np.ndarray]]:
    return lambda: {"target": np.array([number])}


def _equations() -> dict[str, np.ndarray]:
    table = np.array([line.split() for line in EQUATIONS.split("\n") if line], dtype=np.float64)
    return {"A": table[:, :-1], "y": table[:, -1]}


def _waiting() -> np.ndarray:
    """Waiting times of Old Faithful, in hundreds of minutes."""
    return column("old_faithful.csv") / 100


def _centred() -> dict[str, np.ndarray]:
    waiting = _waiting()
    return {"z": waiting - waiting.mean()}


def _mixture(means: np.ndarray, sd: float) -> Callable[[], dict[str, np.ndarray]]:
    def data() -> dict[str, np.ndarray]:
        z = (_waiting()[:, None] - means) / sd
        return {"density": np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi))}

    return data


def _blood_groups() -> dict[str, np.ndarray]:
    return {"count": np.array([182.0, 60.0, 17.0, 176.0])}


def _misra1a() -> dict[str, np.ndarray]:
    text = files("isoparam.problems").joinpath("data", "nist_strd.toml").read_text(encoding="utf-8")
    data = loads(text)["misra1a"]
    return {"x": np.array(data["x"]), "y": np.array(data["y"])}


def _lrs(adam: tuple[float, float], sgd: tuple[float, float]) -> dict[tuple[str, Method], float]:
    """(transform, projected) for each optimizer."""
    return {
        (name, method): lr for name, pair in (("Adam", adam), ("SGD", sgd)) for method, lr in zip(METHODS, pair, strict=True)
    }


CONTESTS = (
    Contest(
        "scalar", "(x - 0.9)^2 in (0, 1)", "inside", "pull", {"x": UnitInterval()}, {"x": 0.5},
        _target(0.9), 0.0, _lrs((0.1, 0.1), (1.0, 0.3)),
    ),
    Contest(
        "outside", "(x - 1.5)^2 in (0, 1)", "border", "pull", {"x": UnitInterval()}, {"x": 0.5},
        _target(1.5), 0.25, _lrs((1.0, 1.0), (1.0, 1.0)),
    ),
    Contest(
        "nnls", "least squares over x >= 0", "border", "least_squares", {"x": Positive()}, {"x": np.ones(6)},
        _equations, 0.03483705353893166, _lrs((0.3, 0.3), (1.0, 0.3)),
    ),
    Contest(
        "weights", "10 weights of a mixture, 7 of them 0", "border", "mixture", {"weight": Simplex()},
        {"weight": np.full(10, 0.1)}, _mixture(np.linspace(0.45, 0.9, 10), 0.06), -0.802547556217168,
        _lrs((0.03, 1.0), (1.0, 0.1)),
    ),
    Contest(
        "two weights", "2 weights of a mixture", "inside", "mixture", {"weight": Simplex()}, {"weight": np.full(2, 0.5)},
        _mixture(np.array([0.546, 0.801]), 0.0587), -0.8036912753283986, _lrs((0.1, 1.0), (1.0, 0.3)),
    ),
    Contest(
        "alleles", "3 frequencies from blood groups", "inside", "blood_groups", {"frequency": Simplex()},
        {"frequency": np.array([0.3, 0.3, 0.4])}, _blood_groups, 492.53531552993294 / 435, _lrs((0.03, 1.0), (1.0, 0.1)),
    ),
    Contest(
        "product", "(a b - 1)^2 over a, b > 0", "inside", "product", {"*": Positive()}, {"a": 3.0, "b": 3.0},
        _target(1.0), 0.0, _lrs((0.1, 0.1), (0.03, 0.03)),
    ),
    Contest(
        "sd from above", "log density of a normal, sd from 0.5", "inside", "deviation", {"sd": Positive()}, {"sd": 0.5},
        _centred, float(np.log(0.13569960017586372) + 0.5), _lrs((0.3, 0.03), (0.3, 0.01)),
    ),
    Contest(
        "sd from below", "the same, sd from 0.01", "inside", "deviation", {"sd": Positive()}, {"sd": 0.01},
        _centred, float(np.log(0.13569960017586372) + 0.5), _lrs((0.3, 0.03), (0.03, 1.0)),
    ),
    Contest(
        "two scales", "NIST misra1a: b1 = 239, b2 = 0.00055", "inside", "saturation", {"*": Positive(link="exp")},
        {"b1": 500.0, "b2": 1e-4}, _misra1a, 0.12455138894 / 14, _lrs((1.0, 1.0), (1.0, 1.0)),
    ),
)  # fmt: skip
