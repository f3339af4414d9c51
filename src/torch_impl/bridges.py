"""Our specs as transforms and constraints of torch.distributions, and the spec of a constraint of theirs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor as Array
from torch.distributions import biject_to, constraints, transform_to
from torch.distributions.transforms import Transform

from isoparam.bridges import event_of, is_bijective, missing, slope_shape, spec_for
from isoparam.errors import SpecError
from isoparam.specs import Spec
from torch_impl.verbs import contains, forward, inverse, is_concrete, log_abs_det


def as_transform(spec: Spec) -> Any:
    """A spec as a Transform of the library of distributions: raw -> value.

    # twin: torch has its distributions itself; in JAX they are NumPyro's, which has to be installed.

    Its domain is the real numbers and its codomain `as_constraint(spec)`; an event has as many axes as the spec acts on,
    those behind the axis of a vector spec counted in. Use it in TransformedDistribution, ComposeTransform and the like.

    Args:
        spec: what the value obeys; a vector spec with its axis counted from the end.

    Returns:
        A Transform that compares by its spec. Its inverse does not raise: a value outside gives nan, a border an
        infinity. Where the spec has no inverse or log-determinant, or many raw for one value, they raise
        NotImplementedError with the reason.

    Raises:
        SpecError: for something that is no spec, or an axis counted from the front.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import as_transform
        >>> normal = torch.distributions.Normal(torch.zeros(2), 1.0)
        >>> weights = torch.distributions.TransformedDistribution(normal, as_transform(iso.Simplex()))
        >>> weights.event_shape, round(weights.log_prob(torch.full((3,), 1 / 3)).item(), 4)
        (torch.Size([3]), 0.9087)
    """
    event_of(spec)
    return _SpecTransform(spec)


def as_constraint(spec: Spec) -> Any:
    """The set of a spec as a constraint object of the library of distributions.

    # twin: torch has its distributions itself; in JAX they are NumPyro's, which has to be installed.

    `biject_to` of that library gives `as_transform(spec)` for it.

    Args:
        spec: the set; a vector spec with its axis counted from the end.

    Returns:
        A constraint that compares by its spec, and checks by `contains`.

    Raises:
        SpecError: for something that is no spec, or an axis counted from the front.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import as_constraint
        >>> torch.distributions.biject_to(as_constraint(iso.Positive()))(torch.tensor(0.0))
        tensor(0.6931)
    """
    event_of(spec)
    return _SpecConstraint(spec)


def spec_of(constraint: Any) -> Spec:
    """The spec of a constraint object of another library: the same set, and where there is one the same map.

    # twin: torch reads the constraints of torch.distributions and Pyro, JAX those of NumPyro.

    Closed sets become open ones: `nonnegative` and `interval` allow their bounds, which no finite raw reaches. The page
    "Bridges" of the documentation tells for each constraint which spec it becomes, and whether raw stays the same.

    Args:
        constraint: an object such as `constraints.positive` or `constraints.interval(0.0, 2.0)`, the support of a
            distribution, or what `as_constraint` gave.

    Raises:
        SpecError: for something else, or a constraint that has no equal set here, discrete ones above all.

    Example:
        >>> from torch.distributions import constraints
        >>> from isoparam.torch import spec_of
        >>> spec_of(constraints.greater_than(2.0))
        GreaterThan(bound=2.0, link='exp')
    """
    if isinstance(constraint, _SpecConstraint):
        return constraint.spec
    return spec_for(constraint, ("torch", "pyro"), _numbers)


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


def _numbers(bound: Any) -> np.ndarray:
    """A bound of theirs: a number or a tensor."""
    if not isinstance(bound, Array):
        return np.asarray(bound, dtype=np.float64)
    if not is_concrete(bound):
        raise SpecError("spec_of: a bound is not concrete; call it outside of torch.compile and torch.func")
    return bound.detach().double().cpu().numpy()
