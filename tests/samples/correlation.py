"""Specs of `isoparam.specs.correlation`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample
from samples.triangles import WITHOUT, strict_entries

FACTORS_OUTSIDE = (
    [[1.0, 0.5], [0.6, 0.8]],
    [[1.0, 0.0], [0.6, 0.9]],
    [[1.0, 0.0], [0.6, -0.8]],
    [[1.0, 0.0], [np.nan, 0.8]],
    [[1.0, 0.0], [INF, 0.8]],
)
FACTORS_ON_THE_BORDER = ([[1.0, 0.0], [1.0, 0.0]],)
MATRICES_OUTSIDE = (
    [[1.0, 0.5], [0.6, 1.0]],
    [[1.0, 0.5], [0.5, 2.0]],
    [[1.0, 2.0], [2.0, 1.0]],
    [[1.0, np.nan], [np.nan, 1.0]],
    [[1.0, INF], [INF, 1.0]],
)


def well_conditioned(value: np.ndarray) -> np.ndarray:
    """Matrices whose smallest eigenvalue is above 0.03, so that a rounded one has a factor with digits."""
    return np.linalg.eigvalsh(value.astype(np.float64))[..., 0] > 0.03


ROWS: tuple[Sample, ...] = (
    Sample(
        "corr-chol",
        iso.CholeskyCorrelation(),
        outside=FACTORS_OUTSIDE,
        borders=FACTORS_ON_THE_BORDER,
        raws=WITHOUT,
        unit="entry",
        volume=strict_entries,
    ),
    Sample(
        "corr-chol-tanh",
        iso.CholeskyCorrelation(link="tanh"),
        outside=FACTORS_OUTSIDE,
        borders=FACTORS_ON_THE_BORDER,
        raws=WITHOUT,
        unit="entry",
        volume=strict_entries,
        far=20.0,
    ),
    Sample(
        "corr",
        iso.Correlation(),
        outside=MATRICES_OUTSIDE,
        borders=([[1.0, 1.0], [1.0, 1.0]],),
        raws=WITHOUT,
        volume=strict_entries,
        usable=well_conditioned,
        far=3.0,
    ),
    Sample(
        "corr-tanh",
        iso.Correlation(link="tanh"),
        outside=MATRICES_OUTSIDE,
        borders=([[1.0, 1.0], [1.0, 1.0]],),
        raws=WITHOUT,
        volume=strict_entries,
        usable=well_conditioned,
        far=2.0,
    ),
)
