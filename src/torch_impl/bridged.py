"""Our specs as subclasses of what the libraries of distributions know: the classes behind the bridges."""

from typing import Any

import torch
from torch import Tensor as Array
from torch.distributions import biject_to, constraints, transform_to
from torch.distributions.transforms import Transform

from isoparam.bridges import event_of, is_bijective, missing, slope_shape
from isoparam.specs import Spec
from torch_impl.verbs import contains, forward, inverse, log_abs_det


class _SpecConstraint(constraints.Constraint):
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        super().__init__()

    @property
    def event_dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  theirs overrides it so, too
        return event_of(self.spec).value

    def check(self, value: Array) -> Array:
        inside = contains(self.spec, value)
        behind = event_of(self.spec).behind
        return inside.flatten(-behind).all(-1) if behind else inside

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SpecConstraint) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f"as_constraint({self.spec!r})"


class _SpecTransform(Transform):
    def __init__(self, spec: Spec, cache_size: int = 0) -> None:
        self.spec = spec
        self.bijective = is_bijective(spec)
        self.domain = constraints.independent(constraints.real, event_of(spec).raw) if event_of(spec).raw else constraints.real
        self.codomain = _SpecConstraint(spec)
        super().__init__(cache_size=cache_size)

    @property
    def sign(self) -> Any:
        """Of the slope: maps of one number are monotone, so two points tell."""
        shape = slope_shape(self.spec)
        rise = forward(self.spec, torch.full(shape, 0.5, dtype=torch.float64))
        sign = torch.sign(rise - forward(self.spec, torch.full(shape, -0.5, dtype=torch.float64)))
        return int(sign.flatten()[0]) if bool((sign == sign.flatten()[0]).all()) else sign

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else _SpecTransform(self.spec, cache_size)

    def forward_shape(self, shape: Any) -> Any:
        return torch.Size(self.spec.value_shape(tuple(shape)))

    def inverse_shape(self, shape: Any) -> Any:
        return torch.Size(self.spec.raw_shape(tuple(shape)))

    def _call(self, x: Array) -> Array:
        return forward(self.spec, x)

    def _inverse(self, y: Array) -> Array:
        _offered(self.spec, "inverse")
        return inverse(self.spec, y, check=False)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        del y
        _offered(self.spec, "log_abs_det")
        logs = log_abs_det(self.spec, x)
        behind = event_of(self.spec).behind
        return logs.flatten(-behind).sum(-1) if behind else logs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SpecTransform) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f"as_transform({self.spec!r})"


@biject_to.register(_SpecConstraint)
def _biject_to_spec(constraint: _SpecConstraint) -> Transform:
    transform = _SpecTransform(constraint.spec)
    if not transform.bijective:
        raise NotImplementedError(missing(constraint.spec, "inverse") or missing(constraint.spec, "log_abs_det"))
    return transform


@transform_to.register(_SpecConstraint)
def _transform_to_spec(constraint: _SpecConstraint) -> Transform:
    return _SpecTransform(constraint.spec)


def _offered(spec: Spec, verb: str) -> None:
    """Raise NotImplementedError, as these libraries expect, for a verb that the spec does not have for them."""
    reason = missing(spec, verb)
    if reason:
        raise NotImplementedError(reason)
