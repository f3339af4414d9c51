"""Our specs as transforms, constraints and bijectors of NumPyro and TFP, and the spec of a constraint of theirs."""

from typing import Any

import numpy as np

from isoparam.bridges import event_of, spec_for
from isoparam.errors import SpecError
from isoparam.specs import Spec
from jax_impl.bridged import _bijector, _constraint, _is_ours, _transform
from jax_impl.verbs import is_concrete


def as_transform(spec: Spec) -> Any:
    """A spec as a Transform of the library of distributions: raw -> value.

    # twin: torch has its distributions itself; in JAX they are NumPyro's, which has to be installed.

    Its domain is the real numbers and its codomain `as_constraint(spec)`; an event has as many axes as the spec acts on,
    those behind the axis of a vector spec counted in. Use it in TransformedDistribution, ComposeTransform and the like.

    Args:
        spec: what the value obeys; a vector spec with its axis counted from the end.

    Returns:
        A Transform without array parameters that compares by its spec. Its inverse does not raise: a value outside gives
        nan, a border an infinity. Where the spec has no inverse or log-determinant, or many raw for one value, they raise
        NotImplementedError with the reason.

    Raises:
        SpecError: for something that is no spec, or an axis counted from the front.
        BackendError: where NumPyro is not installed.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import as_transform
        >>> import numpyro.distributions as dist
        >>> weights = dist.TransformedDistribution(
        ...     dist.Normal(jnp.zeros(2), 1.0).to_event(1), as_transform(iso.Simplex())
        ... )
        >>> weights.event_shape, round(weights.log_prob(jnp.full(3, 1 / 3)).item(), 4)
        ((3,), 0.9087)
    """
    event_of(spec)
    return _transform(spec)


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
        BackendError: where NumPyro is not installed.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import as_constraint
        >>> from numpyro.distributions import biject_to
        >>> round(biject_to(as_constraint(iso.Positive()))(jnp.asarray(0.0)).item(), 4)
        0.6931
    """
    event_of(spec)
    return _constraint(spec)


def as_bijector(spec: Spec) -> Any:
    """A spec as a Bijector of TensorFlow Probability on JAX: raw -> value.

    Args:
        spec: what the value obeys; a vector spec with its axis counted from the end.

    Returns:
        A `tfp.substrates.jax.bijectors.Bijector`, of which all holds that is said of `as_transform`.

    Raises:
        SpecError: for something that is no spec, or an axis counted from the front.
        BackendError: where TensorFlow Probability is not installed.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import as_bijector
        >>> round(as_bijector(iso.Positive()).forward(jnp.asarray(0.0)).item(), 4)
        0.6931
    """
    event_of(spec)
    return _bijector(spec)


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
        >>> from isoparam.jax import spec_of
        >>> from numpyro.distributions import constraints
        >>> spec_of(constraints.greater_than(2.0))
        GreaterThan(bound=2.0, link='exp')
    """
    if _is_ours(constraint):
        return constraint.spec
    return spec_for(constraint, ("numpyro",), _numbers)


def _numbers(bound: Any) -> np.ndarray:
    """A bound of theirs: a number or an array."""
    if not is_concrete(bound):
        raise SpecError("spec_of: a bound is not concrete; call it outside of jit, vmap and grad")
    return np.asarray(bound, dtype=np.float64)
