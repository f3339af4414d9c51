"""Angles: numbers wrapped around a circle."""

import torch
from torch import Tensor as Array

from torch_impl.constants import turn_like
from torch_impl.kernels.derivatives import with_slope
from torch_impl.kernels.elementary import half_digits, two_sum


@with_slope(lambda x: torch.ones_like(x))
def wrap(x: Array) -> Array:
    """x - 2 pi floor((x + pi)/(2 pi)), from -pi on and below pi.

    x less a whole number of turns, whose products with the parts of 2 pi are exact, as a number and its rounding error.
    """
    turn = turn_like(x)
    turns = torch.round(x * (0.5 / turn.half))
    head = half_digits(turns)
    angle, error = x, torch.zeros_like(x)
    for part in turn.parts:
        for count in (head, turns - head):
            angle, lost = two_sum(angle, -count * part)
            error = error + lost
    angle, error = two_sum(angle, error)
    above = (angle - turn.half) + (error - turn.half_tail) >= 0
    below = (angle + turn.half) + (error + turn.half_tail) < 0
    sign = torch.where(above, -1.0, torch.where(below, 1.0, 0.0)).to(x.dtype)
    angle = (angle + sign * (2 * turn.half)) + (error + sign * (2 * turn.half_tail))
    angle = torch.where(angle < -turn.half, -turn.half, torch.where(angle > turn.last, turn.last, angle))
    return torch.where((x >= -turn.half) & (x <= turn.last), x, angle)
