"""One number in (0, 1), pulled to 0.9: the smallest problem in which a constrained parameter can go stale."""

from isoparam.optimizers import Adam
from isoparam.problem import BuiltInLoss, Problem, Recipe
from isoparam.specs import UnitInterval

SCALAR = Problem(
    name="scalar",
    constraints={"x": UnitInterval()},
    init={"x": 0.5},
    loss=BuiltInLoss("scalar"),
    recipe=Recipe(optimizer=Adam(lr=0.05), steps=5000, tol_grad=1e-14),
    source="by construction: the minimum of (x - 0.9)^2 over 0 < x < 1",
    published={"x": 0.9},
)
