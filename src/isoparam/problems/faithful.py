"""Waiting times between eruptions of Old Faithful: a mixture of two normals.

272 times in minutes. mixtools prints lambda .3608868, mu 54.61489 and 80.09109, sigma 5.871241 and 5.867718 and the
log-likelihood -1034.002: its EM algorithm stops before the last of these digits. Published here is the maximum itself, as
Newton's iteration finds it in 50 digits; the loss there is 1034.0017498316079.
"""

import numpy as np

from isoparam.problem import BuiltInLoss, Problem
from isoparam.problems.recipes import last_digits
from isoparam.problems.tables import column
from isoparam.specs import Ordered, Positive, Simplex

FAITHFUL = Problem(
    name="faithful",
    constraints={"share": Simplex(), "mean": Ordered(), "sd": Positive()},
    init={"share": np.array([0.5, 0.5]), "mean": np.array([55.0, 80.0]), "sd": np.array([5.0, 5.0])},
    loss=BuiltInLoss("faithful"),
    data={"waiting": column("old_faithful.csv")},
    recipe=last_digits(1e-12),
    source="Azzalini and Bowman (1990), A look at some data on the Old Faithful geyser, Applied Statistics 39(3); "
    "fit: Benaglia et al. (2009), mixtools, Journal of Statistical Software 32(6)",
    published={
        "share": np.array([0.3608860737901715, 0.6391139262098284]),
        "mean": np.array([54.61485614062293, 80.09106940273364]),
        "sd": np.array([5.871219412224481, 5.867734423707706]),
    },
)
