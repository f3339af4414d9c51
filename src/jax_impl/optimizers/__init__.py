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
from jax_impl.optimizers.adam import adam, sparse_adam
from jax_impl.optimizers.matrices import adafactor, muon
from jax_impl.optimizers.moments import adamax, nadam, radam
from jax_impl.optimizers.sgd import asgd, sgd
from jax_impl.optimizers.signs import rprop
from jax_impl.optimizers.squares import adadelta, adagrad, rmsprop

STEPS: dict[type[Optimizer], Callable[..., Any]] = {
    SGD: sgd,
    Adam: adam,
    AdamW: adam,
    NAdam: nadam,
    RAdam: radam,
    Adamax: adamax,
    Adagrad: adagrad,
    Adadelta: adadelta,
    RMSprop: rmsprop,
    Rprop: rprop,
    ASGD: asgd,
    Adafactor: adafactor,
    Muon: muon,
    SparseAdam: sparse_adam,
}
"""By the exact type of the spec: (spec, params, grads, buffers, t) -> (params, buffers) of step number t = 1, 2, ..."""
