"""Results of which nearly all cancels: entries of float32 products keep the digits of float32 and are not 0, and sums of
logarithms are as near as the largest of them allows.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from oracle.judge import truth
from oracle.rounding import ulps
from samples import Sample

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


CROSSING = (
    iso.Interval(-1.5, 4.0),
    iso.OrderedInterval(-100.0, 400.0),
    iso.L2Ball(3.0, link="tanh"),
    iso.LInfBall(2.0),
    iso.MaxNorm(2.0),
)
LOG_ABS_DET: dict[str, Callable[..., np.ndarray]] = {
    "torch": lambda spec, raw: torch_side.log_abs_det(spec, torch.tensor(raw)).numpy(),
    "jax": lambda spec, raw: np.asarray(jax.jit(lambda row: jax_side.log_abs_det(spec, row))(jnp.asarray(raw))),
}


def near_the_zero(spec: iso.Spec, dtype: str) -> np.ndarray:
    """Rows of three equal numbers around that at which the log-determinant passes through 0."""
    low, high = 0.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        above = LOG_ABS_DET["torch"](spec, np.full(3, middle)).sum() > 0
        low, high = (middle, high) if above else (low, middle)
    sizes = low * (1 + np.concatenate([np.linspace(-1e-3, 1e-3, 9), np.linspace(-1e-7, 1e-7, 9)]))
    return np.repeat(sizes[:, None], 3, axis=1).astype(dtype)


@pytest.mark.parametrize("way", LOG_ABS_DET)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", CROSSING, ids=str)
def test_of_a_log_determinant_near_0(spec: iso.Spec, dtype: str, way: str) -> None:
    raw = near_the_zero(spec, dtype)
    with jax.enable_x64(dtype == "float64"):
        got, at_zero = (LOG_ABS_DET[way](spec, numbers) for numbers in (raw, np.zeros_like(raw[:1])))
    right = truth(Sample("", spec), "log_abs_det", dtype, raw)
    largest = max(float(np.abs(at_zero).max()), float(np.abs(raw).max()))
    assert np.abs(right).max() < 0.02 * largest
    assert np.abs(got - right).max() <= 4 * np.finfo(dtype).eps * largest
