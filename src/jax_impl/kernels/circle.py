"""Angles: numbers wrapped around a circle."""

import jax.numpy as jnp
from jax import Array

from jax_impl.constants import turn_like
from jax_impl.kernels.derivatives import with_slope
from jax_impl.kernels.elementary import half_digits, two_sum


@with_slope(lambda x: jnp.ones_like(x))
def wrap(x: Array) -> Array:
    """x - 2 pi floor((x + pi)/(2 pi)), from -pi on and below pi.

    x less a whole number of turns, whose products with the parts of 2 pi are exact, as a number and its rounding error.
    """
    turn = turn_like(x)
    turns = jnp.round(x * (0.5 / turn.half))
    head = half_digits(turns)
    angle, error = x, jnp.zeros_like(x)
    for part in turn.parts:
        for count in (head, turns - head):
            angle, lost = two_sum(angle, -count * part)
            error = error + lost
    angle, error = two_sum(angle, error)
    above = (angle - turn.half) + (error - turn.half_tail) >= 0
    below = (angle + turn.half) + (error + turn.half_tail) < 0
    sign = jnp.where(above, -1.0, jnp.where(below, 1.0, 0.0)).astype(x.dtype)
    angle = (angle + sign * (2 * turn.half)) + (error + sign * (2 * turn.half_tail))
    angle = jnp.where(angle < -turn.half, -turn.half, jnp.where(angle > turn.last, turn.last, angle))
    return jnp.where((x >= -turn.half) & (x <= turn.last), x, angle)
