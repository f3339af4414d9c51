"""Returns of the German mark in British pounds: GARCH(1, 1), the benchmark of programs that fit it.

1974 daily returns in percent. The variance is h_t = omega + alpha e_{t-1}^2 + beta h_{t-1}, with the mean squared residual in
the place of both e^2 and h before the sample. `weights` are alpha, beta and 1 - alpha - beta, which is positive where
the variance is stationary.

The benchmark is mu -.00619041, omega .0107613, alpha .153134 and beta .805974. Published here is the maximum itself, as
Newton's iteration finds it in 50 digits: it rounds to these numbers but for the last place of omega, .0107614. The loss
there is 1106.6078810412887.
"""

import numpy as np

from isoparam.problem import BuiltInLoss, Problem
from isoparam.problems.recipes import last_digits
from isoparam.problems.tables import column
from isoparam.specs import Positive, Simplex

GARCH = Problem(
    name="garch",
    constraints={"omega": Positive(), "weights": Simplex()},
    init={"mu": 0.0, "omega": 0.02, "weights": np.array([0.1, 0.8, 0.1])},
    loss=BuiltInLoss("garch"),
    data={"return": column("dem_gbp.csv")},
    recipe=last_digits(3e-12),
    source="Bollerslev and Ghysels (1996), Periodic autoregressive conditional heteroskedasticity, JBES 14(2); benchmark: "
    "Fiorentini, Calzolari and Panattoni (1996), Analytic derivatives and the computation of GARCH estimates, "
    "Journal of Applied Econometrics 11(4)",
    published={
        "mu": -0.006190408379937542,
        "omega": 0.010761397851817824,
        "weights": np.array([0.15313406182046696, 0.8059736703053701, 0.04089226787416285]),
    },
)
