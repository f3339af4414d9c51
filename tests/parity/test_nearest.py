"""The nearest correlation matrix by its optimality conditions, in both backends: points near and far, sides small and large."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import isoparam as iso
from isoparam.jax import project as jax_project
from isoparam.torch import project as torch_project

SPEC = iso.Correlation()


def in_torch(point: np.ndarray) -> np.ndarray:
    return torch_project(SPEC, torch.tensor(point)).numpy()


def in_jax(point: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(jax_project(SPEC, jnp.asarray(point)))


def point_of(side: int, size: float) -> np.ndarray:
    entries = np.random.Generator(np.random.Philox(5)).normal(0, size, (side, side))
    return np.eye(side) + (entries + entries.T) / 2


@pytest.mark.parametrize("backend", [pytest.param(in_torch, id="torch"), pytest.param(in_jax, id="jax")])
@pytest.mark.parametrize("side", [4, 10, 40])
@pytest.mark.parametrize("size", [0.1, 1.0, 1e4, 1e8])
def test_the_nearest_correlation_matrix_is_optimal(backend: Callable[[np.ndarray], np.ndarray], side: int, size: float) -> None:
    """X in the set, and G + diag(y) - X negative semidefinite and orthogonal to X, for G without its diagonal."""
    point = point_of(side, size)
    np.fill_diagonal(point, 0.0)
    nearest = backend(point)
    assert (np.diagonal(nearest) == 1).all()
    assert np.linalg.eigvalsh(nearest).min() > -1e-14 * side
    rest = nearest - point
    residual = np.diag((rest * nearest).sum(-1)) - rest
    unit = max(1.0, np.abs(point).max())
    assert np.linalg.eigvalsh(residual).max() < 1e-14 * side * unit
    assert np.abs(residual @ nearest).max() < 1e-14 * side * unit


class Decompositions(TorchDispatchMode):
    """Counts eigenvalue decompositions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "eigh" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("size", [0.01, 1.0])
def test_a_search_ends_when_it_has_arrived(size: float) -> None:
    with Decompositions() as mode:
        in_torch(point_of(20, size))
    assert mode.count <= 15
