"""Scalar specs: `isoparam.specs.scalar`, `affine`, `box` and `circular`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample

ROWS = (
    Sample("real", iso.Real(), (-INF, INF), (1.0, 1.0), outside=(np.nan, INF, -INF), like="affine"),
    Sample("affine", iso.Affine(-1.5, 0.3), (-INF, INF), (0.3, 0.3), outside=(np.nan, INF)),
    Sample(
        "affine-array",
        iso.Affine([20.0, 0.0], [5.0, 1e30]),
        ([-INF, -INF], [INF, INF]),
        ([5.0, 1e30], [5.0, 1e30]),
        outside=([np.nan, INF],),
        like="affine",
    ),
    Sample("positive", iso.Positive(), (0.0, INF), (0.0, 1.0), outside=(-1.0, -1e-30, np.nan, INF), borders=(0.0, -0.0)),
    Sample("positive-exp", iso.Positive(link="exp"), (0.0, INF), (0.0, INF), outside=(-1.0, np.nan), borders=(0.0, INF)),
    Sample("greater", iso.GreaterThan(2.0), (2.0, INF), (0.0, 1.0), outside=(1.0, np.nan), borders=(2.0, INF), like="positive"),
    Sample(
        "greater-exp",
        iso.GreaterThan(-0.1, link="exp"),
        (-0.1, INF),
        (0.0, INF),
        outside=(-2.0,),
        borders=(INF,),
        like="positive-exp",
    ),
    Sample(
        "greater-array",
        iso.GreaterThan([2.0, -0.1]),
        ([2.0, -0.1], [INF, INF]),
        ([0.0, 0.0], [1.0, 1.0]),
        outside=([1.0, -0.5],),
        borders=([2.0, INF],),
        like="positive",
    ),
    Sample("less", iso.LessThan(3.0), (-INF, 3.0), (1.0, 0.0), outside=(4.0, np.nan), borders=(3.0, -INF)),
    Sample(
        "less-exp",
        iso.LessThan(0.1, link="exp"),
        (0.1, -INF),
        (0.0, -INF),
        outside=(1.0,),
        borders=(-INF,),
        like="positive-exp",
    ),
    Sample(
        "less-array",
        iso.LessThan([3.0, 1e6], link="exp"),
        ([3.0, 1e6], [-INF, -INF]),
        ([0.0, 0.0], [-INF, -INF]),
        outside=([4.0, 2e6],),
        borders=([3.0, -INF],),
        like="less",
    ),
    Sample("interval", iso.Interval(-1.5, 4.0), (-1.5, 4.0), (0.0, 0.0), outside=(5.0, -INF), borders=(-1.5, 4.0)),
    Sample("interval-tanh", iso.Interval(-1, 1, link="tanh"), (-1.0, 1.0), (0.0, 0.0), outside=(-2.0,), borders=(1.0, -1.0)),
    Sample("interval-decimal", iso.Interval(0.1, 0.9), (0.1, 0.9), (0.0, 0.0), outside=(0.05, np.nan), like="interval"),
    Sample(
        "interval-narrow",
        iso.Interval(1.0, 1.0 + 2**-20),
        (1.0, 1.0 + 2**-20),
        (0.0, 0.0),
        outside=(0.5,),
        borders=(1.0,),
        like="interval",
    ),
    Sample("interval-wide", iso.Interval(-3e38, 3e38), (-3e38, 3e38), (0.0, 0.0), outside=(np.nan, INF), like="interval"),
    Sample(
        "interval-array",
        iso.Interval([-1.5, 0.0], [4.0, 1e6]),
        ([-1.5, 0.0], [4.0, 1e6]),
        ([0.0, 0.0], [0.0, 0.0]),
        outside=([5.0, -1.0],),
        borders=([4.0, 0.0],),
        like="interval",
    ),
    Sample(
        "interval-unit", iso.Interval(-1.5, 4.0, link="unit"), (-1.5, 4.0), (0.0, 0.0), outside=(5.0, -INF), borders=(-1.5, 4.0)
    ),
    Sample(
        "interval-unit-array",
        iso.Interval([0.1, -1e6], [0.9, 1e6], link="unit"),
        ([0.1, -1e6], [0.9, 1e6]),
        ([0.0, 0.0], [0.0, 0.0]),
        outside=([0.05, np.nan],),
        like="interval-unit",
    ),
    Sample("unit", iso.UnitInterval(), (0.0, 1.0), (0.0, 0.0), outside=(-0.5, 1.5, np.nan), borders=(0.0, 1.0)),
    Sample("circular", iso.Circular(), (np.nan, np.nan), (1.0, 1.0), outside=(4.0, -3.5, np.nan, INF), unique=False, reach=1e6),
    Sample("box", iso.Box(0.5, INF), (0.5, INF), (0.0, 1.0), outside=(0.25, np.nan), borders=(0.5, INF), like="positive"),
    Sample(
        "box-array",
        iso.Box([-1.5, 2.0, -INF, -INF], [4.0, INF, -3.0, INF]),
        ([-1.5, 2.0, -INF, -INF], [4.0, INF, -3.0, INF]),
        ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]),
        outside=([5.0, 1.0, 0.0, np.nan],),
        borders=([4.0, 2.0, -3.0, INF],),
    ),
)
