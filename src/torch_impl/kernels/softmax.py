"""softmax along the last axis: over-parametrised, and with a last logit of 0."""

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.elementary import exp, expm1, log, two_sum
from torch_impl.kernels.links import log_ratio
from torch_impl.kernels.sums import sum_once


@with_rule(
    push=lambda x, y, tangent: softmax_derivative(y, tangent),
    pull=lambda x, y, cotangent: softmax_derivative(y, cotangent),
)
def softmax(x: Array) -> Array:
    """exp(x)/sum exp(x): n numbers to n positive ones that sum to 1."""
    exponent, rest = _exponents(x)
    weights = exp(exponent) * (1 + rest)
    return weights / sum_once(weights)


@with_rule(
    push=lambda x, y, tangent: softmax_derivative(softmax(x), tangent),
    pull=lambda x, y, cotangent: softmax_derivative(softmax(x), cotangent),
)
def softmax_centred(x: Array) -> Array:
    """softmax(x) - 1/n, without cancellation where the weights are nearly equal."""
    exponent, rest = _exponents(x)
    excess = expm1(exponent)
    excess = excess + (excess + 1) * rest
    n = excess.shape[-1]
    total = sum_once(excess)
    return (excess - total / n) / (n + total)


@with_rule(
    push=lambda x, y, tangent: -x.shape[-1] * torch.sum(softmax_centred(x) * tangent, dim=-1),
    pull=lambda x, y, cotangent: -x.shape[-1] * softmax_centred(x) * cotangent[..., None],
)
def sum_log_softmax(x: Array) -> Array:
    """sum_k log softmax(x)_k: no term has the other sign, measured from the largest x."""
    exponent, rest = _exponents(x)
    weights = exp(exponent) * (1 + rest)
    return (sum_once(exponent + rest) - x.shape[-1] * log(sum_once(weights)))[..., 0]


def log_over_last(y: Array) -> Array:
    """log(y_k/y_n) for k < n: the inverse of softmax with a last logit of 0, free of the scale of y."""
    last = y[..., -1:]
    return log_ratio(y[..., :-1], last, y[..., :-1] - last, y[..., :-1] + last)


def softmax_derivative(y: Array, tangent: Array) -> Array:
    """(diag y - y y^T) tangent, measured from the largest weight so that nothing cancels at a vertex. Symmetric."""
    largest = torch.arange(y.shape[-1], device=y.device) == torch.argmax(y, dim=-1, keepdim=True)
    others = torch.where(largest, 0.0, y)
    offset = tangent - torch.sum(torch.where(largest, tangent, 0.0), dim=-1, keepdim=True)
    change = others * (offset - torch.sum(others * offset, dim=-1, keepdim=True))
    return torch.where(largest, -torch.sum(change, dim=-1, keepdim=True), change)


def weights_derivative(y: Array, tangent: Array) -> Array:
    """The same in the digits of float64, for weights that came from float32: what the largest entry should have is the sum
    of the others', so what is missing from a sum of 0 goes to the entries by weight.
    """
    total = torch.sum(y, dim=-1, keepdim=True)
    change = y * (tangent - torch.linalg.vecdot(y, tangent)[..., None] / total)
    return torch.addcmul(change, y, torch.sum(change, dim=-1, keepdim=True) / -total) / total


def _exponents(x: Array) -> tuple[Array, Array]:
    """x - max x and its rounding error."""
    exponent, rest = two_sum(x, -torch.amax(x, dim=-1, keepdim=True))
    return exponent, torch.where(torch.isfinite(exponent), rest, 0.0)
