"""Returns of the German mark in British pounds: GARCH(1, 1), the benchmark of programs that fit it.

1974 daily returns in percent. The variance is h_t = omega + alpha e_{t-1}^2 + beta h_{t-1}, with the mean squared residual in
the place of both e^2 and h before the sample. `weights` are alpha, beta and 1 - alpha - beta, which is positive where
the variance is stationary.
"""

import numpy as np

from isoparam.optimizers import Adam
from isoparam.problem import BuiltInLoss, Problem, Recipe
from isoparam.problems.tables import column
from isoparam.specs import Positive, Simplex

GARCH = Problem(
    name="garch",
    constraints={"omega": Positive(), "weights": Simplex()},
    init={"mu": 0.0, "omega": 0.02, "weights": np.array([0.1, 0.8, 0.1])},
    loss=BuiltInLoss("garch"),
    data={"return": column("dem_gbp.csv")},
    recipe=Recipe(optimizer=Adam(lr=0.05), steps=5000, tol_grad=1e-9),
    source="Bollerslev and Ghysels (1996), Periodic autoregressive conditional heteroskedasticity, JBES 14(2); benchmark: "
    "Fiorentini, Calzolari and Panattoni (1996), Analytic derivatives and the computation of GARCH estimates, "
    "Journal of Applied Econometrics 11(4)",
    published={"mu": -0.00619041, "omega": 0.0107613, "weights": np.array([0.153134, 0.805974, 0.040892])},
)
