"""Losses where the smooth map and projection meet; parameters and data stand in `isoparam.pitfalls.contests`."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_impl.problems.genetics import abo


def pull(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """(x - target)^2."""
    return jnp.mean((values["x"] - batch["target"]) ** 2)


def product(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """(a b - target)^2."""
    return jnp.mean((values["a"] * values["b"] - batch["target"]) ** 2)


def least_squares(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """Mean of (A x - y)^2."""
    return jnp.mean((batch["A"] @ values["x"] - batch["y"]) ** 2)


def deviation(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """Mean of log sd + (z/sd)^2 / 2: -log density of a normal distribution about 0."""
    sd = values["sd"]
    return jnp.mean(jnp.log(sd) + (batch["z"] / sd) ** 2 / 2)


def mixture(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """Mean of -log sum_k weight_k density_k."""
    return -jnp.mean(jnp.log(batch["density"] @ values["weight"]))


def blood_groups(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of a blood group, in the mean."""
    return abo(values, batch) / jnp.sum(batch["count"])


def saturation(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """Mean of (y - b1 (1 - exp(-b2 x)))^2."""
    return jnp.mean((batch["y"] + values["b1"] * jnp.expm1(-values["b2"] * batch["x"])) ** 2)


LOSSES: dict[str, Any] = {
    "pull": pull,
    "product": product,
    "least_squares": least_squares,
    "deviation": deviation,
    "mixture": mixture,
    "blood_groups": blood_groups,
    "saturation": saturation,
}
