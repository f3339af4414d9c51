"""Specs of `isoparam.specs.triangles`."""

import numpy as np

import isoparam as iso
from samples.sample import INF, Sample


def lower_entries(shape: tuple[int, ...]) -> np.ndarray:
    """Indices of the lower triangle in the flattened matrix."""
    return np.ravel_multi_index(np.tril_indices(shape[-1]), shape[-2:])


def strict_entries(shape: tuple[int, ...]) -> np.ndarray:
    """Indices of the entries below the diagonal in the flattened matrix."""
    return np.ravel_multi_index(np.tril_indices(shape[-1], -1), shape[-2:])


WITH_DIAGONAL = ((1,), (6,), (15,))
WITHOUT = ((1,), (3,), (10,))

ROWS: tuple[Sample, ...] = (
    Sample(
        "lower",
        iso.LowerTriangular(),
        outside=([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [np.nan, 1.0]], [[1.0, 0.0], [INF, 1.0]]),
        raws=WITH_DIAGONAL,
        unit="entry",
        volume=lower_entries,
    ),
    Sample(
        "lower-unit",
        iso.LowerTriangular(diagonal="unit"),
        outside=([[2.0, 0.0], [3.0, 1.0]], [[1.0, 1.0], [3.0, 1.0]]),
        raws=WITHOUT,
        unit="entry",
        volume=strict_entries,
    ),
    Sample(
        "lower-zero",
        iso.LowerTriangular(diagonal="zero"),
        outside=([[1.0, 0.0], [3.0, 0.0]],),
        raws=WITHOUT,
        unit="entry",
        volume=strict_entries,
        like="lower-unit",
    ),
    Sample(
        "symmetric",
        iso.Symmetric(),
        outside=([[1.0, 2.0], [3.0, 4.0]], [[np.nan, 0.0], [0.0, 1.0]], [[1.0, INF], [INF, 1.0]]),
        raws=WITH_DIAGONAL,
        unit="entry",
        volume=lower_entries,
    ),
    Sample(
        "skew",
        iso.SkewSymmetric(),
        outside=([[0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]], [[0.0, np.nan], [1.0, 0.0]]),
        raws=WITHOUT,
        unit="entry",
        volume=strict_entries,
    ),
)
