"""What a verb costs beyond its arithmetic: the memory that backward keeps, and the numbers that are written on the way.

Counted, not timed: both are the same on every machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import isoparam as iso
from isoparam.torch import contains, forward, inverse, project

PLANE = np.linspace(1.0, 2.0, 100)

# The spec, the shape of raw, and how many times the memory of raw backward may keep.
KEPT = {
    "hyperplane": (iso.Hyperplane(PLANE, 1.0), (50, 99), 1.1),
    "half-space": (iso.HalfSpace(PLANE, 1.0), (50, 100), 2.1),
    "ball": (iso.L2Ball(), (50, 100), 1.1),
    "covariance": (iso.Covariance(), (5050,), 1.1),
    "cayley": (iso.Orthogonal(), (4950,), 3.2),
    "small cayley": (iso.Orthogonal(), (100, 28), 6.2),
    "cayley of few columns": (iso.Stiefel(columns=10), (2945,), 5.0),
    "autoregression": (iso.StationaryAR(), (50, 20), 1.1),
}

# The verb, the spec, the shape of raw, and how many times the memory of the value may be written in float32.
WRITTEN = {
    "forward of hyperplane": (forward, iso.Hyperplane(PLANE, 1.0), (50, 99), 16),
    "inverse of hyperplane": (inverse, iso.Hyperplane(PLANE, 1.0), (50, 99), 45),
    "projection onto hyperplane": (project, iso.Hyperplane(PLANE, 1.0), (50, 99), 30),
    "inside of hyperplane": (contains, iso.Hyperplane(PLANE, 1.0), (50, 99), 30),
    "inverse of half-space": (inverse, iso.HalfSpace(PLANE, 1.0), (50, 100), 55),
    "inverse of simplex": (inverse, iso.Simplex(), (50, 99), 45),
    "inverse of ordered interval": (inverse, iso.OrderedInterval(0.0, 1.0), (50, 100), 80),
    "inverse of autoregression": (inverse, iso.StationaryAR(), (50, 20), 300),
    "inverse of ball": (inverse, iso.L2Ball(), (50, 100), 55),
    "projection onto ball": (project, iso.L2Ball(), (50, 100), 40),
    "projection onto l1 ball": (project, iso.L1Ball(), (50, 100), 55),
    "projection onto half-space": (project, iso.HalfSpace(PLANE, 1.0), (50, 100), 55),
}


class Written(TorchDispatchMode):
    """Adds up the bytes of what operations give, but for views."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for entry in result if isinstance(result, tuple | list) else [result]:
            if isinstance(entry, Tensor) and not entry._is_view():
                self.bytes += entry.nbytes
        return result


def written(function: Callable[[], Any]) -> int:
    """Bytes that a call writes, of the second call: constants are made by the first."""
    function()
    with Written() as mode:
        function()
    return mode.bytes


@pytest.mark.parametrize("name", KEPT)
def test_backward_keeps_little_memory(name: str) -> None:
    spec, shape, most = KEPT[name]
    raw = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward(spec, raw)
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) <= most * raw.nbytes


@pytest.mark.parametrize("name", WRITTEN)
def test_float32_is_written_a_few_times_only(name: str) -> None:
    verb, spec, shape, most = WRITTEN[name]
    raw = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    value = forward(spec, raw)
    assert written(lambda: verb(spec, raw if verb is forward else value)) <= most * value.nbytes
