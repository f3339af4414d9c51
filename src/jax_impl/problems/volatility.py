"""Loss of the volatility problem: garch."""

import math
from typing import Any

import jax.numpy as jnp
from jax import Array


def garch(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of returns whose variance follows a GARCH(1, 1).

        e_t = return_t - mu,   h_t = omega + alpha e_{t-1}^2 + beta h_{t-1},   sum_t (log(2 pi h_t) + e_t^2 / h_t) / 2

    alpha and beta are the first two of `weights`. Before the sample, h and e^2 are the mean of all e_t^2.
    """
    alpha, beta, _ = values["weights"]
    square = (batch["return"] - values["mu"]) ** 2
    before = jnp.mean(square)
    drive = values["omega"] + alpha * jnp.concatenate([before[None], square[:-1]])
    variance = _discounted(jnp.concatenate([(drive[0] + beta * before)[None], drive[1:]]), beta)
    return jnp.sum(math.log(2 * math.pi) + jnp.log(variance) + square / variance) / 2


def _discounted(drive: Array, factor: Array) -> Array:
    """x_t = drive_t + factor x_{t-1}, in log2(n) passes: after pass k, x_t is the sum of 2^k terms factor^j drive_{t-j}.

    Every sum is of one sign where drive and factor are positive, so nothing cancels, and powers only underflow.
    """
    x, reach = drive, 1
    while reach < len(drive):
        x = x + factor * jnp.pad(x[:-reach], (reach, 0))
        factor, reach = factor * factor, 2 * reach
    return x


LOSSES: dict[str, Any] = {"garch": garch}
