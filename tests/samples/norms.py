"""Specs of `isoparam.specs.norms`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample


def inside(bound: float) -> object:
    """Which rows of slices are inside by more than a rounding error."""
    return lambda value: np.linalg.norm(value.reshape(len(value), -1).astype(np.float64), axis=-1) < bound * (1 - 1e-6)


ROWS: tuple[Sample, ...] = (
    Sample(
        "unit-norm",
        iso.UnitNorm(),
        outside=([0.5, 0.5], [np.nan, 1.0], [0.0, 0.0]),
        unit="entry",
        volume="surface",
        unique=False,
        only_checked=True,
        like="unit-vector",
    ),
    Sample(
        "unit-norm-axes",
        iso.UnitNorm(axis=(-2, -1)),
        outside=([[0.5, 0.5], [0.5, 0.75]], [[0.0, 0.0], [0.0, 0.0]]),
        raws=((1, 1), (2, 3), (4, 5)),
        volume="surface",
        unique=False,
        only_checked=True,
    ),
    Sample(
        "max-norm",
        iso.MaxNorm(link="tanh"),
        outside=([2.0, 0.5], [np.nan, 1.0]),
        borders=([0.0, 2.0],),
        unit="entry",
        usable=inside(2.0),
        like="l2-ball-tanh",
    ),
    Sample(
        "max-norm-axes",
        iso.MaxNorm(3.0, axis=(-2, -1)),
        outside=([[3.0, 0.0], [0.0, 1.0]], [[np.nan, 1.0], [0.0, 1.0]]),
        borders=([[0.0, 3.0], [0.0, 0.0]],),
        raws=((1, 1), (2, 3), (4, 5)),
        usable=inside(3.0),
        like="l2-ball",
    ),
    Sample(
        "weight-norm",
        iso.WeightNorm(),
        outside=([np.nan, 1.0], [INF, 0.0]),
        raws=((2,), (4,), (21,)),
        unit="norm",
        unique=False,
        smooth_at_zero=False,
    ),
    Sample(
        "spectral-norm",
        iso.SpectralNorm(),
        outside=([[0.5, 0.0], [0.0, 0.5]], [[np.nan, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]),
        raws=((1, 1), (2, 3), (4, 4)),
        unique=False,
        only_checked=True,
    ),
    Sample(
        "spectral-norm-bound",
        iso.SpectralNorm(0.3),
        outside=([[1.0, 0.0], [0.0, 1.0]],),
        raws=((2, 1), (4, 2), (5, 3)),
        unique=False,
        only_checked=True,
        like="spectral-norm",
    ),
)
