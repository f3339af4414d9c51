"""Rules of the plane and the half space."""

from typing import Any

import torch
from torch import Tensor as Array

from isoparam.rules import Rule
from isoparam.specs import HalfSpace, Hyperplane
from isoparam.specs.planes import Plane, PlaneNumbers
from torch_impl.constants import plane_like
from torch_impl.kernels.derivatives import with_rule
from torch_impl.kernels.planes import Level, depth_below, level, moved
from torch_impl.kernels.sums import doubled, in_blocks, sum_once
from torch_impl.registry import RULES
from torch_impl.scalar import gap, gap_inverse, gap_log_slope


@RULES.implements(Hyperplane)
class HyperplaneRule(Rule[Array]):
    @staticmethod
    def forward(spec: Hyperplane, raw: Array) -> Array:
        p = plane_like(spec, raw).pivot
        flat = torch.zeros((*raw.shape[:-1], 1), dtype=raw.dtype, device=raw.device)
        return _mirrored_onto(torch.cat([raw[..., :p], flat, raw[..., p:]], dim=-1), spec)

    @staticmethod
    def inverse(spec: Hyperplane, value: Array) -> Array:
        p = plane_like(spec, value).pivot
        mirrored = _mirrored(value, spec)
        return torch.cat([mirrored[..., :p], mirrored[..., p + 1 :]], dim=-1)

    @staticmethod
    def log_abs_det(spec: Hyperplane, raw: Array) -> Array:
        return torch.zeros_like(torch.sum(raw, dim=-1))

    @staticmethod
    def project(spec: Hyperplane, point: Array) -> Array:
        # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
        if doubled(point):
            return in_blocks(lambda x: _plain_nearest(spec, x), point)
        return _nearest(spec, point, _level(spec, point))

    @staticmethod
    def contains(spec: Hyperplane, value: Array, eps: float) -> Array:
        if doubled(value):
            return in_blocks(lambda x: _plain_on(spec, x, eps), value)[..., 0] > 0
        at = _level(spec, value)
        tiny = value.shape[-1] * torch.finfo(value.dtype).tiny  # entries below the normal numbers are rounded in these
        return (torch.abs(at.head) <= 4 * eps * at.size + tiny * (1 / at.power))[..., 0]


@RULES.implements(HalfSpace)
class HalfSpaceRule(Rule[Array]):
    @staticmethod
    def forward(spec: HalfSpace, raw: Array) -> Array:
        n = plane_like(spec, raw)
        depth = n.side * gap(spec.link, raw[..., n.pivot : n.pivot + 1])
        return _mirrored_onto(torch.where(n.at_pivot, depth, raw), spec)

    @staticmethod
    def inverse(spec: HalfSpace, value: Array) -> Array:
        n = plane_like(spec, value)
        if doubled(value):
            raw_p = in_blocks(lambda x: gap_inverse(spec.link, _plain_depth(spec, x), 0.0), value)
            return torch.where(n.at_pivot, raw_p, _mirrored(value, spec))
        depth, error = depth_below(_level(spec, value), n.per_length, n.per_length_tail)
        return torch.where(n.at_pivot, gap_inverse(spec.link, depth, -error), _mirrored(value, spec))

    @staticmethod
    def log_abs_det(spec: HalfSpace, raw: Array) -> Array:
        return gap_log_slope(spec.link, raw[..., plane_like(spec, raw).pivot])

    @staticmethod
    def project(spec: HalfSpace, point: Array) -> Array:
        if doubled(point):
            return in_blocks(lambda x: torch.where(_plain_depth(spec, x) < 0, _plain_nearest(spec, x), x), point)
        at = _level(spec, point)
        return torch.where(at.head + at.tail > 0, _nearest(spec, point, at), point)

    @staticmethod
    def contains(spec: HalfSpace, value: Array, eps: float) -> Array:
        if doubled(value):
            return in_blocks(lambda x: torch.sign(_plain_depth(spec, x)), value)[..., 0] > 0
        at = _level(spec, value)
        return (at.head + at.tail < 0)[..., 0]


