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
    start = leave / torch.sum(leave)
    count, rate = batch["count"][:, None], values["rate"]
    log_density = count * torch.log(rate) - rate - batch["log_factorial"][:, None]
    largest = torch.amax(log_density.detach(), dim=-1, keepdim=True)  # taken out, so that exp does not underflow
    product, log_scale = _product(values["transition"] * torch.exp(log_density - largest)[:, None, :])
    # start T = start: the transition before the first count changes nothing.
    return -(torch.log(torch.sum(start @ product)) + log_scale + torch.sum(largest))


def _product(matrices: Array) -> tuple[Array, Array]:
    """The product of positive matrices (n, k, k) in order, as a matrix and the logarithm of a factor, in log2(n) passes.

    Each pass multiplies neighbours and takes out the largest entry, so that long products do not underflow. The result does
    not depend on what is taken out, and so its derivative is 0.
    """
    log_scale = torch.zeros_like(matrices[0, 0, 0])
    while len(matrices) > 1:
        even = len(matrices) // 2 * 2
        pairs = matrices[0:even:2] @ matrices[1:even:2]
        scale = torch.amax(pairs.detach(), dim=(-2, -1), keepdim=True)
        matrices = torch.cat([pairs / scale, matrices[even:]])
        log_scale = log_scale + torch.sum(torch.log(scale))
    return matrices[0], log_scale


LOSSES: dict[str, Any] = {"hmm": hmm}
