"""Optimizers as data: what is asked for, in the names, defaults and meaning of torch.optim."""

from typing import Any

from isoparam.errors import SpecError
from isoparam.optimizers.adam import Adam, AdamW, SparseAdam
from isoparam.optimizers.base import Optimizer, Slot
from isoparam.optimizers.lbfgs import LBFGS
from isoparam.optimizers.matrices import Adafactor, Muon
from isoparam.optimizers.moments import Adamax, NAdam, RAdam
from isoparam.optimizers.sgd import ASGD, SGD
from isoparam.optimizers.signs import Rprop
from isoparam.optimizers.squares import Adadelta, Adagrad, RMSprop

OPTIMIZERS: tuple[type[Optimizer], ...] = (
    SGD,
    Adam,
    AdamW,
    NAdam,
    RAdam,
    Adamax,
    Adagrad,
    Adadelta,
    RMSprop,
    Rprop,
    ASGD,
    Adafactor,
    Muon,
    SparseAdam,
    LBFGS,
)

__all__ = [
    "ASGD",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Slot",
    "SparseAdam",
    "as_optimizer",
]


def as_optimizer(spec: Any) -> Optimizer:
    """The spec itself, or SpecError for anything else."""
    if type(spec) in OPTIMIZERS:
        return spec
    if isinstance(spec, Optimizer):
        raise SpecError(
            f"optimizer={spec!r}: {type(spec).__name__} is a class of its own, whose step no backend knows; the specs are "
            f"final, so write one of them with other arguments"
        )
    raise SpecError(f"optimizer={spec!r} is no optimizer of isoparam; write one such as isoparam.Adam(lr=0.01)")
