"""isoparam.torch on numpy arrays, one function per question of `oracle.judge`."""

import numpy as np
import torch

from isoparam.torch import forward, inverse, log_abs_det, project


def pullback(spec, raw, cotangent):
    leaf = torch.tensor(raw, requires_grad=True)
    (gradient,) = torch.autograd.grad(forward(spec, leaf), leaf, torch.tensor(cotangent))
    return gradient.numpy()


def log_abs_det_gradient(spec, raw):
    leaf = torch.tensor(raw, requires_grad=True)
    total = log_abs_det(spec, leaf).sum()
    if not total.requires_grad:  # Real: log |det| is 0 everywhere
        return np.zeros_like(raw)
    return torch.autograd.grad(total, leaf)[0].numpy()


CALLS = {
    "forward": lambda spec, raw: forward(spec, torch.tensor(raw)).numpy(),
    "inverse": lambda spec, value: inverse(spec, torch.tensor(value)).numpy(),
    "log_abs_det": lambda spec, raw: log_abs_det(spec, torch.tensor(raw)).numpy(),
    "pullback": pullback,
    "log_abs_det_gradient": log_abs_det_gradient,
    "project": lambda spec, point: project(spec, torch.tensor(point)).numpy(),
}
