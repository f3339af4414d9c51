"""Loss of the hidden Markov problem: hmm."""

from typing import Any

import torch
from torch import Tensor as Array


def hmm(values: dict[str, Array], batch: dict[str, Array]) -> Array:
    """-log likelihood of counts from a Poisson hidden Markov model with two states, which starts stationary.

        -log start P(count_1) T P(count_2) ... T P(count_n) 1,   P(c) = diag(rate_k^c exp(-rate_k) / c!)

    T is `transition`, whose rows sum to 1, and start = (T_21, T_12) / (T_21 + T_12) its stationary distribution.
    """
    leave = torch.stack([values["transition"][1, 0], values["transition"][0, 1]])
    count, rate = batch["count"][:, None], values["rate"]
    log_density = count * torch.log(rate) - rate - batch["log_factorial"][:, None]
    largest = torch.amax(log_density.detach(), dim=-1, keepdim=True)  # taken out, so that exp does not underflow
    density = torch.exp(log_density - largest)
    return -(_log_forward(leave / torch.sum(leave), values["transition"], density) + torch.sum(largest))


def _log_forward(start: Array, transition: Array, density: Array) -> Array:
    """log(start T P_1 T P_2 ... T P_n 1) for P_t = diag(density_t), scaled on the way so that it does not underflow.

    The first T changes nothing, as start T = start.

    # twin: torch takes log2(n) passes over all times, as a Python loop pays for every step; JAX compiles the loop over time.
    """
    matrices = transition * density[:, None, :]
    log_scale = torch.zeros_like(density[0, 0])
    while len(matrices) > 1:
        even = len(matrices) // 2 * 2
        pairs = matrices[0:even:2] @ matrices[1:even:2]
        scale = torch.amax(pairs.detach(), dim=(-2, -1), keepdim=True)  # the result does not depend on it
        matrices = torch.cat([pairs / scale, matrices[even:]])
        log_scale = log_scale + torch.sum(torch.log(scale))
    return torch.log(torch.sum(start @ matrices[0])) + log_scale


LOSSES: dict[str, Any] = {"hmm": hmm}
