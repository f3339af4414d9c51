"""Nonlinear regressions of the NIST Statistical Reference Datasets: the 20 of 27 whose certified parameters are all positive.

Each starts at NIST's Start 2 and minimises SCALE * (sum of squared residuals) / (sum of y^2). Parameters go through exp, so
that one that is 0.0002 and one that is 600 move alike; only those of eckerle4, a position among them, go through softplus.

The recipes use L-BFGS without a line search: a search compares losses, which differ no more once a parameter is right to
half of its digits, while steps of a fixed length follow the gradient to the last ones.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from isoparam.optimizers import LBFGS
from isoparam.problem import BuiltInLoss, Problem, Recipe
from isoparam.specs import Positive

NAMES = (
    "boxbod",
    "chwirut1",
    "chwirut2",
    "danwood",
    "eckerle4",
    "gauss1",
    "gauss2",
    "gauss3",
    "lanczos1",
    "lanczos2",
    "lanczos3",
    "mgh09",
    "mgh10",
    "misra1a",
    "misra1b",
    "misra1c",
    "misra1d",
    "rat42",
    "rat43",
    "thurber",
)
LINKS = {"eckerle4": "softplus"}
# {name: (lr, tol_grad)} where they are not (1.0, 1e-4). Shorter steps keep a hard start from running away; gradients end at
# rounding, about 1e-5 to 1e-8 of losses in units of 1e9, and each tolerance lies above that of its problem.
PACES = {
    "lanczos1": (0.15, 1e-6),
    "lanczos2": (0.15, 1e-6),
    "lanczos3": (0.15, 1e-6),
    "mgh10": (0.3, 2e-3),
    "thurber": (0.3, 1e-3),
}


@dataclass(frozen=True)
class Certified:
    """What NIST certifies of one regression, to 11 digits.

    Attributes:
        values: {parameter: certified value}.
        deviations: {parameter: its standard deviation}.
        rss: residual sum of squares.
        starts: Start 1 and Start 2, each {parameter: value}.
    """

    values: MappingProxyType[str, float]
    deviations: MappingProxyType[str, float]
    rss: float
    starts: tuple[MappingProxyType[str, float], MappingProxyType[str, float]]


@cache
def certified(name: str) -> Certified:
    """What NIST certifies of a regression, such as "misra1a"."""
    entry = _tables()[name]
    first, second, values, deviations = (
        MappingProxyType({f"b{i + 1}": number for i, number in enumerate(column)}) for column in zip(*entry["b"], strict=True)
    )
    return Certified(values, deviations, entry["rss"], (first, second))


@cache
def regression(name: str) -> Problem:
    """The problem of a regression, such as "misra1a"."""
    entry, known = _tables()[name], certified(name)
    lr, tol_grad = PACES.get(name, (1.0, 1e-4))
    return Problem(
        name=f"nist-{name}",
        constraints={"b*": Positive(link=LINKS.get(name, "exp"))},
        init=dict(known.starts[1]),
        loss=BuiltInLoss(f"nist-{name}"),
        data={key: np.array(entry[key]) for key in ("x", "y")},
        recipe=Recipe(
            # The largest of 8 entries at most is below a third of the norm at which the run ends: it stands still then.
            optimizer=LBFGS(lr=lr, tolerance_grad=tol_grad / 3, tolerance_change=0.0),
            steps=500,
            tol_grad=tol_grad,
        ),
        source=f"{entry['source']}; certified by NIST, Statistical Reference Datasets, www.itl.nist.gov/div898/strd",
        published=known.values,
    )


@cache
def _tables() -> dict[str, dict]:
    with (Path(__file__).parent / "data" / "nist_strd.toml").open("rb") as file:
        return tomllib.load(file)
