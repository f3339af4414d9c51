"""The updates of the optimizers that need nothing but the gradient, one function each."""

from collections.abc import Callable
from typing import Any

from isoparam.optimizers import (
    ASGD,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)
from torch_impl.optimizers.adam import adam_step, sparse_adam_step
from torch_impl.optimizers.matrices import adafactor_step, muon_step
from torch_impl.optimizers.moments import adamax_step, nadam_step, radam_step
from torch_impl.optimizers.sgd import asgd_step, sgd_step
from torch_impl.optimizers.signs import rprop_step
from torch_impl.optimizers.squares import adadelta_step, adagrad_step, rmsprop_step

STEPS: dict[type[Optimizer], Callable[..., Any]] = {
    SGD: sgd_step,
    Adam: adam_step,
    AdamW: adam_step,
    NAdam: nadam_step,
    RAdam: radam_step,
    Adamax: adamax_step,
    Adagrad: adagrad_step,
    Adadelta: adadelta_step,
    RMSprop: rmsprop_step,
    Rprop: rprop_step,
    ASGD: asgd_step,
    Adafactor: adafactor_step,
    Muon: muon_step,
    SparseAdam: sparse_adam_step,
}
"""By the exact type of the spec: (spec, params, grads, buffers, t) -> (params, buffers) of step number t = 1, 2, ..."""
