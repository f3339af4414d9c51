"""Vector specs of `isoparam.specs.vector`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample, increasing, positive

ROWS = (
    Sample(
        "simplex",
        iso.Simplex(),
        outside=([0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]),
        borders=([0.0, 1.0],),
        unit="entry",
        usable=positive,
        only_checked=True,
    ),
    Sample("ordered", iso.Ordered(), outside=([2.0, 1.0], [1.0, np.nan], [0.0, INF]), borders=([1.0, 1.0],), usable=increasing),
    Sample(
        "ordered-exp", iso.Ordered(link="exp"), outside=([2.0, 1.0],), borders=([1.0, 1.0],), usable=increasing, like="ordered"
    ),
    Sample(
        "positive-ordered",
        iso.PositiveOrdered(),
        outside=([2.0, 1.0], [-1.0, np.nan]),
        borders=([0.0, 1.0],),
        usable=increasing,
    ),
    Sample(
        "positive-ordered-exp",
        iso.PositiveOrdered(link="exp"),
        outside=([-1.0, 1.0],),
        borders=([1.0, 1.0],),
        usable=increasing,
        like="positive-ordered",
    ),
    Sample(
        "sum-to-zero",
        iso.SumToZero(),
        outside=([0.5, 0.5], [np.nan, 1.0], [INF, -INF]),
        unit="entry",
        volume="surface",
        only_checked=True,
    ),
    Sample(
        "unit-vector",
        iso.UnitVector(),
        outside=([0.5, 0.5], [np.nan, 1.0], [0.0, 0.0]),
        unit="entry",
        volume="surface",
        unique=False,
        only_checked=True,
    ),
)
