"""The public verbs: check the arguments once, move the axis, call the rule, give back the dtype that came in."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec, VectorSpec
from jax_impl.kernels.derivatives import settings_for, with_rule
from jax_impl.registry import RULES

SHAPED = ("forward", "inverse", "project")
"""The verbs whose result has the axes of a value or of a raw; the others have one result per value."""


def forward(spec: Spec, raw: Array) -> Array:
    """The constrained value of raw.

    Args:
        spec: what the value obeys, such as `isoparam.Interval(0, 1)`.
        raw: any floating array of a shape that the spec accepts.

    Returns:
        An array of the same dtype; shape `spec.value_shape(raw.shape)`.

    Raises:
        SpecError: for something that is no floating array, or a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import forward
        >>> forward(iso.Simplex(), jnp.zeros(3)).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return _apply(spec, "forward", raw)


def inverse(spec: Spec, value: Array, check: bool = True) -> Array:
    """The raw that has this value.

    Args:
        spec: what the value obeys.
        value: a point inside the set.
        check: look whether the value lies inside and raise if not. Under jit, vmap and grad, where no
            number can be looked at, an outside value gives nan and a border gives an infinity.

    Returns:
        An array of the same dtype; shape `spec.raw_shape(value.shape)`.

    Raises:
        SpecError: for something that is no floating array, or a shape that does not fit the spec.
        DomainError: for a value outside the set, or on its border, where raw would be infinite.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import inverse
        >>> inverse(iso.Interval(0, 2), jnp.asarray(1.0)).item()
        0.0
    """
    if check and is_concrete(value):
        with jax.ensure_compile_time_eval():  # inside jit, operations on plain numbers are traced too
            inside = np.asarray(contains(spec, value))
        if not inside.all():
            raise DomainError(spec.refusal(np.asarray(value), inside))
    raw = _apply(spec, "inverse", value)
    if check and is_concrete(raw) and not np.isfinite(np.asarray(raw)).all():
        raise DomainError(spec.unreachable(np.asarray(value)))
    return raw


def log_abs_det(spec: Spec, raw: Array) -> Array:
    """log |det d value / d raw|, from raw; `spec.facts.volume` says for which volume.

    Returns:
        One number per entry (scalar specs), per vector, or per matrix.

    Raises:
        SpecError: for something that is no floating array, a shape that does not fit the spec, or a spec whose map has no
            such number; its `absent` says why.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import log_abs_det
        >>> log_abs_det(iso.Positive(link="exp"), jnp.asarray([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    return _apply(spec, "log_abs_det", raw)


def project(spec: Spec, point: Array) -> Array:
    """The nearest point of the closed set, in the Euclidean norm.

    Args:
        spec: the set.
        point: any floating array of the shape of a value.

    Raises:
        SpecError: for something that is no floating array, or a shape that does not fit the spec.

    Limits: second derivatives of the projection onto `Covariance`, `LowRankCovariance`, `Correlation`, `Orthogonal`,
        `SpecialOrthogonal` and `Stiefel`, whose steps are taken in float64, need `jax_enable_x64`; without it JAX raises an
        error about float32 and float64. First derivatives do not.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import project
        >>> project(iso.Simplex(), jnp.asarray([2.0, 0.0])).tolist()
        [1.0, 0.0]
    """
    return _apply(spec, "project", point)


def contains(spec: Spec, value: Array) -> Array:
    """Whether a value lies inside the set, so that `inverse` accepts it: not on a border that only raw = inf reaches.

    Returns:
        Booleans: one per entry (scalar specs), per vector, or per matrix. A simplex of N weights
        may miss its sum by 4 eps of the dtype of the value, and 4 N eps of float32 or float64, in which it is summed.

    Raises:
        SpecError: for something that is no floating array, or a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import contains
        >>> contains(iso.Positive(), jnp.asarray([1.0, 0.0])).tolist()
        [True, False]
    """
    return _apply(spec, "contains", value)


def raw_shape(spec: Spec, value_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of raw for a value of this shape.

    Raises:
        SpecError: for a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.jax import raw_shape
        >>> raw_shape(iso.Simplex(), (5, 3))
        (5, 2)
    """
    return _checked(spec).raw_shape(tuple(value_shape))


