"""Loss of the hidden Markov problem: hmm."""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def hmm(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of counts from a Poisson hidden Markov model with two states, which starts stationary.

        -log start P(count_1) T P(count_2) ... T P(count_n) 1,   P(c) = diag(rate_k^c exp(-rate_k) / c!)

    T is `transition`, whose rows sum to 1, and start = (T_21, T_12) / (T_21 + T_12) its stationary distribution.
    """
    leave = jnp.stack([values["transition"][1, 0], values["transition"][0, 1]])
    count, rate = batch["count"][:, None], values["rate"]
    log_density = count * jnp.log(rate) - rate - batch["log_factorial"][:, None]
    largest = lax.stop_gradient(jnp.max(log_density, axis=-1, keepdims=True))  # taken out, so that exp does not underflow
    density = jnp.exp(log_density - largest)
    return -(_log_forward(leave / jnp.sum(leave), values["transition"], density) + jnp.sum(largest))


def _log_forward(start: Array, transition: Array, density: Array) -> Array:
    """log(start T P_1 T P_2 ... T P_n 1) for P_t = diag(density_t), scaled on the way so that it does not underflow.

    The first T changes nothing, as start T = start.

    # twin: torch takes log2(n) passes over all times, as a Python loop pays for every step; JAX compiles the loop over time.
    """

    def follow(state: Array, now: Array) -> tuple[Array, Array]:
        state = (state @ transition) * now
        size = jnp.sum(state)
        return state / size, size

    return jnp.sum(jnp.log(lax.scan(follow, start, density)[1]))


LOSSES: dict[str, Any] = {"hmm": hmm}
