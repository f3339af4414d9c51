"""Losses of the problems with nothing but a formula: scalar and linkage."""

from typing import Any

import torch
from torch import Tensor as Array


def scalar(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """(x - 0.9)^2."""
    return (values["x"] - 0.9) ** 2


def linkage(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of the four counts, without the multinomial coefficient."""
    t = values["t"]
    probability = torch.stack([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
    return -torch.sum(batch["count"] * torch.log(probability))


LOSSES: dict[str, Any] = {"scalar": scalar, "linkage": linkage}
