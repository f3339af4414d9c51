"""Genetic linkage: the multinomial with which the EM algorithm is introduced.

Counts 125, 18, 20, 34 of four phenotypes with probabilities 1/2 + t/4, (1-t)/4, (1-t)/4, t/4. The likelihood is largest
where 197 t^2 - 15 t - 68 = 0, at t = (15 + sqrt 53809)/394.
"""

from math import sqrt

import numpy as np

from isoparam.optimizers import Adam
from isoparam.problem import BuiltInLoss, Problem, Recipe
from isoparam.specs import UnitInterval

LINKAGE = Problem(
    name="linkage",
    constraints={"t": UnitInterval()},
    init={"t": 0.5},
    loss=BuiltInLoss("linkage"),
    data={"count": np.array([125.0, 18.0, 20.0, 34.0])},
    recipe=Recipe(optimizer=Adam(lr=0.05), steps=5000, tol_grad=1e-12),
    source="Rao (1965), Linear Statistical Inference and its Applications; Dempster, Laird and Rubin (1977), "
    "Maximum likelihood from incomplete data via the EM algorithm, JRSS B 39(1)",
    published={"t": (15 + sqrt(53809)) / 394},
)
