"""numerics="exact": the loss and its gradient in float64, rounded once to float32, and steps that no instruction fuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from isoparam.exact import UNFUSED, refuse


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
        loss, grads, after, whole = objective(raw.astype(jnp.float64), variables, batch, step, scale)
        return loss.astype(raw.dtype), grads.astype(raw.dtype), after, whole

    return narrow


@contextmanager
def nearest_roots() -> Iterator[None]:
    """The steps of the optimizers take the root that is nearest, for the time of a block.

    # twin: torch's own is one unit in the last place off for a fifth of float32; XLA's is the nearest by itself.
    """
    yield


def root(x: Array) -> Array:
    """The root of x."""
    return jnp.sqrt(x)
