"""The rule of angles."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import Circular
from torch_impl.constants import turn_like
from torch_impl.kernels.circle import wrap
from torch_impl.registry import RULES


@RULES.implements(Circular)
class CircularRule(Rule[Array]):
    @staticmethod
    def forward(spec: Circular, raw: Array) -> Array:
        return wrap(raw)

    @staticmethod
    def inverse(spec: Circular, value: Array) -> Array:
        turn = turn_like(value)
        return torch.where((value >= -turn.half) & (value < turn.half), value, torch.nan)

    @staticmethod
    def log_abs_det(spec: Circular, raw: Array) -> Array:
        return torch.zeros_like(raw)

    @staticmethod
    def project(spec: Circular, point: Array) -> Array:
        return wrap(point)

    @staticmethod
    def contains(spec: Circular, value: Array, eps: float) -> Array:
        turn = turn_like(value)
        return (value >= -turn.half) & (value < turn.half)
