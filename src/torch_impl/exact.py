"""numerics="exact": the loss and its gradient in float64, rounded once to float32, and steps that no instruction fuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.exact import BESIDE, EXPONENT, GRID, UNFUSED, refuse
from isoparam.plan import probe

ALONE = 2048
"""Entries below which torch gives no part of an operation to another thread: the smallest of its grains."""

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
        wide = raw.double()
        loss, grads, after, whole = objective(wide, variables, batch, step, scale)
        near = objective(
            wide * torch.as_tensor(1 + BESIDE * probe(raw.shape), device=raw.device), variables, batch, step, scale
        )[1]
        with flushed():
            return _narrow(loss, raw), _narrow(on_grid(grads, near), raw), after, whole

    return narrow


def on_grid(grads: Array, near: Array) -> Array:
    """A gradient, in float64, rounded to a grid of the size of what float32 parameters can tell.

    Near a minimum a gradient is what is left of large terms. Its last places in float32 then lie below what float64 keeps of
    the terms, and are noise, another in each backend; the last place of a parameter changes far more. So entry by entry the
    grid is a sixteenth (to the power of two below it) of what the last places of the parameters change.

    Args:
        grads: the gradient.
        near: the gradient at parameters that are `BESIDE` times as much off, in any direction.
    """
    change = ((near - grads).view(torch.int64) & EXPONENT).view(torch.float64)
    grid = change * GRID
    known = (change > 2.0**-900) & (change < torch.inf) & (grads.abs() < grid * 2.0**52)
    return torch.where(known, torch.round(grads / grid.where(known, 1.0)) * grid, grads)


def _narrow(array: Array, raw: Array) -> Array:
    """In the dtype of raw, without -0: which zero it is hangs on the last rounding before it."""
    array = array.to(raw.dtype)
    return array.where(array != 0, 0.0)


@contextmanager
def flushed() -> Iterator[None]:
    """Numbers below the normal ones are 0 for the time of a block, in this thread.

    # twin: torch keeps them, unless the processor is told; XLA always takes them for 0.
    """
    before = bool(torch.full((1,), 2.0**-120).mul(2.0**-10) == 0)
    if not torch.set_flush_denormal(True):
        refuse("torch")
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def equal_steps(size: int) -> Iterator[None]:
    """The steps of the optimizers take the root that is nearest and flush what is below the normal numbers, in a block.

    # twin: torch's own root is one unit in the last place off for a fifth of float32; XLA's is the nearest by itself.

    Args:
        size: entries of the vector that is moved.
    """
    token, threads = _NEAREST.set(True), torch.get_num_threads()
    alone = size < ALONE or threads == 1
    if not alone:
        torch.set_num_threads(1)  # others do not flush; they are back after the block
    try:
        with flushed():
            yield
    finally:
        _NEAREST.reset(token)
        if not alone:
            torch.set_num_threads(threads)


def root(x: Array) -> Array:
    """The root of x."""
    if _NEAREST.get() and x.dtype == torch.float32:
        return x.double().sqrt().float()  # twice the digits: rounding again changes nothing
    return x.sqrt()
