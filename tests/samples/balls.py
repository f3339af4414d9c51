"""Specs of `isoparam.specs.balls`."""

import numpy as np

import isoparam as iso
from samples.sample import Sample


def shorter(radius: float, norm: float) -> object:
    """Which rows are inside by more than a rounding error."""
    return lambda value: np.linalg.norm(value.astype(np.float64), ord=norm, axis=-1) < radius * (1 - 1e-6)


ROWS: tuple[Sample, ...] = (
    Sample(
        "l2-ball",
        iso.L2Ball(2.0),
        outside=([2.0, 0.5], [np.nan, 1.0], [np.inf, 0.0]),
        borders=([0.0, 2.0],),
        unit="entry",
        usable=shorter(2.0, 2),
    ),
    Sample(
        "l2-ball-tanh",
        iso.L2Ball(0.75, link="tanh"),
        outside=([0.75, 0.5], [np.nan, 0.5]),
        borders=([0.0, 0.75],),
        unit="entry",
        usable=shorter(0.75, 2),
    ),
    Sample(
        "l1-ball",
        iso.L1Ball(2.0),
        outside=([1.5, -1.0], [np.nan, 1.0], [np.inf, 0.0]),
        borders=([0.5, -1.5],),
        unit="entry",
        usable=shorter(2.0, 1),
        kinks=True,
    ),
    Sample(
        "l1-ball-tanh",
        iso.L1Ball(0.75, link="tanh"),
        outside=([0.5, -0.5], [np.nan, 0.5]),
        borders=([0.25, -0.5],),
        raws=((1,), (3,), (6,)),
        unit="entry",
        usable=shorter(0.75, 1),
        kinks=True,
    ),
    Sample(
        "l1-ball-stick",
        iso.L1Ball(0.75, link="stick"),
        outside=([0.5, -0.5], [np.nan, 0.5]),
        borders=([0.25, -0.5],),
        unit="entry",
        usable=shorter(0.75, 1),
        kinks=True,
    ),
    Sample(
        "linf-ball",
        iso.LInfBall(2.0),
        outside=([2.5, 1.0], [np.nan, 1.0], [np.inf, 0.0]),
        borders=([2.0, -2.0],),
        unit="entry",
        usable=shorter(2.0, np.inf),
    ),
)
