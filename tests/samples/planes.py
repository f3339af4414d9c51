"""Specs of `isoparam.specs.planes`."""

import numpy as np

import isoparam as iso
from samples.sample import Sample

NORMAL = [0.5, -1.5, 0.25, 1.0]


def below(value: np.ndarray) -> np.ndarray:
    """Which rows are inside by more than a rounding error."""
    return 0.75 - value.astype(np.float64) @ np.array(NORMAL) > 1e-3


ROWS: tuple[Sample, ...] = (
    Sample(
        "hyperplane",
        iso.Hyperplane(NORMAL, 0.75),
        outside=([0.5, 0.5, 1.0, 0.5], [np.nan, 0.0, 0.0, 0.75], [np.inf, 0.0, 0.0, 0.0]),
        raws=((3,), (3,)),
        unit="norm",
        volume="surface",
        only_checked=True,
    ),
    Sample(
        "half-space",
        iso.HalfSpace(NORMAL, 0.75),
        outside=([0.5, -0.5, 1.0, 1.0], [np.nan, 0.0, 0.0, 0.0], [np.inf, 0.0, 0.0, 0.0]),
        borders=([0.5, 0.0, 2.0, 0.0],),
        raws=((4,), (4,)),
        unit="norm",
        usable=below,
    ),
    Sample(
        "half-space-exp",
        iso.HalfSpace(NORMAL, 0.75, link="exp"),
        outside=([0.5, -0.5, 1.0, 1.0],),
        borders=([0.5, 0.0, 2.0, 0.0],),
        raws=((4,), (4,)),
        unit="norm",
        usable=below,
        like="half-space",
        far=20.0,
    ),
)
