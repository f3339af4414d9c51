"""Specs of `isoparam.specs.covariance`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample
from samples.triangles import WITH_DIAGONAL, lower_entries


def positive_definite(value: np.ndarray) -> np.ndarray:
    """Matrices whose rounding is far from making them singular, and that are not of mixed scales."""
    inside = []
    for matrix in value:
        scale = np.sqrt(np.diagonal(matrix).astype(np.float64))
        ordinary = bool(np.isfinite(matrix).all() and (scale > 0).all())
        found = np.linalg.eigvalsh(matrix / scale[:, None] / scale) if ordinary else np.zeros(1)
        inside.append(ordinary and found.min() > 1e-2 and scale.max() < 1e6 * scale.min())
    return np.array(inside, dtype=bool)


def of_two_lengths(value: np.ndarray) -> np.ndarray:
    """Matrices of rank 2 whose eigenvectors are no matter of rounding: eigenvalues well apart, and the largest entry of each
    eigenvector, which is the positive one, larger than the next by more than rounding."""
    found, vectors = (part[..., ::-1][..., :2] for part in np.linalg.eigh(value.astype(np.float64)))
    gaps = -np.diff(np.pad(found, ((0, 0), (0, 1))), axis=-1)
    first, second = np.moveaxis(np.sort(np.abs(vectors), axis=-2)[:, ::-1][:, :2], 1, 0)
    return (found[:, 0] > 0) & (gaps > 0.1 * found[:, :1]).all(-1) & (first > 1.01 * second).all(-1)


INDEFINITE = ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]], [[INF, 0.0], [0.0, 1.0]])
SINGULAR = ([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]])

ROWS: tuple[Sample, ...] = (
    Sample(
        "cholesky-covariance",
        iso.CholeskyCovariance(),
        outside=([[1.0, 1.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [np.nan, 1.0]]),
        borders=([[1.0, 0.0], [1.0, 0.0]],),
        raws=WITH_DIAGONAL,
        unit="entry",
        volume=lower_entries,
    ),
    Sample(
        "cholesky-covariance-exp",
        iso.CholeskyCovariance(link="exp"),
        outside=([[1.0, 0.0], [1.0, -1.0]],),
        borders=([[0.0, 0.0], [1.0, 1.0]],),
        raws=WITH_DIAGONAL,
        unit="entry",
        volume=lower_entries,
        like="cholesky-covariance",
    ),
    Sample(
        "cholesky-covariance-tall",
        iso.CholeskyCovariance(columns=2),
        outside=([[1.0, 1.0], [0.0, 1.0], [2.0, 3.0]], [[1.0, 0.0], [0.0, 1.0], [2.0, INF]]),
        borders=([[1.0, 0.0], [1.0, 0.0], [2.0, 3.0]],),
        raws=((3,), (5,), (9,)),
        unit="entry",
        volume=lambda shape: np.ravel_multi_index(np.tril_indices(shape[-2], 0, shape[-1]), shape[-2:]),
    ),
    Sample(
        "covariance",
        iso.Covariance(),
        outside=INDEFINITE,
        borders=SINGULAR,
        raws=WITH_DIAGONAL,
        volume=lower_entries,
        usable=positive_definite,
        far=8.0,
    ),
    Sample(
        "covariance-exp",
        iso.Covariance(link="exp"),
        outside=INDEFINITE[:1],
        borders=SINGULAR[:1],
        raws=WITH_DIAGONAL,
        volume=lower_entries,
        usable=positive_definite,
        far=8.0,
        like="covariance",
    ),
    Sample(
        "low-rank-covariance",
        iso.LowRankCovariance(rank=2),
        outside=([[1.0, 2.0], [2.0, 1.0]], np.eye(3).tolist(), [[np.nan, 0.0], [0.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]]),
        raws=((2, 2), (3, 2), (6, 2)),
        usable=of_two_lengths,
        back=20.0,  # eigenvectors to some eps, their root and its product: 9.0 in torch, 15 in JAX
        unique=False,
    ),
)
