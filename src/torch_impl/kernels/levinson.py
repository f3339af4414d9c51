"""Durbin and Levinson's recursion between partial autocorrelations and the coefficients of an autoregression.

`ahead` holds 1, -phi_1, ..., -phi_k and `back` the same from behind. One partial autocorrelation r more makes
ahead - r z back of the one and z back - r ahead of the other, where z moves entries one place up.
"""

import torch
from torch import Tensor as Array


def levinson(r: Array) -> Array:
    """The coefficients phi of partial autocorrelations r, along the last axis."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    first = torch.nn.functional.pad(torch.ones_like(r[..., :1]), (0, r.shape[-1]))
    ahead, back = first, first
    for k in range(r.shape[-1]):
        ahead, back = _step(ahead, back, r[..., k : k + 1])
    return -ahead[..., 1:]


def levinson_inverse(phi: Array) -> Array:
    """The partial autocorrelations of coefficients; of size 1 or more, or not finite, where phi is not stationary."""
    # twin: torch loops in Python, JAX in a scan, whose program does not grow with the number of coefficients.
    ahead = torch.cat([torch.ones_like(phi[..., :1]), -phi], dim=-1)
    back, found = torch.flip(ahead, (-1,)), []
    for _ in range(phi.shape[-1]):
        ahead, back, r = _step_back(ahead, back)
        found.append(r)
    return torch.cat(found[::-1], dim=-1)


def _step(ahead: Array, back: Array, r: Array) -> tuple[Array, Array]:
    moved = torch.nn.functional.pad(back[..., :-1], (1, 0))
    return ahead - r * moved, moved - r * ahead


def _step_back(ahead: Array, back: Array) -> tuple[Array, Array, Array]:
    r = -back[..., :1]
    room = (1 - r) * (1 + r)
    moved = (back + r * ahead) / room
    return (ahead + r * back) / room, torch.nn.functional.pad(moved[..., 1:], (0, 1)), r
