"""Correlation matrices against what others publish: torch's own map, and Higham's nearest correlation matrix."""

import numpy as np
import torch
from torch.distributions.transforms import CorrCholeskyTransform

import isoparam as iso
from isoparam.torch import forward, project


def test_the_tanh_link_is_that_of_torch_distributions():
    raw = torch.tensor(np.random.Generator(np.random.Philox(3)).normal(0, 0.5, (4, 6)))
    ours = forward(iso.CholeskyCorrelation(link="tanh"), raw)
    torch.testing.assert_close(ours, CorrCholeskyTransform()(raw), rtol=1e-13, atol=1e-15)


def test_the_row_link_is_that_of_tensorflow_probability():
    """CorrelationCholesky by its definition: rows with 1 on the diagonal, divided by their length."""
    raw = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-1.0, 2.0, 1.0]], dtype=torch.float64)
    want = rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    torch.testing.assert_close(forward(iso.CholeskyCorrelation(), raw), want, rtol=1e-15, atol=0.0)


def test_the_nearest_correlation_matrix_of_higham():
    """Higham (2002), "Computing the nearest correlation matrix", IMA Journal of Numerical Analysis 22(3), section 4."""
    point = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    nearest = project(iso.Correlation(), point)
    want = torch.tensor([[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(nearest, want, rtol=0.0, atol=5e-5)


def test_the_nearest_correlation_matrix_of_50_rows_is_optimal():
    """The optimality conditions: X in the set, G + diag(y) - X negative semidefinite and orthogonal to X."""
    rng = np.random.Generator(np.random.Philox(4))
    point = rng.normal(0, 1, (50, 50))
    nearest = project(iso.Correlation(), torch.tensor(point)).numpy()
    assert (np.diagonal(nearest) == 1).all()
    assert np.linalg.eigvalsh(nearest).min() > -1e-12
    rest = nearest - (point + point.T) / 2
    y = (rest * nearest).sum(-1)  # (G + diag(y) - X) X = 0 has this diagonal
    residual = np.diag(y) - rest
    assert np.linalg.eigvalsh(residual).max() < 1e-10
    assert np.abs(residual @ nearest).max() < 1e-10


def test_a_correlation_matrix_is_its_own_nearest_one():
    value = forward(iso.Correlation(), torch.tensor([0.5, -1.0, 2.0, 0.1, 0.2, -0.3], dtype=torch.float64))
    torch.testing.assert_close(project(iso.Correlation(), value), value, rtol=0.0, atol=1e-15)
