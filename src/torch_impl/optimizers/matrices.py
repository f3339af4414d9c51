"""Optimizers that see a parameter as a matrix."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.optimizers import Adafactor, Muon
from torch_impl.optimizers.arithmetic import add_, decayed, lerp, lerp_


def adafactor_step(spec: Adafactor, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Adafactor`."""
    least = torch.finfo(params.dtype).eps if spec.eps[0] is None else spec.eps[0]
    share = t**spec.beta2_decay
    size = max(spec.eps[1], _rms(params)) * min(spec.lr, 1 / t**0.5)
    params, grads = decayed(spec, params, grads)
    if "variance" in state:
        estimate = lerp_(state["variance"], grads * grads, share)
        after = {"variance": estimate}
    else:
        row = lerp_(state["row_var"], _mean_square(grads, -1), share)
        column = lerp_(state["col_var"], _mean_square(grads, -2), share)
        estimate = row @ column / row.mean(-2, keepdim=True).clamp(min=least)
        after = {"row_var": row, "col_var": column}
    change = estimate.clamp(min=least * least).rsqrt() * grads
    return add_(params, change, -size / max(1.0, _rms(change) / spec.d)), after


def muon_step(spec: Muon, params: Array, grads: Array, state: dict[str, Any], t: Any) -> tuple[Array, dict[str, Any]]:
    """One step of `Muon`."""
    buffer = lerp_(state["momentum_buffer"], grads, 1 - spec.momentum)
    along = lerp(grads, buffer, spec.momentum) if spec.nesterov else buffer
    params, _ = decayed(spec, params, grads)
    change = orthogonal(spec, along).to(params.dtype)
    return add_(params, change, -(spec.lr * spec.ratio(tuple(params.shape)))), {"momentum_buffer": buffer}


def orthogonal(spec: Muon, matrix: Array) -> Array:
    """The nearly orthogonal matrix of Newton-Schulz iterations, in bfloat16.

    # twin: torch adds two terms in its product of matrices; JAX takes the products in float32 and rounds their sum.
    """
    a, b, c = spec.ns_coefficients
    x = matrix.bfloat16()
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    x = x / x.norm().clamp(min=spec.eps)
    for _ in range(spec.ns_steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _mean_square(x: Array, axis: int) -> Array:
    return torch.norm(x, dim=axis, keepdim=True).square() / x.size(axis)


def _rms(x: Array) -> float:
    return float(torch.linalg.vector_norm(x)) / x.numel() ** 0.5
