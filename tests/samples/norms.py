"""Specs of `isoparam.specs.norms`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample

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
