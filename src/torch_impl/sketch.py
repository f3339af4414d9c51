"""One spec along a line of raw numbers, for the catalogue's pictures."""

import numpy as np
import torch

from isoparam.specs import Spec
from torch_impl.verbs import forward


def along(spec: Spec, raws: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flattened value of each raw, and its derivative along a direction of raw, in float64.

    Args:
        spec: what the value obeys.
        raws: raw arrays, stacked on the first axis.
        direction: one array of the shape of a raw.

    Returns:
        Two arrays with one row per raw.

    Example:
        >>> import numpy as np, isoparam as iso
        >>> from torch_impl.sketch import along
        >>> values, slopes = along(iso.Interval(0, 1), np.array([[0.0]]), np.array([1.0]))
        >>> values.tolist(), slopes.tolist()
        ([[0.5]], [[0.25]])
    """
    at, towards = torch.tensor(raws), torch.tensor(direction)
    results = [torch.func.jvp(lambda raw: forward(spec, raw).reshape(-1), (raw,), (towards,)) for raw in at]
    values, slopes = zip(*results, strict=True)
    return torch.stack(values).numpy(), torch.stack(slopes).numpy()
