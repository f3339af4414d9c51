"""isoparam says, torch_impl and jax_impl do, parity proves: constrained parameters for PyTorch and JAX/Flax."""

from isoparam import borders, errors, parity, problems, sinks
from isoparam.optimizers import SGD, Adam, AdamW
from isoparam.problem import Problem, Recipe
from isoparam.run import Evaluation, Run
from isoparam.specs import (
    GreaterThan,
    Interval,
    LessThan,
    Ordered,
    Positive,
    Real,
    Simplex,
    Spec,
    UnitInterval,
    catalogue,
)
from isoparam.train import train
from isoparam.version import __version__

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Evaluation",
    "GreaterThan",
    "Interval",
    "LessThan",
    "Ordered",
    "Positive",
    "Problem",
    "Real",
    "Recipe",
    "Run",
    "Simplex",
    "Spec",
    "UnitInterval",
    "__version__",
    "borders",
    "catalogue",
    "errors",
    "parity",
    "problems",
    "sinks",
    "train",
]
