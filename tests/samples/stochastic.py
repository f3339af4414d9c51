"""Specs of `isoparam.specs.stochastic`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample, positive

SIZES = ((1, 1), (2, 3), (3, 5))


def but_last_column(shape: tuple[int, ...]) -> np.ndarray:
    """Indices of all columns but the last in the flattened matrix."""
    return np.arange(np.prod(shape[-2:])).reshape(shape[-2:])[:, :-1].reshape(-1)


def but_last_row(shape: tuple[int, ...]) -> np.ndarray:
    """Indices of all rows but the last in the flattened matrix."""
    return np.arange(np.prod(shape[-2:])).reshape(shape[-2:])[:-1].reshape(-1)


ROWS: tuple[Sample, ...] = (
    Sample(
        "row-stochastic",
        iso.RowStochastic(),
        outside=([[0.5, 0.6], [0.5, 0.5]], [[0.5, 0.5], [-0.5, 1.5]], [[np.nan, 1.0], [0.5, 0.5]]),
        borders=([[0.0, 1.0], [0.5, 0.5]],),
        raws=SIZES,
        volume=but_last_column,
        usable=positive,
        only_checked=True,
        like="simplex",
    ),
    Sample(
        "column-stochastic",
        iso.ColumnStochastic(),
        outside=([[0.5, 0.5], [0.6, 0.5]], [[0.5, -0.5], [0.5, 1.5]], [[np.nan, 0.5], [1.0, 0.5]]),
        borders=([[0.0, 0.5], [1.0, 0.5]],),
        raws=SIZES,
        volume=but_last_row,
        usable=positive,
        only_checked=True,
    ),
    Sample(
        "sum-to-zero-matrix",
        iso.SumToZeroMatrix(),
        outside=([[0.5, -0.5], [0.5, -0.5]], [[np.nan, 1.0], [1.0, 1.0]], [[INF, -INF], [-INF, INF]]),
        raws=SIZES,
        volume="surface",
        only_checked=True,
    ),
)
