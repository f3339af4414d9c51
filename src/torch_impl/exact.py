"""numerics="exact": the loss and its gradient in float64, rounded once to float32, and steps that no instruction fuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.exact import UNFUSED, refuse

_NEAREST: ContextVar[bool] = ContextVar("nearest", default=False)


def check_exact() -> None:
    """Raise BackendError where a product and the sum that follows are rounded together, which the other backend would not do.

    Asked of the operation itself, since processors, builds and settings decide about it.
    """
    a, b, c = (torch.full((64,), number, dtype=torch.float32) for number in UNFUSED)
    if not bool((c.addcmul(a, b) == 0).all() and (c.add(a, alpha=float(b[0])) == 0).all()):
        refuse("torch")


def rounded(objective: Callable[..., Any]) -> Callable[..., Any]:
    """An objective of float32 parameters that computes in float64, and rounds the loss and the gradient once.

    Args:
        objective: of raw parameters, variables, batch, step and scale; gives loss, gradient, variables and values.
    """

    def narrow(raw: Array, variables: Any, batch: Any, step: Any, scale: Any = None) -> Any:
        loss, grads, after, whole = objective(raw.double(), variables, batch, step, scale)
        return loss.to(raw.dtype), grads.to(raw.dtype), after, whole

    return narrow


@contextmanager
def nearest_roots() -> Iterator[None]:
    """The steps of the optimizers take the root that is nearest, for the time of a block.

    # twin: torch's own is one unit in the last place off for a fifth of float32; XLA's is the nearest by itself.
    """
    token = _NEAREST.set(True)
    try:
        yield
    finally:
        _NEAREST.reset(token)


def root(x: Array) -> Array:
    """The root of x."""
    if _NEAREST.get() and x.dtype == torch.float32:
        return x.double().sqrt().float()  # twice the digits: rounding again changes nothing
    return x.sqrt()
