"""Arguments as plain Python: what numpy and enumerations put into numbers and texts is taken off."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same number, text, list, tuple or dict in the types of Python itself; anything else is given back as it is.

    Arrays of numpy become lists. So what is computed with, compared and saved has one form, however it was written.

    Args:
        value: such as `np.float64(0.1)`, the member of a StrEnum, or a dict of them.

    Example:
        >>> import numpy as np
        >>> plain({"lr": np.float64(0.1), "betas": (np.float32(0.5), 0.75)})
        {'lr': 0.1, 'betas': (0.5, 0.75)}
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)  # str() of the member of an enumeration may be its name
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if type(value) in (tuple, list):
        return type(value)(plain(entry) for entry in value)
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    return value
