"""Where the entries of a triangle stand in its matrix: indices, computed once in numpy for each side."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Places(NamedTuple):
    """Indices between a flat triangle, row by row, and the flattened square matrix.

    `entry` has one index for each entry of the matrix: that of the entry of the triangle which stands there, or the number
    of these, one past the last, where none does. `place` has one for each entry of the triangle: its place in the matrix.
    """

    entry: np.ndarray
    place: np.ndarray


@lru_cache(maxsize=64)
def triangle_places(side: int, below: int) -> Places:
    """The lower triangle of a square matrix from its diagonal (`below` = 0), or from the entries below that (1)."""
    rows, columns = np.tril_indices(side, -below)
    place = (rows * side + columns).astype(np.int32)
    entry = np.full(side * side, len(place), np.int32)
    entry[place] = np.arange(len(place), dtype=np.int32)
    return Places(entry, place)


@lru_cache(maxsize=64)
def triangle_rows(side: int) -> np.ndarray:
    """The row of each entry of a flat triangle without its diagonal."""
    return np.tril_indices(side, -1)[0].astype(np.int32)


@lru_cache(maxsize=64)
def row_sums(side: int) -> np.ndarray:
    """The matrix whose product with such a triangle has the sums of its rows: 0 and 1 in float64."""
    return (triangle_rows(side)[:, None] == np.arange(side)).astype(np.float64)
