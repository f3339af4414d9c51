"""Entries of which nearly all cancels: what is left of them in float32 has the digits of float32, and is not 0."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from oracle.rounding import ulps

FORWARD: dict[str, Callable[..., np.ndarray]] = {
    "torch": lambda spec, raw: torch_side.forward(spec, torch.tensor(raw)).numpy(),
    "torch-vmap": lambda spec, raw: torch.func.vmap(lambda row: torch_side.forward(spec, row))(torch.tensor(raw)[None])[
        0
    ].numpy(),
    "jax": lambda spec, raw: np.asarray(jax_side.forward(spec, jnp.asarray(raw))),
    "jax-jit": lambda spec, raw: np.asarray(jax.jit(lambda row: jax_side.forward(spec, row))(jnp.asarray(raw))),
}
each_side = pytest.mark.parametrize("side", [4, 30])
each_way = pytest.mark.parametrize("way", FORWARD)


def rows(side: int) -> np.ndarray:
    """Two rows that end in 1 and whose product is 1e4 1e4 - 1e4 1e4 + 1e-8; 1e8 in float64 has no digit so small."""
    matrix = np.eye(side, dtype=np.float32)
    matrix[-2, :2], matrix[-1, :2], matrix[-1, -2] = (1e4, 1e4), (1e4, -1e4), 1e-8
    return matrix


@each_side
@each_way
def test_of_a_correlation(way: str, side: int) -> None:
    matrix = rows(side)
    value = FORWARD[way](iso.Correlation(), matrix[np.tril_indices(side, -1)])
    right = np.float32(np.float64(matrix[-1, -2]) / (2e8 + 1))
    assert ulps(value[-1, -2:-1], np.array([right])).max() <= 2
    assert value[-1, -2] == value[-2, -1]


@each_side
@each_way
def test_of_a_low_rank_covariance(way: str, side: int) -> None:
    matrix = rows(side)
    value = FORWARD[way](iso.LowRankCovariance(side), matrix)
    assert value[-1, -2] == value[-2, -1] == matrix[-1, -2]
