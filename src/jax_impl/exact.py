"""numerics="exact": the loss and its gradient in float64, rounded once to float32, and steps that no instruction fuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from isoparam.exact import BESIDE, EXPONENT, GRID, UNFUSED, refuse
from isoparam.plan import probe


def check_exact() -> None:
    """Raise BackendError where a product and the sum that follows are rounded together, which the other backend would not do.

    Asked of the operation itself, since processors, builds and settings decide about it.
    """
    a, b, c = (jnp.full(64, number, jnp.float32) for number in UNFUSED)
    if not bool((jax.jit(lambda a, b, c: c + a * b)(a, b, c) == 0).all()):
        refuse("jax")


def rounded(objective: Callable[..., Any]) -> Callable[..., Any]:
    """An objective of float32 parameters that computes in float64, and rounds the loss and the gradient once.

    Args:
        objective: of raw parameters, variables, batch, step and scale; gives loss, gradient, variables and values.
    """

    def narrow(raw: Array, variables: Any, batch: Any, step: Any, scale: Any = None) -> Any:
        wide = raw.astype(jnp.float64)
        loss, grads, after, whole = objective(wide, variables, batch, step, scale)
        near = objective(wide * (1 + BESIDE * probe(raw.shape)), variables, batch, step, scale)[1]
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
    bits = lax.bitcast_convert_type(near - grads, jnp.int64) & EXPONENT
    change = lax.bitcast_convert_type(bits, jnp.float64)
    grid = change * GRID
    known = (change > 2.0**-900) & (change < jnp.inf) & (jnp.abs(grads) < grid * 2.0**52)
    return jnp.where(known, jnp.round(grads / jnp.where(known, grid, 1.0)) * grid, grads)


def _narrow(array: Array, raw: Array) -> Array:
    """In the dtype of raw, without -0: which zero it is hangs on the last rounding before it."""
    array = array.astype(raw.dtype)
    return jnp.where(array != 0, array, jnp.zeros_like(array))


@contextmanager
def flushed() -> Iterator[None]:
    """Numbers below the normal ones are 0 for the time of a block, in this thread.

    # twin: torch keeps them, unless the processor is told; XLA always takes them for 0.
    """
    yield


@contextmanager
def equal_steps(size: int) -> Iterator[None]:
    """The steps of the optimizers take the root that is nearest and flush what is below the normal numbers, in a block.

    # twin: torch's own root is one unit in the last place off for a fifth of float32; XLA's is the nearest by itself.

    Args:
        size: entries of the vector that is moved.
    """
    yield


def root(x: Array) -> Array:
    """The root of x."""
    return jnp.sqrt(x)
