"""Loss of the blood group problem: abo."""

from typing import Any

import jax.numpy as jnp
from jax import Array


def abo(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of the counts of blood groups A, B, AB and O, without the multinomial coefficient.

    The alleles A, B and O with frequencies p, q and r meet at random: p^2 + 2pr, q^2 + 2qr, 2pq and r^2.
    """
    p, q, r = values["frequency"]
    probability = jnp.stack([p * p + 2 * p * r, q * q + 2 * q * r, 2 * p * q, r * r])
    return -jnp.sum(batch["count"] * jnp.log(probability))


LOSSES: dict[str, Any] = {"abo": abo}
