"""The adapters through which a scorer asks for projections: sets with numbers of their own, which no spec has."""

from typing import Any

import numpy as np
import pytest

from oracle import jax_adapter, torch_adapter

BOTH = pytest.mark.parametrize("adapter", [pytest.param(torch_adapter, id="torch"), pytest.param(jax_adapter, id="jax")])


@BOTH
@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenvalues_are_raised_to_a_floor(adapter: Any, floor: float, dtype: type[np.floating]) -> None:
    point = np.array([[1.0, 2.0, 0.5], [2.0, -1.0, 0.0], [0.5, 0.0, 0.25]], dtype)
    values, vectors = np.linalg.eigh(point.astype(np.float64))
    expected = (vectors * np.maximum(values, floor)) @ vectors.T
    nearest = adapter.project("spd", {"p": (floor,), "shape": point.shape}, point, np.dtype(dtype).name)
    np.testing.assert_allclose(nearest, expected, rtol=0, atol=8 * np.finfo(dtype).eps)
    assert nearest.dtype == dtype


@BOTH
def test_a_simplex_has_any_sum(adapter: Any) -> None:
    nearest = adapter.project("simplex", {"p": (2.0,)}, np.array([3.0, 1.5, -4.0]), "float64")
    np.testing.assert_allclose(nearest, [1.75, 0.25, 0.0], rtol=1e-15)