def initial(spec: Any, value_shape: Any, rng: np.random.Generator | None = None, dtype: Any = None) -> Any:
    """A raw start: `spec.start`, which is zeros but for `UnitVector`, or standard normal numbers from a numpy Generator.

    Both backends get the same numbers.

    Args:
        spec: a spec, or a dict of them.
        value_shape: the shape of the value, or a dict of shapes with the same keys.
        rng: draw from this generator, in the order of the dict; None takes `spec.start`.
        dtype: a floating dtype; by default JAX's default.

    Raises:
        SpecError: for a shape that does not fit its spec, or dicts with different keys.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.jax import initial
        >>> initial({"w": iso.Simplex()}, {"w": (3,)})["w"].tolist()
        [0.0, 0.0]
    """
    if isinstance(spec, Mapping):
        if not isinstance(value_shape, Mapping) or set(spec) != set(value_shape):
            raise SpecError(f"specs and value shapes must have the same keys: {list(spec)} against {value_shape!r}")
        return {name: initial(spec[name], value_shape[name], rng, dtype) for name in spec}
    shape = raw_shape(spec, value_shape)
    numbers = spec.start(tuple(value_shape)) if rng is None else rng.standard_normal(shape)
    if dtype is None:
        return jnp.asarray(numbers, dtype=float)
    with settings_for(np.zeros((), dtype)):
        return jnp.asarray(numbers, dtype=dtype)


def is_concrete(array: Any) -> bool:
    """Whether the numbers can be looked at: not under jit, vmap or grad."""
    return not isinstance(array, Tracer)


def applied(spec: Spec, verb: str, array: Array, *settings: Any) -> Array:
    """A verb of the rule on a float32 or float64 array of a checked shape: what rules of specs made of other specs call.

    Here the axis of a vector spec moves to the end, and back where the result has it.
    """
    rule = getattr(RULES[type(spec)], verb)
    axis = spec.axis if isinstance(spec, VectorSpec) else -1
    result = rule(spec, array if axis == -1 else jnp.moveaxis(array, axis, -1), *settings)
    return jnp.moveaxis(result, -1, axis) if axis != -1 and verb in SHAPED else result


def _apply(spec: Spec, verb: str, array: Any) -> Array:
    """Check `array`, run the verb on it in float32 or float64, and give back the dtype that came in."""
    name = "raw" if verb in ("forward", "log_abs_det") else "value"
    _check(_checked(spec), array, name)
    if verb in spec.absent:
        raise SpecError(f"{spec} has no {verb}: {spec.absent[verb]}")
    spec.value_shape(array.shape) if name == "raw" else spec.raw_shape(array.shape)
    with settings_for(array):
        return _compiled(spec, verb, jnp.asarray(array))


@with_rule(
    push=lambda raw, same, tangent: jnp.where(jnp.isnan(raw), jnp.nan, 1.0).astype(raw.dtype) * tangent,
    pull=lambda raw, same, cotangent: jnp.where(jnp.isnan(raw), jnp.nan, 1.0).astype(raw.dtype) * cotangent,
)
def _kept_nan(raw: Array) -> Array:
    """Raw itself, with a derivative of nan where it is nan: slopes are formulas that may be finite outside of the set."""
    return raw


@partial(jax.jit, static_argnums=(0, 1), inline=True)
def _compiled(spec: Spec, verb: str, array: Array) -> Array:
    """The verb as one program; inside the program of a caller, as part of it."""
    # twin: torch runs the operations of a rule one by one; JAX would compile each of them, for each new shape.
    dtype = array.dtype
    wide = array if dtype in (jnp.float32, jnp.float64) else array.astype(jnp.float32)
    result = applied(spec, verb, wide, float(jnp.finfo(dtype).eps)) if verb == "contains" else applied(spec, verb, wide)
    if verb == "inverse":
        result = _kept_nan(result)
    return result.astype(dtype) if jnp.issubdtype(result.dtype, jnp.floating) else result


def _checked(spec: Any) -> Spec:
    """The spec itself, or SpecError for anything else."""
    if not isinstance(spec, Spec):
        more = f"; write {spec.__name__}(...)" if isinstance(spec, type) and issubclass(spec, Spec) else ""
        raise SpecError(f"expected a spec such as isoparam.Interval(0, 1), got {spec!r}{more}")
    return spec


def _check(spec: Spec, array: Any, name: str) -> None:
    if not isinstance(array, Array | np.ndarray | np.generic):
        raise SpecError(f"{spec}: {name} must be a JAX or numpy array, got {type(array).__name__}: use jnp.asarray({name})")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise SpecError(f"{spec}: {name} must be floating, got {array.dtype}; write 1.0 for 1, or {name}.astype(float)")
    if array.dtype.itemsize < 2:
        raise SpecError(f"{spec}: {name} is {array.dtype}, which has too few digits to obey a spec: use jnp.bfloat16({name})")
