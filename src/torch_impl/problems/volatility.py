"""Loss of the volatility problem: garch."""

import math
from typing import Any

import torch
from torch import Tensor as Array
from torch.nn.functional import pad


def garch(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of returns whose variance follows a GARCH(1, 1).

        e_t = return_t - mu,   h_t = omega + alpha e_{t-1}^2 + beta h_{t-1},   sum_t (log(2 pi h_t) + e_t^2 / h_t) / 2

    alpha and beta are the first two of `weights`. Before the sample, h and e^2 are the mean of all e_t^2.
    """
    alpha, beta, _ = values["weights"].unbind()
    square = (batch["return"] - values["mu"]) ** 2
    before = torch.mean(square)
    drive = values["omega"] + alpha * torch.cat([before[None], square[:-1]])
    variance = _discounted(drive, beta, before)
    return torch.sum(math.log(2 * math.pi) + torch.log(variance) + square / variance) / 2


def _discounted(drive: Array, factor: Array, before: Array) -> Array:
    """x_t = drive_t + factor x_{t-1}, from x_0 = before.

    Every sum is of one sign where all three are positive, so nothing cancels; powers of the factor only underflow.

    # twin: torch takes log2(n) passes over all times, as a Python loop pays for every step; JAX compiles the loop over time.
    """
    x, reach = torch.cat([(drive[0] + factor * before)[None], drive[1:]]), 1
    while reach < len(drive):  # x_t is now the sum of factor^j drive_{t-j} over j < reach
        x = x + factor * pad(x[:-reach], (reach, 0))
        factor, reach = factor * factor, 2 * reach
    return x


LOSSES: dict[str, Any] = {"garch": garch}
