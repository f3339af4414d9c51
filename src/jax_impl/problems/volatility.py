"""Loss of the volatility problem: garch."""

import math
from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def garch(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of returns whose variance follows a GARCH(1, 1).

        e_t = return_t - mu,   h_t = omega + alpha e_{t-1}^2 + beta h_{t-1},   sum_t (log(2 pi h_t) + e_t^2 / h_t) / 2

    alpha and beta are the first two of `weights`. Before the sample, h and e^2 are the mean of all e_t^2.
    """
    alpha, beta, _ = values["weights"]
    square = (batch["return"] - values["mu"]) ** 2
    before = jnp.mean(square)
    drive = values["omega"] + alpha * jnp.concatenate([before[None], square[:-1]])
    variance = _discounted(drive, beta, before)
    return jnp.sum(math.log(2 * math.pi) + jnp.log(variance) + square / variance) / 2


def _discounted(drive: Array, factor: Array, before: Array) -> Array:
    """x_t = drive_t + factor x_{t-1}, from x_0 = before.

    Every sum is of one sign where all three are positive, so nothing cancels; powers of the factor only underflow.

    # twin: torch takes log2(n) passes over all times, as a Python loop pays for every step; JAX compiles the loop over time.
    """

    def follow(x: Array, now: Array) -> tuple[Array, Array]:
        x = now + factor * x
        return x, x

    return lax.scan(follow, before, drive)[1]


LOSSES: dict[str, Any] = {"garch": garch}
