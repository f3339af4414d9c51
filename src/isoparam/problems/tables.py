"""The data of the built-in problems: one small CSV file each, with its source in the first lines."""

from importlib.resources import files

import numpy as np


def column(file: str) -> np.ndarray:
    """The numbers of a file with one column, in float64.

    Args:
        file: such as "earthquakes.csv", in the folder `data` beside this one.

    Example:
        >>> from isoparam.problems.tables import column
        >>> column("earthquakes.csv")[:3]
        array([13., 14.,  8.])
    """
    lines = files("isoparam.problems").joinpath("data", file).read_text(encoding="utf-8").splitlines()
    numbers = [line for line in lines if not line.startswith("#")][1:]
    return np.array(numbers, dtype=np.float64)
