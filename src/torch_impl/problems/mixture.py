"""Loss of the mixture problem: faithful."""

import math
from typing import Any

import torch
from torch import Tensor as Array


def faithful(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of waiting times from a mixture of normals.

    -sum_n log sum_k share_k / (sd_k sqrt(2 pi)) exp(-((waiting_n - mean_k) / sd_k)^2 / 2)
    """
    z = (batch["waiting"][:, None] - values["mean"]) / values["sd"]
    log_density = torch.log(values["share"]) - torch.log(values["sd"]) - 0.5 * math.log(2 * math.pi) - z**2 / 2
    return -torch.sum(torch.logsumexp(log_density, dim=-1))


LOSSES: dict[str, Any] = {"faithful": faithful}
