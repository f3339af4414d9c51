"""Rules of the balls."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import L1Ball, L2Ball, LInfBall
from torch_impl.constants import ball_like
from torch_impl.kernels.balls import ball_inverse, project_l1_ball, project_l2_ball, room, stick_inverse
from torch_impl.kernels.radial import ball, ball_log_det, stick, stick_log_det, with_log_radius
from torch_impl.kernels.sums import sum_once
from torch_impl.registry import RULES
from torch_impl.scalar import IntervalRule


@RULES.implements(L2Ball)
class L2BallRule(Rule[Array]):
    @staticmethod
    def forward(spec: L2Ball, raw: Array) -> Array:
        return ball_like(spec, raw).radius * ball(2, spec.link, raw)

    @staticmethod
    def inverse(spec: L2Ball, value: Array) -> Array:
        n = ball_like(spec, value)
        return ball_inverse(2, spec.link, n.whole, n.scale, value)

    @staticmethod
    def log_abs_det(spec: L2Ball, raw: Array) -> Array:
        n = ball_like(spec, raw)
        return with_log_radius(n.log_radius, n.log_radius_rest, raw.shape[-1], ball_log_det(2, spec.link, raw))

    @staticmethod
    def project(spec: L2Ball, point: Array) -> Array:
        n = ball_like(spec, point)
        return project_l2_ball(n.radius, n.whole, n.scale, point)

    @staticmethod
    def contains(spec: L2Ball, value: Array, eps: float) -> Array:
        n = ball_like(spec, value)
        return room(2, n.whole, n.scale, value)[..., 0] > 0


@RULES.implements(L1Ball)
class L1BallRule(Rule[Array]):
    @staticmethod
    def forward(spec: L1Ball, raw: Array) -> Array:
        return ball_like(spec, raw).radius * (stick(raw) if spec.link == "stick" else ball(1, spec.link, raw))

    @staticmethod
    def inverse(spec: L1Ball, value: Array) -> Array:
        n = ball_like(spec, value)
        if spec.link == "stick":
            return stick_inverse(n.whole, n.scale, value)
        return ball_inverse(1, spec.link, n.whole, n.scale, value)

    @staticmethod
    def log_abs_det(spec: L1Ball, raw: Array) -> Array:
        n = ball_like(spec, raw)
        unit = stick_log_det(raw) if spec.link == "stick" else ball_log_det(1, spec.link, raw)
        return with_log_radius(n.log_radius, n.log_radius_rest, raw.shape[-1], unit)

    @staticmethod
    def project(spec: L1Ball, point: Array) -> Array:
        n = ball_like(spec, point)
        return project_l1_ball(n.radius, n.whole, n.scale, point)

    @staticmethod
    def contains(spec: L1Ball, value: Array, eps: float) -> Array:
        n = ball_like(spec, value)
        return room(1, n.whole, n.scale, value)[..., 0] > 0


@RULES.implements(LInfBall)
class LInfBallRule(Rule[Array]):
    @staticmethod
    def forward(spec: LInfBall, raw: Array) -> Array:
        return IntervalRule.forward(spec.interval, raw)

    @staticmethod
    def inverse(spec: LInfBall, value: Array) -> Array:
        return IntervalRule.inverse(spec.interval, value)

    @staticmethod
    def log_abs_det(spec: LInfBall, raw: Array) -> Array:
        return sum_once(IntervalRule.log_abs_det(spec.interval, raw))[..., 0]

    @staticmethod
    def project(spec: LInfBall, point: Array) -> Array:
        return IntervalRule.project(spec.interval, point)

    @staticmethod
    def contains(spec: LInfBall, value: Array, eps: float) -> Array:
        return torch.all(IntervalRule.contains(spec.interval, value, eps), dim=-1)
