"""The public verbs: check the arguments once, move the axis, call the rule, give back the dtype that came in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor as Array
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]  no public name says this

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec, VectorSpec
from torch_impl.kernels.derivatives import full_digits
from torch_impl.registry import RULES

SHAPED = ("forward", "inverse", "project")
"""The verbs whose result has the axes of a value or of a raw; the others have one result per value."""

_WIDE = (torch.float32, torch.float64)
_DTYPES = (*_WIDE, torch.bfloat16, torch.float16)


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
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import forward
        >>> forward(iso.Simplex(), torch.zeros(3)).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return _apply(spec, "forward", raw)


def inverse(spec: Spec, value: Array, check: bool = True) -> Array:
    """The raw that has this value.

    Args:
        spec: what the value obeys.
        value: a point inside the set.
        check: look whether the value lies inside and raise if not. Under compile, vmap and grad, where no
            number can be looked at, an outside value gives nan and a border gives an infinity.

    Returns:
        An array of the same dtype; shape `spec.raw_shape(value.shape)`.

    Raises:
        SpecError: for something that is no floating array, or a shape that does not fit the spec.
        DomainError: for a value outside the set, or on its border, where raw would be infinite.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import inverse
        >>> inverse(iso.Interval(0, 2), torch.tensor(1.0)).item()
        0.0
    """
    if check and is_concrete(value):
        inside = contains(spec, value)
        if not bool(inside.all()):
            raise DomainError(spec.refusal(_numbers(value), inside.cpu().numpy()))
    raw = _apply(spec, "inverse", value)
    if check and is_concrete(raw) and not bool(torch.isfinite(raw).all()):
        raise DomainError(spec.unreachable(_numbers(value)))
    return raw


def log_abs_det(spec: Spec, raw: Array) -> Array:
    """log |det d value / d raw|, from raw; `spec.facts.volume` says for which volume.

    Returns:
        One number per entry (scalar specs), per vector, or per matrix.

    Raises:
        SpecError: for something that is no floating array, a shape that does not fit the spec, or a spec whose map has no
            such number; its `absent` says why.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import log_abs_det
        >>> log_abs_det(iso.Positive(link="exp"), torch.tensor([1.0, 2.0])).tolist()
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

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import project
        >>> project(iso.Simplex(), torch.tensor([2.0, 0.0])).tolist()
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
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import contains
        >>> contains(iso.Positive(), torch.tensor([1.0, 0.0])).tolist()
        [True, False]
    """
    return _apply(spec, "contains", value)


def raw_shape(spec: Spec, value_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of raw for a value of this shape.

    Raises:
        SpecError: for a shape that does not fit the spec.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.torch import raw_shape
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
        dtype: a floating dtype; by default torch's default dtype.

    Raises:
        SpecError: for a shape that does not fit its spec, or dicts with different keys.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.torch import initial
        >>> initial({"w": iso.Simplex()}, {"w": (3,)})["w"].tolist()
        [0.0, 0.0]
    """
    if isinstance(spec, Mapping):
        if not isinstance(value_shape, Mapping) or set(spec) != set(value_shape):
            raise SpecError(f"specs and value shapes must have the same keys: {list(spec)} against {value_shape!r}")
        return {name: initial(spec[name], value_shape[name], rng, dtype) for name in spec}
    shape = raw_shape(spec, value_shape)
    numbers = spec.start(tuple(value_shape)) if rng is None else rng.standard_normal(shape)
    return torch.as_tensor(numbers, dtype=torch.get_default_dtype() if dtype is None else dtype)


def is_concrete(array: Any) -> bool:
    """Whether the numbers can be looked at: not under compile, vmap, grad or a tracer."""
    if torch.compiler.is_compiling() or not isinstance(array, Array) or array.is_meta:
        return False
    if torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None:
        return False
    return type(array).__name__ != "FakeTensor" and not is_functorch_wrapped_tensor(array)


def applied(spec: Spec, verb: str, array: Array, *settings: Any) -> Array:
    """A verb of the rule on a float32 or float64 array of a checked shape: what rules of specs made of other specs call.

    Here the axis of a vector spec moves to the end, and back where the result has it.
    """
    rule = getattr(RULES[type(spec)], verb)
    axis = spec.axis if isinstance(spec, VectorSpec) else -1
    if axis == -1:
        return rule(spec, array, *settings)
    result = rule(spec, torch.movedim(array, axis, -1), *settings)
    return torch.movedim(result, -1, axis) if verb in SHAPED else result


def _apply(spec: Spec, verb: str, array: Any) -> Array:
    """Check `array`, run the verb on it in float32 or float64, and give back the dtype that came in."""
    of_raw = verb == "forward" or verb == "log_abs_det"
    if not (isinstance(spec, Spec) and isinstance(array, Array) and array.dtype in _DTYPES and array.layout is torch.strided):
        _refuse(spec, array, "raw" if of_raw else "value")
    if verb in spec.absent:
        raise SpecError(f"{spec} has no {verb}: {spec.absent[verb]}")
    spec.value_shape(array.shape) if of_raw else spec.raw_shape(array.shape)
    dtype = array.dtype
    if dtype in _WIDE and verb != "contains" and not torch._C._is_any_autocast_enabled():
        return applied(spec, verb, array)  # the dtype of the result is that of the array
    # twin: torch runs the operations of a rule one by one; JAX would compile each of them, for each new shape.
    wide = array if dtype in _WIDE else array.float()
    with full_digits(wide):
        result = applied(spec, verb, wide, torch.finfo(dtype).eps) if verb == "contains" else applied(spec, verb, wide)
    return result.to(dtype) if result.is_floating_point() else result


def _numbers(value: Array) -> Any:
    array = value.detach().cpu()
    return (array if array.dtype in (torch.float32, torch.float64) else array.float()).numpy()


def _checked(spec: Any) -> Spec:
    """The spec itself, or SpecError for anything else."""
    if not isinstance(spec, Spec):
        more = f"; write {spec.__name__}(...)" if isinstance(spec, type) and issubclass(spec, Spec) else ""
        raise SpecError(f"expected a spec such as isoparam.Interval(0, 1), got {spec!r}{more}")
    return spec


def _refuse(spec: Any, array: Any, name: str) -> None:
    spec = _checked(spec)
    if not isinstance(array, Array):
        raise SpecError(f"{spec}: {name} must be a torch tensor, got {type(array).__name__}: use torch.as_tensor({name})")
    if array.layout is not torch.strided:
        raise SpecError(f"{spec}: {name} must be dense, got {array.layout}: use {name}.to_dense()")
    if array.is_floating_point():
        raise SpecError(f"{spec}: {name} is {array.dtype}, which has too few digits to obey a spec: use {name}.bfloat16()")
    raise SpecError(f"{spec}: {name} must be floating, got {array.dtype}; write 1.0 for 1, or {name}.double()")
