"""Specs of `isoparam.specs.structure`, `compose` and `blocks`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample, increasing, positive


def rows_inside(value: np.ndarray) -> np.ndarray:
    """Matrices whose first row increases and whose second is positive."""
    return increasing(value[:, 0]) & positive(value[:, 1])


ROWS: tuple[Sample, ...] = (
    Sample(
        "compose",
        iso.Compose(iso.Affine(0, 0.5), iso.Positive()),
        (0.0, INF),
        (0.0, 0.5),
        outside=(-1.0, np.nan, INF),
        borders=(0.0,),
        like="positive",
    ),
    Sample(
        "compose-simplex",
        iso.Compose(iso.Affine(0, 2), iso.Simplex()),
        outside=([1.0, 1.5], [-0.5, 2.5], [np.nan, 1.0]),
        borders=([0.0, 2.0],),
        unit="entry",
        usable=positive,
        only_checked=True,
        like="simplex",
    ),
    Sample(
        "masked",
        iso.Masked([[True, False], [True, True]], iso.Positive(), fill=0.5),
        outside=([[-1.0, 0.5], [1.0, 1.0]], [[1.0, 0.75], [1.0, 1.0]], [[1.0, np.nan], [1.0, 1.0]]),
        borders=([[0.0, 0.5], [1.0, 1.0]],),
        raws=((3,), (3,)),
        unit="entry",
        volume=lambda shape: np.array([0, 2, 3]),
        usable=positive,
        only_checked=True,
        like="positive",
    ),
    Sample(
        "concatenate",
        iso.Concatenate((iso.Simplex(), iso.Positive()), (3, 2)),
        outside=([0.5, 0.25, 0.5, 1.0, 1.0], [0.5, 0.25, 0.25, 1.0, -1.0], [0.5, 0.25, 0.25, 1.0, np.nan]),
        borders=([0.5, 0.25, 0.25, 1.0, 0.0],),
        raws=((4,), (4,)),
        unit="entry",
        volume=lambda shape: np.array([0, 1, 3, 4]),
        usable=positive,
        only_checked=True,
        like="simplex",
    ),
    Sample(
        "stack",
        iso.Stack((iso.Positive(), iso.Interval(-1, 1))),
        outside=([-1.0, 0.0], [1.0, 2.0], [np.nan, 0.0]),
        borders=([0.0, 0.5], [1.0, 1.0]),
        raws=((2,), (2,)),
        unit="norm",
        usable=lambda value: (value[:, 0] > 0) & (np.abs(value[:, 1]) < 1),
        like="interval",
    ),
    Sample(
        "stack-rows",
        iso.Stack((iso.Ordered(), iso.Positive()), axis=-2),
        outside=([[2.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [1.0, -1.0]], [[1.0, np.nan], [1.0, 1.0]]),
        borders=([[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [1.0, 0.0]]),
        raws=((2, 1), (2, 3), (2, 5)),
        usable=rows_inside,
        like="ordered",
    ),
)
