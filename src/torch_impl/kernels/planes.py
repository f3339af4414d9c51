"""Products with the vectors of a plane, taken exactly, and what they are subtracted for: projections and mirror images."""

from typing import Any, NamedTuple

import torch
from torch import Tensor as Array

from torch_impl.kernels.elementary import half_digits, power_below, shielded, times_power, two_sum
from torch_impl.kernels.exact_sums import products, sum_exactly, two_product


class Level(NamedTuple):
    """w.x - b = power * (head + tail) along the last axis, and power * size, the size of its terms."""

    head: Array
    tail: Array
    size: Array
    power: Array


def level(x: Array, w: Any, w_rest: Any, w_tail: Any, offset: float) -> Level:
    """w.x - offset to twice the precision, also where it cancels."""
    largest = torch.cat([torch.abs(x), torch.zeros_like(x[..., :1]) + abs(offset)], dim=-1)
    # Half of the exponents, so that derivatives times the power, or divided by it, are normal numbers too.
    root = torch.finfo(x.dtype).tiny ** 0.5
    power = torch.clamp(power_below(largest), root, 1 / root)
    u = times_power(x, 1 / power)
    head = half_digits(u)
    border = times_power(torch.zeros_like(power) + shielded(offset, power), 1 / power)
    terms = products(head, u - head, w, w_rest)
    total, tail = sum_exactly(torch.cat([terms, -border], dim=-1))
    size = torch.sum(torch.abs(terms), dim=-1, keepdim=True) + torch.abs(border)
    return Level(total, tail + torch.sum(w_tail * u, dim=-1, keepdim=True), size, power)


def moved(x: Array, by: Level, along: Any, along_tail: Any, start: Any, start_tail: Any) -> Array:
    """start + x - along (w.x - b), each entry rounded about once."""
    # Where the level is huge, in a unit in which the product does not overflow before the difference.
    unit = torch.where(by.power * torch.finfo(x.dtype).tiny ** 0.5 >= 1, 1.0 / 1024, 1.0)
    product, error = two_product(by.head, along + torch.zeros_like(by.head))
    power = by.power * unit
    error = (error + by.head * along_tail + by.tail * along) * power
    total, lost = two_sum(x * unit, start * unit)
    total, last = two_sum(total, -(product * power))
    return (total + ((lost + last) + (start_tail * unit - error))) / unit


def depth_below(level: Level, per_length: float, per_length_tail: float) -> tuple[Array, Array]:
    """How far below the plane a point of this level is, as a number and its rounding error; 1/|a| to twice the precision."""
    product, error = two_product(level.head, torch.zeros_like(level.head) + shielded(per_length, level.head))
    error = error + (level.head * per_length_tail + level.tail * per_length)
    return -product * level.power, -error * level.power
