"""Specs of `isoparam.specs.series`."""

import numpy as np

import isoparam as iso
from samples.sample import Sample


def stationary(value: np.ndarray) -> np.ndarray:
    """Which rows have partial autocorrelations inside by so much that their rounding errors stay small."""
    with np.errstate(invalid="ignore"):
        return (np.abs(iso.StationaryAR().partial(value.astype(np.float64))) < 0.9).all(-1)


ROWS: tuple[Sample, ...] = (
    Sample(
        "stationary-ar",
        iso.StationaryAR(),
        outside=([0.5, 0.75], [2.0, -1.5], [np.nan, 0.5]),
        borders=([0.5, -1.0],),
        raws=((1,), (3,), (15,)),
        unit="norm",
        usable=stationary,
    ),
)
