"""Every tolerance of the proof battery, as data with its cause. A number is raised only with a measured value and a reason.

ACCURACY  each backend against 50 digits, in the unit of `oracle.judge.unit_of`.
PARITY    torch against JAX, in the same units, on a dense grid; measured, so that a number that is too generous fails too.

Each file holds the rows of the sample file of its name.
"""

from typing import Literal

from budgets import (
    balls,
    correlation,
    covariance,
    norms,
    planes,
    rotations,
    scalars,
    series,
    simplexes,
    stochastic,
    structure,
    triangles,
    vectors,
)
from budgets.budget import ACCURACY, HESSIAN, JACOBIAN, Budget

FAMILIES = (
    scalars,
    vectors,
    simplexes,
    stochastic,
    balls,
    planes,
    series,
    triangles,
    covariance,
    correlation,
    rotations,
    norms,
    structure,
)
ACCURACY_EXCEPTIONS = {row: budget for family in FAMILIES for row, budget in family.ACCURACY.items()}
PARITY = {row: budget for family in FAMILIES for row, budget in family.PARITY.items()}
DERIVATIVES = {**rotations.DERIVATIVES}


def derivative(sample: str, which: Literal["gradient", "hessian"]) -> Budget:
    """What a derivative of the weighted sum of a value may miss the true one by, in every mode of both frameworks."""
    return DERIVATIVES.get((sample, which), JACOBIAN if which == "gradient" else HESSIAN)


def accuracy(backend: str, sample: str, verb: str) -> Budget:
    """What a backend may miss the true value by."""
    return ACCURACY_EXCEPTIONS.get((backend, sample, verb), ACCURACY[verb])


__all__ = [
    "ACCURACY_EXCEPTIONS",
    "DERIVATIVES",
    "HESSIAN",
    "JACOBIAN",
    "PARITY",
    "Budget",
    "accuracy",
    "derivative",
]
