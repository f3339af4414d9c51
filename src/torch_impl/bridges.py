"""Our specs as transforms and constraints of torch.distributions, and the spec of a constraint of theirs."""

from typing import Any

import numpy as np
from torch import Tensor as Array

from isoparam.bridges import event_of, spec_for
from isoparam.errors import SpecError
from isoparam.specs import Spec
from torch_impl.bridged import _SpecConstraint, _SpecTransform
from torch_impl.verbs import is_concrete


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


def _numbers(bound: Any) -> np.ndarray:
    """A bound of theirs: a number or a tensor."""
    if not isinstance(bound, Array):
        return np.asarray(bound, dtype=np.float64)
    if not is_concrete(bound):
        raise SpecError("spec_of: a bound is not concrete; call it outside of torch.compile and torch.func")
    if bound.requires_grad:
        raise SpecError("spec_of: a bound requires grad, and bounds of specs are constants; give bound.detach()")
    return bound.double().cpu().numpy()
