"""Earthquakes of magnitude 7 or more, year by year: a Poisson hidden Markov model with two states.

107 counts, 1900 to 2006; the chain starts from its stationary distribution. The book has rates 15.472 and 26.125, the
transition matrix (.9340, .0660), (.1285, .8715) and minus the log-likelihood 342.3183. Published here is the maximum to
which these are rounded, as Newton's iteration finds it in 50 digits; the loss there is 342.3182667880589.
"""

from math import lgamma

import numpy as np

from isoparam.problem import BuiltInLoss, Problem
from isoparam.problems.recipes import last_digits
from isoparam.problems.tables import column
from isoparam.specs import PositiveOrdered, Simplex

_COUNT = column("earthquakes.csv")

HMM = Problem(
    name="hmm",
    constraints={"rate": PositiveOrdered(), "transition": Simplex()},
    init={"rate": np.array([10.0, 30.0]), "transition": np.array([[0.9, 0.1], [0.1, 0.9]])},
    loss=BuiltInLoss("hmm"),
    data={"count": _COUNT, "log_factorial": np.array([lgamma(count + 1) for count in _COUNT])},
    recipe=last_digits(1e-12),
    source="Zucchini and MacDonald (2009), Hidden Markov models for time series, table 1.1 and chapter 3",
    published={
        "rate": np.array([15.47227699482287, 26.125438510638812]),
        "transition": np.array([[0.9340406381936877, 0.06595936180631233], [0.128509148267837, 0.871490851732163]]),
    },
)
