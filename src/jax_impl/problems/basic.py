"""Losses of the problems with nothing but a formula: scalar and linkage."""

from typing import Any

import jax.numpy as jnp
from jax import Array


def scalar(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """(x - 0.9)^2."""
    return (values["x"] - 0.9) ** 2


def linkage(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of the four counts, without the multinomial coefficient."""
    t = values["t"]
    probability = jnp.stack([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
    return -jnp.sum(batch["count"] * jnp.log(probability))


LOSSES: dict[str, Any] = {"scalar": scalar, "linkage": linkage}
