"""Rules of the balls."""

from math import log

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import L1Ball, L2Ball, LInfBall
from jax_impl.kernels.balls import ball_inverse, project_l1_ball, project_l2_ball, room, stick_inverse
from jax_impl.kernels.radial import ball, ball_log_det, stick, stick_log_det
from jax_impl.kernels.sums import sum_once
from jax_impl.registry import RULES
from jax_impl.scalar import IntervalRule


@RULES.implements(L2Ball)
class L2BallRule(Rule[Array]):
    @staticmethod
    def forward(spec: L2Ball, raw: Array) -> Array:
        return _radius(spec, raw) * ball(2, spec.link, raw)

    @staticmethod
    def inverse(spec: L2Ball, value: Array) -> Array:
        return ball_inverse(2, spec.link, _radius(spec, value), value)

    @staticmethod
    def log_abs_det(spec: L2Ball, raw: Array) -> Array:
        return raw.shape[-1] * log(_radius(spec, raw)) + ball_log_det(2, spec.link, raw)

    @staticmethod
    def project(spec: L2Ball, point: Array) -> Array:
        return project_l2_ball(_radius(spec, point), point)

    @staticmethod
    def contains(spec: L2Ball, value: Array, eps: float) -> Array:
        return room(2, _radius(spec, value), value)[..., 0] > 0


@RULES.implements(L1Ball)
class L1BallRule(Rule[Array]):
    @staticmethod
    def forward(spec: L1Ball, raw: Array) -> Array:
        return _radius(spec, raw) * (stick(raw) if spec.link == "stick" else ball(1, spec.link, raw))

    @staticmethod
    def inverse(spec: L1Ball, value: Array) -> Array:
        radius = _radius(spec, value)
        return stick_inverse(radius, value) if spec.link == "stick" else ball_inverse(1, spec.link, radius, value)

    @staticmethod
    def log_abs_det(spec: L1Ball, raw: Array) -> Array:
        unit = stick_log_det(raw) if spec.link == "stick" else ball_log_det(1, spec.link, raw)
        return raw.shape[-1] * log(_radius(spec, raw)) + unit

    @staticmethod
    def project(spec: L1Ball, point: Array) -> Array:
        return project_l1_ball(_radius(spec, point), point)

    @staticmethod
    def contains(spec: L1Ball, value: Array, eps: float) -> Array:
        return room(1, _radius(spec, value), value)[..., 0] > 0


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
        return jnp.all(IntervalRule.contains(spec.interval, value, eps), axis=-1)


def _radius(spec: L1Ball | L2Ball, array: Array) -> float:
    return spec.radius_in(array.dtype.type)
