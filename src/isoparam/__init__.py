"""isoparam says, torch_impl and jax_impl do, parity proves: constrained parameters for PyTorch and JAX/Flax."""

from isoparam import borders, errors, parity, problems, sinks
from isoparam.optimizers import LBFGS, SGD, Adam, AdamW
from isoparam.problem import Problem, Recipe
from isoparam.run import Evaluation, Run
from isoparam.specs import (
    Affine,
    Box,
    GreaterThan,
    Interval,
    LessThan,
    Ordered,
    Positive,
    PositiveOrdered,
    Real,
    Simplex,
    Spec,
    SumToZero,
    UnitInterval,
    UnitVector,
    catalogue,
)
from isoparam.train import train
from isoparam.version import __version__

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "Affine",
    "Box",
    "Evaluation",
    "GreaterThan",
    "Interval",
    "LessThan",
    "Ordered",
    "Positive",
    "PositiveOrdered",
    "Problem",
    "Real",
    "Recipe",
    "Run",
    "Simplex",
    "Spec",
    "SumToZero",
    "UnitInterval",
    "UnitVector",
    "__version__",
    "borders",
    "catalogue",
    "errors",
    "parity",
    "problems",
    "sinks",
    "train",
]
