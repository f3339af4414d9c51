"""The order of the data: one numpy Philox stream, the same index arrays for both backends."""

import numpy as np

DATA_ORDER = 1  # the streams drawn from one seed are told apart by this number


def stream(seed: int, *path: int) -> np.random.Generator:
    """The generator of one purpose: equal arguments give equal numbers, different ones independent numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=path)))


class DataOrder:
    """Which rows of the data each step sees.

    Every epoch is a permutation of its own, drawn from (seed, epoch). The permutations are laid end to end and cut into
    batches of one size: step k takes the places k*batch_size to (k+1)*batch_size, so that each row is seen equally
    often, a batch may span two epochs, and the order can be taken up at any step.

    Args:
        seed: the seed of the run.
        rows: rows of the data.
        batch_size: rows per step, at most `rows`.
    """

    def __init__(self, seed: int, rows: int, batch_size: int) -> None:
        self._seed = seed
        self._rows = rows
        self._batch_size = batch_size
        self._last: tuple[int, np.ndarray] = (-1, np.empty(0, np.int32))

    def indices(self, first: int, count: int) -> np.ndarray:
        """Row numbers of `count` steps from step `first` on: int32, shape (count, batch_size)."""
        start, stop = first * self._batch_size, (first + count) * self._batch_size
        places = np.empty(stop - start, np.int32)
        for epoch in range(start // self._rows, -(-stop // self._rows)):
            offset = epoch * self._rows
            low, high = max(start, offset), min(stop, offset + self._rows)
            places[low - start : high - start] = self._epoch(epoch)[low - offset : high - offset]
        return places.reshape(count, self._batch_size)

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._last[0] != epoch:
            order = stream(self._seed, DATA_ORDER, epoch).permutation(self._rows).astype(np.int32)
            self._last = (epoch, order)
        return self._last[1]


def data_order(seed: int, rows: int | None, batch_size: int | None) -> DataOrder | None:
    """The order in which the rows are taken; None where every step takes all of them."""
    return None if rows is None or batch_size is None else DataOrder(seed, rows, batch_size)
