"""Durbin and Levinson's recursion between partial autocorrelations and the coefficients of an autoregression.

`ahead` holds 1, -phi_1, ..., -phi_k and `back` the same from behind. One partial autocorrelation r more makes
ahead - r z back of the one and z back - r ahead of the other, where z moves entries one place up.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def levinson(r: Array) -> Array:
    """The coefficients phi of partial autocorrelations r, along the last axis."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    first = jnp.concatenate([jnp.ones_like(r[..., :1]), jnp.zeros_like(r)], axis=-1)

    def step(carry: Any, r: Array) -> Any:
        return _step(*carry, r), None

    (ahead, _), _ = lax.scan(step, (first, first), jnp.moveaxis(r, -1, 0)[..., None])
    return -ahead[..., 1:]


def levinson_inverse(phi: Array) -> Array:
    """The partial autocorrelations of coefficients; of size 1 or more, or not finite, where phi is not stationary."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    ahead = jnp.concatenate([jnp.ones_like(phi[..., :1]), -phi], axis=-1)

    def step(carry: Any, _: None) -> Any:
        ahead, back, r = _step_back(*carry)
        return (ahead, back), r

    _, found = lax.scan(step, (ahead, jnp.flip(ahead, -1)), None, length=phi.shape[-1], reverse=True)
    return jnp.moveaxis(found[..., 0], 0, -1)


def _step(ahead: Array, back: Array, r: Array) -> tuple[Array, Array]:
    moved = jnp.concatenate([jnp.zeros_like(back[..., :1]), back[..., :-1]], axis=-1)
    return ahead - r * moved, moved - r * ahead


def _step_back(ahead: Array, back: Array) -> tuple[Array, Array, Array]:
    r = -back[..., :1]
    room = (1 - r) * (1 + r)
    moved = (back + r * ahead) / room
    return (ahead + r * back) / room, jnp.concatenate([moved[..., 1:], jnp.zeros_like(r)], axis=-1), r
