"""The sink that adds distances to the border to the rows of `train`."""

from typing import Any

import numpy as np

from isoparam.borders import distance, saturation
from isoparam.errors import SpecError
from isoparam.problem import Problem
from isoparam.sinks.base import Row, Sink


class Watched(Sink):
    """Adds to each row of `train` how near the values are to the border of their sets, and passes it on.

    For each constrained value `x` that the row holds whole there follow `x.distance` and `x.saturation`, as
    `isoparam.borders.distance` and `isoparam.borders.saturation` define them. Values of more than 64 entries, which a row
    holds as min, mean and max, get neither; a `Monitor` reads them whole.

    Args:
        problem: whose constraints.
        sink: where the rows go. Closing this closes it.

    Raises:
        SpecError: for something that is no problem, or no sink.

    Example:
        >>> import isoparam as iso
        >>> problem, memory = iso.problems.get("scalar"), iso.sinks.Memory()
        >>> run = iso.train(problem, backend="torch", steps=3, callbacks=(iso.sinks.Watched(problem, memory),))
        >>> memory.history["x.distance"][0], memory.history["x.saturation"][0]
        (np.float64(0.5), np.float64(0.0))
    """

    def __init__(self, problem: Problem, sink: Sink) -> None:
        if not isinstance(problem, Problem):
            raise SpecError(f"Watched: problem={problem!r} must be an isoparam.Problem")
        if not isinstance(sink, Sink):
            raise SpecError(f"Watched: sink={sink!r} must be a sink such as isoparam.sinks.CSV('run.csv')")
        self._specs = problem.specs
        self._sink = sink

    def write(self, row: Row) -> None:
        """Pass on the row with what it was asked to add."""
        wider: dict[str, Any] = {}
        for name, value in row.items():
            wider[name] = value
            if name in self._specs:
                array = np.asarray(value)
                wider[f"{name}.distance"] = distance(self._specs[name], array)
                wider[f"{name}.saturation"] = saturation(self._specs[name], array)
        self._sink.write(wider)

    def close(self) -> None:
        """Close the sink behind."""
        self._sink.close()
