"""Specs of `isoparam.specs.simplexes`."""

import numpy as np

import isoparam as iso
from samples.sample import Sample, positive


def spaced(value: np.ndarray) -> np.ndarray:
    """Rows that lie between -1.5 and 4 with gaps that are not absorbed, in the outer ones neither."""
    return (np.diff(value, prepend=-1.5, append=4.0) > 0.25 + 1e-6).all(-1)


def apart(value: np.ndarray) -> np.ndarray:
    """The same without a smallest gap."""
    return (np.diff(value, prepend=-1.5, append=4.0) > 0).all(-1)


ROWS: tuple[Sample, ...] = (
    Sample(
        "stick-breaking",
        iso.StickBreakingSimplex(),
        outside=([0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]),
        borders=([0.0, 1.0],),
        unit="entry",
        usable=positive,
        only_checked=True,
    ),
    Sample(
        "softmax-last",
        iso.SoftmaxSimplex(),
        outside=([0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]),
        borders=([0.0, 1.0],),
        even_at_ties=True,
        unit="entry",
        usable=positive,
        only_checked=True,
    ),
    Sample(
        "softmax-all",
        iso.SoftmaxSimplex(reference=None),
        outside=([0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0]),
        borders=([0.0, 1.0],),
        even_at_ties=True,
        unit="entry",
        usable=positive,
        only_checked=True,
        unique=False,
    ),
    Sample(
        "ordered-interval",
        iso.OrderedInterval(-1.5, 4.0),
        outside=([1.0, 0.0], [0.0, 5.0], [np.nan, 1.0]),
        borders=([-1.5, 1.0], [0.5, 0.5]),
        unit="norm",
        usable=apart,
    ),
    Sample(
        "ordered-interval-gap",
        iso.OrderedInterval(-1.5, 4.0, min_gap=0.25),
        outside=([0.0, 0.125], [0.0, 3.875], [np.nan, 1.0]),
        borders=([-1.25, 1.0], [0.5, 0.75]),
        unit="norm",
        usable=spaced,
        like="ordered-interval",
    ),
)
