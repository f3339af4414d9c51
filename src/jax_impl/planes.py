"""Rules of the plane and the half space."""

import jax.numpy as jnp
from jax import Array

from isoparam.rules import Rule
from isoparam.specs import HalfSpace, Hyperplane
from isoparam.specs.planes import Plane
from jax_impl.constants import plane_like
from jax_impl.kernels.planes import Level, depth_below, level, moved
from jax_impl.registry import RULES
from jax_impl.scalar import gap, gap_inverse, gap_log_slope


@RULES.implements(Hyperplane)
class HyperplaneRule(Rule[Array]):
    @staticmethod
    def forward(spec: Hyperplane, raw: Array) -> Array:
        p = plane_like(spec, raw).pivot
        flat = jnp.zeros((*raw.shape[:-1], 1), dtype=raw.dtype)
        return _mirrored_onto(spec, jnp.concatenate([raw[..., :p], flat, raw[..., p:]], axis=-1))

    @staticmethod
    def inverse(spec: Hyperplane, value: Array) -> Array:
        p = plane_like(spec, value).pivot
        mirrored = _mirrored(spec, value)
        return jnp.concatenate([mirrored[..., :p], mirrored[..., p + 1 :]], axis=-1)

    @staticmethod
    def log_abs_det(spec: Hyperplane, raw: Array) -> Array:
        return jnp.zeros_like(jnp.sum(raw, axis=-1))

    @staticmethod
    def project(spec: Hyperplane, point: Array) -> Array:
        # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
        return _nearest(spec, point, _level(spec, point))

    @staticmethod
    def contains(spec: Hyperplane, value: Array, eps: float) -> Array:
        at = _level(spec, value)
        tiny = value.shape[-1] * float(jnp.finfo(value.dtype).tiny)  # entries below the normal numbers are rounded in these
        return (jnp.abs(at.head) <= 4 * eps * at.size + tiny * (1 / at.power))[..., 0]


@RULES.implements(HalfSpace)
class HalfSpaceRule(Rule[Array]):
    @staticmethod
    def forward(spec: HalfSpace, raw: Array) -> Array:
        n = plane_like(spec, raw)
        depth = n.side * gap(spec.link, raw[..., n.pivot : n.pivot + 1])
        return _mirrored_onto(spec, jnp.where(n.at_pivot, depth, raw))

    @staticmethod
    def inverse(spec: HalfSpace, value: Array) -> Array:
        n = plane_like(spec, value)
        depth, error = depth_below(_level(spec, value), n.per_length, n.per_length_tail)
        return jnp.where(n.at_pivot, gap_inverse(spec.link, depth, -error), _mirrored(spec, value))

    @staticmethod
    def log_abs_det(spec: HalfSpace, raw: Array) -> Array:
        return gap_log_slope(spec.link, raw[..., plane_like(spec, raw).pivot])

    @staticmethod
    def project(spec: HalfSpace, point: Array) -> Array:
        at = _level(spec, point)
        return jnp.where(at.head + at.tail > 0, _nearest(spec, point, at), point)

    @staticmethod
    def contains(spec: HalfSpace, value: Array, eps: float) -> Array:
        at = _level(spec, value)
        return (at.head + at.tail < 0)[..., 0]


def _level(spec: Plane, point: Array) -> Level:
    """a.point - b."""
    n = plane_like(spec, point)
    return level(point, n.normal, n.normal_rest, n.normal_tail, n.offset)


def _nearest(spec: Plane, point: Array, at: Level) -> Array:
    n = plane_like(spec, point)
    if n.alone:  # an entry however far away is replaced: no difference could keep that many digits
        return jnp.where(n.at_pivot, n.foot, point)
    none = jnp.zeros_like(point)
    return moved(point, at, n.lean, n.lean_tail, none, none)


# twin: torch gives a mirror image its own derivative, which is the mirror again and keeps nothing; XLA finds that by itself.
def _mirrored(spec: Plane, point: Array) -> Array:
    n = plane_like(spec, point)
    none = jnp.zeros_like(point)
    return moved(point, level(point, n.mirror, n.mirror_rest, n.mirror_tail, 0.0), n.turn, n.turn_tail, none, none)


def _mirrored_onto(spec: Plane, point: Array) -> Array:
    """The mirror image, moved from the plane through 0 to the plane."""
    n = plane_like(spec, point)
    at = level(point, n.mirror, n.mirror_rest, n.mirror_tail, 0.0)
    return moved(point, at, n.turn, n.turn_tail, n.foot, n.foot_tail)
