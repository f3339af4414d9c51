"""isoparam says, torch_impl and jax_impl do, parity proves: constrained parameters for PyTorch and JAX/Flax."""

from isoparam import errors
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
from isoparam.version import __version__

__all__ = [
    "GreaterThan",
    "Interval",
    "LessThan",
    "Ordered",
    "Positive",
    "Real",
    "Simplex",
    "Spec",
    "UnitInterval",
    "__version__",
    "catalogue",
    "errors",
]
