"""Earthquakes of magnitude 7 or more, year by year: a Poisson hidden Markov model with two states.

107 counts, 1900 to 2006. The chain starts from its stationary distribution; minus the log-likelihood is 342.3183 at its
smallest.
"""

from math import lgamma

import numpy as np

from isoparam.optimizers import Adam
from isoparam.problem import BuiltInLoss, Problem, Recipe
from isoparam.problems.tables import column
from isoparam.specs import Positive, Simplex

_COUNT = column("earthquakes.csv")

HMM = Problem(
    name="hmm",
    constraints={"rate": Positive(), "transition": Simplex()},
    init={"rate": np.array([10.0, 30.0]), "transition": np.array([[0.9, 0.1], [0.1, 0.9]])},
    loss=BuiltInLoss("hmm"),
    data={"count": _COUNT, "log_factorial": np.array([lgamma(count + 1) for count in _COUNT])},
    recipe=Recipe(optimizer=Adam(lr=0.05), steps=5000, tol_grad=1e-9),
    source="Zucchini and MacDonald (2009), Hidden Markov models for time series, table 1.1 and chapter 3",
    published={"rate": np.array([15.472, 26.125]), "transition": np.array([[0.9340, 0.0660], [0.1285, 0.8715]])},
)
