"""Blood groups: the frequencies of three alleles of which two hide the third.

Counts of the groups A 182, B 60, AB 17 and O 176, whose probabilities under random mating are p^2 + 2pr, q^2 + 2qr, 2pq
and r^2. The estimates are printed as .2644, .0932 and .6424. Published here is the maximum to which these are rounded, as
Newton's iteration finds it in 50 digits; the loss there is 492.5353155299329.
"""

import numpy as np

from isoparam.problem import BuiltInLoss, Problem
from isoparam.problems.recipes import last_digits
from isoparam.specs import Simplex

ABO = Problem(
    name="abo",
    constraints={"frequency": Simplex()},
    init={"frequency": np.array([0.3, 0.3, 0.4])},
    loss=BuiltInLoss("abo"),
    data={"count": np.array([182.0, 60.0, 17.0, 176.0])},
    recipe=last_digits(1e-12),
    source="McLachlan and Krishnan (1997), The EM Algorithm and Extensions, section 2.4",
    published={"frequency": np.array([0.2644443138466699, 0.0931688118156817, 0.6423868743376484])},
)
