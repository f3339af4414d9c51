"""Losses of the nonlinear regressions of NIST: sums of squared residuals."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array

SCALE = 1e9  # L-BFGS keeps a pair of step and gradient change only where y . s > 1e-10


def squares(model: Callable[..., Array], values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """SCALE times the sum of squared residuals y - model(x, b1, b2, ...), in units of the sum of y^2."""
    y = batch["y"]
    residual = y - model(batch["x"], *(values[f"b{i + 1}"] for i in range(len(values))))
    return SCALE * (jnp.sum(residual * residual) / jnp.sum(y * y))


def boxbod(x: Array, b1: Array, b2: Array) -> Array:
    """b1 (1 - exp(-b2 x)); misra1a too."""
    return -b1 * jnp.expm1(-b2 * x)


def chwirut(x: Array, b1: Array, b2: Array, b3: Array) -> Array:
    """exp(-b1 x) / (b2 + b3 x)."""
    return jnp.exp(-b1 * x) / (b2 + b3 * x)


def danwood(x: Array, b1: Array, b2: Array) -> Array:
    """b1 x^b2."""
    return b1 * x**b2


def eckerle4(x: Array, b1: Array, b2: Array, b3: Array) -> Array:
    """(b1/b2) exp(-((x - b3)/b2)^2 / 2)."""
    return b1 / b2 * jnp.exp(-0.5 * ((x - b3) / b2) ** 2)


def gauss(x: Array, b1: Array, b2: Array, b3: Array, b4: Array, b5: Array, b6: Array, b7: Array, b8: Array) -> Array:
    """b1 exp(-b2 x) + b3 exp(-((x - b4)/b5)^2) + b6 exp(-((x - b7)/b8)^2)."""
    return b1 * jnp.exp(-b2 * x) + b3 * jnp.exp(-(((x - b4) / b5) ** 2)) + b6 * jnp.exp(-(((x - b7) / b8) ** 2))


def lanczos(x: Array, b1: Array, b2: Array, b3: Array, b4: Array, b5: Array, b6: Array) -> Array:
    """b1 exp(-b2 x) + b3 exp(-b4 x) + b5 exp(-b6 x)."""
    return b1 * jnp.exp(-b2 * x) + b3 * jnp.exp(-b4 * x) + b5 * jnp.exp(-b6 * x)


def mgh09(x: Array, b1: Array, b2: Array, b3: Array, b4: Array) -> Array:
    """b1 (x^2 + b2 x) / (x^2 + b3 x + b4)."""
    return b1 * (x * x + b2 * x) / (x * x + b3 * x + b4)


def mgh10(x: Array, b1: Array, b2: Array, b3: Array) -> Array:
    """b1 exp(b2 / (x + b3))."""
    return b1 * jnp.exp(b2 / (x + b3))


def misra1b(x: Array, b1: Array, b2: Array) -> Array:
    """b1 (1 - (1 + b2 x/2)^-2)."""
    return b1 * (1 - (1 + 0.5 * b2 * x) ** -2)


def misra1c(x: Array, b1: Array, b2: Array) -> Array:
    """b1 (1 - (1 + 2 b2 x)^-0.5)."""
    return b1 * (1 - 1 / jnp.sqrt(1 + 2 * b2 * x))


def misra1d(x: Array, b1: Array, b2: Array) -> Array:
    """b1 b2 x / (1 + b2 x)."""
    return b1 * b2 * x / (1 + b2 * x)


def rat42(x: Array, b1: Array, b2: Array, b3: Array) -> Array:
    """b1 / (1 + exp(b2 - b3 x))."""
    return b1 / (1 + jnp.exp(b2 - b3 * x))


def rat43(x: Array, b1: Array, b2: Array, b3: Array, b4: Array) -> Array:
    """b1 / (1 + exp(b2 - b3 x))^(1/b4)."""
    return b1 / (1 + jnp.exp(b2 - b3 * x)) ** (1 / b4)


def thurber(x: Array, b1: Array, b2: Array, b3: Array, b4: Array, b5: Array, b6: Array, b7: Array) -> Array:
    """(b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)."""
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


MODELS: dict[str, Callable[..., Array]] = {
    "boxbod": boxbod,
    "chwirut1": chwirut,
    "chwirut2": chwirut,
    "danwood": danwood,
    "eckerle4": eckerle4,
    "gauss1": gauss,
    "gauss2": gauss,
    "gauss3": gauss,
    "lanczos1": lanczos,
    "lanczos2": lanczos,
    "lanczos3": lanczos,
    "mgh09": mgh09,
    "mgh10": mgh10,
    "misra1a": boxbod,
    "misra1b": misra1b,
    "misra1c": misra1c,
    "misra1d": misra1d,
    "rat42": rat42,
    "rat43": rat43,
    "thurber": thurber,
}

LOSSES: dict[str, Any] = {f"nist-{name}": partial(squares, model) for name, model in MODELS.items()}