def _level(spec: Plane, point: Array) -> Level:
    """a.point - b."""
    n = plane_like(spec, point)
    return level(point, n.normal, n.normal_rest, n.normal_tail, n.offset)


def _nearest(spec: Plane, point: Array, at: Level) -> Array:
    n = plane_like(spec, point)
    if n.alone:  # an entry however far away is replaced: no difference could keep that many digits
        return torch.where(n.at_pivot, n.foot, point)
    none = torch.zeros_like(point)
    return moved(point, at, n.lean, n.lean_tail, none, none)


# twin: torch gives a mirror image its own derivative, which is the mirror again and keeps nothing; XLA finds that by itself.
def _mirror_again(point: Array, spec: Plane, y: None, change: Array) -> Array:
    return _mirrored(change, spec)


@with_rule(push=_mirror_again, pull=_mirror_again, keeps_value=False)
def _mirrored(point: Array, spec: Plane) -> Array:
    n = plane_like(spec, point)
    if doubled(point):
        return in_blocks(lambda x: _plain_moved(x, _mirror_level(n, x), _wide(n.turn, n.turn_tail), 0.0), point)
    none = torch.zeros_like(point)
    return moved(point, level(point, n.mirror, n.mirror_rest, n.mirror_tail, 0.0), n.turn, n.turn_tail, none, none)


@with_rule(push=_mirror_again, pull=_mirror_again, keeps_value=False)
def _mirrored_onto(point: Array, spec: Plane) -> Array:
    """The mirror image, moved from the plane through 0 to the plane."""
    n = plane_like(spec, point)
    if doubled(point):
        foot = _wide(n.foot, n.foot_tail)
        return in_blocks(lambda x: _plain_moved(x, _mirror_level(n, x), _wide(n.turn, n.turn_tail), foot), point)
    at = level(point, n.mirror, n.mirror_rest, n.mirror_tail, 0.0)
    return moved(point, at, n.turn, n.turn_tail, n.foot, n.foot_tail)


def _mirror_level(n: PlaneNumbers, x: Array) -> Array:
    return torch.sum(x.double() * _wide(n.mirror, n.mirror_rest, n.mirror_tail), dim=-1, keepdim=True)


def _plain_depth(spec: Plane, x: Array) -> Array:
    """How far below the plane x is."""
    n = plane_like(spec, x)
    per_length = n.per_length + n.per_length_tail
    return -per_length * _plain_level(x, _wide(n.normal, n.normal_rest, n.normal_tail), n.offset)


def _plain_on(spec: Plane, x: Array, eps: float) -> Array:
    """1 where x is on the plane up to rounding, 0 elsewhere."""
    n = plane_like(spec, x)
    normal = _wide(n.normal, n.normal_rest, n.normal_tail)
    size = torch.sum(torch.abs(x * normal), dim=-1, keepdim=True) + abs(n.offset)
    tiny = x.shape[-1] * torch.finfo(x.dtype).tiny  # entries below the normal numbers are rounded in these
    return (torch.abs(_plain_level(x, normal, n.offset)) <= 4 * eps * size + tiny).to(x.dtype)


def _plain_nearest(spec: Plane, x: Array) -> Array:
    n = plane_like(spec, x)
    if n.alone:
        return torch.where(n.at_pivot, n.foot, x)
    at = _plain_level(x, _wide(n.normal, n.normal_rest, n.normal_tail), n.offset)
    return _plain_moved(x, at, _wide(n.lean, n.lean_tail), 0.0)


def _plain_level(x: Array, w: Array, offset: float) -> Array:
    """w.x - offset in float64, right also where it cancels, for x and w of the digits of float32: such products are exact."""
    terms = x.double() * w
    return sum_once(torch.cat([terms, torch.full_like(terms[..., :1], -offset)], dim=-1))


def _plain_moved(x: Array, by: Array, along: Array, start: Any) -> Array:
    """start + x - along (w.x - b) in float64."""
    return (x + start) - along * by


def _wide(head: Array, *rest: Array) -> Array:
    """The sum of the parts of a vector, in float64."""
    total = head.double()
    for part in rest:
        total = total + part
    return total
