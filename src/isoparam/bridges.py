"""What the bridges of both backends share: the axes of an event, missing verbs, and the spec of a foreign constraint."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from isoparam import specs
from isoparam.errors import SpecError
from isoparam.specs import Spec
from isoparam.specs.bounds import Shape

Number = Callable[[Any], Any]
"""A foreign bound as a numpy array."""
Again = Callable[[Any], Spec]
"""The spec of a constraint inside of another."""


class Event(NamedTuple):
    """The last axes that libraries of distributions count as one event.

    Attributes:
        raw: how many axes of raw.
        value: how many axes of the value.
        behind: how many of them are batch axes to the spec, over which the log-determinant is summed: those behind `axis`.
    """

    raw: int
    value: int
    behind: int


def event_of(spec: Spec) -> Event:
    """The axes of one event of a spec: those that it acts on, and every axis behind the first of them.

    Raises:
        SpecError: for a spec whose axis is counted from the front, where an event has no fixed number of axes, or one that
            has no value by itself.
    """
    if not isinstance(spec, Spec):
        raise SpecError(f"expected a spec such as isoparam.Interval(0, 1), got {spec!r}")
    if "forward" in spec.absent:
        raise SpecError(missing(spec, "forward"))
    if max((*spec.raw_axes, *spec.value_axes), default=-1) >= 0:
        raise SpecError(f"{spec}: an event is the last axes of an array; count the axis from the end, such as axis=-1")
    raw, value = (-min(axes, default=0) for axes in (spec.raw_axes, spec.value_axes))
    return Event(raw, value, value - len(spec.value_axes))


def missing(spec: Spec, verb: str) -> str:
    """Why another library must not use this verb of a spec; "" where it may."""
    if verb in spec.absent:
        return f"{spec} has no {verb}: {spec.absent[verb]}"
    if verb == "log_abs_det" and not spec.unique:
        return (
            f"{spec} is no bijection: many raw have one value, so that a density of raw gives no density of the value this way"
        )
    return ""


def is_bijective(spec: Spec) -> bool:
    """Whether a density may be carried over: one raw for each value, and a log-determinant."""
    return spec.unique and not missing(spec, "inverse") and not missing(spec, "log_abs_det")


def slope_shape(spec: Spec) -> Shape:
    """The shape of raw at which the sign of the slope of a map of one number is told; NotImplementedError for other maps."""
    if spec.kind != "scalar" or not is_bijective(spec):
        raise NotImplementedError(f"{spec} is no bijection of one number, whose slope has a sign")
    return spec.own_shape or ()


def spec_for(constraint: Any, libraries: tuple[str, ...], number: Number) -> Spec:
    """The spec of a constraint object of one of these libraries; the backends' `spec_of` says which spec that is.

    Raises:
        SpecError: for something else, or a constraint without an equal set here, with the reason.
    """
    kind = type(constraint)
    if kind.__module__.partition(".")[0] not in libraries:
        more = "; give an object of the class" if isinstance(constraint, type) else ""
        raise SpecError(f"spec_of: expected a constraint object of {' or '.join(libraries)}, got {constraint!r}{more}")
    if kind.__name__ in REFUSED:
        raise SpecError(f"spec_of: {constraint!r} has no spec: {REFUSED[kind.__name__]}")
    if kind.__name__ not in SPECS:
        raise SpecError(
            f"spec_of: {constraint!r} is of a class that is not known here; write the spec of the same set yourself"
        )
    return SPECS[kind.__name__](constraint, number, lambda inner: spec_for(inner, libraries, number))


def _above(constraint: Any, number: Number, again: Again) -> Spec:
    bound = number(constraint.lower_bound)
    return specs.Positive(link="exp") if np.array_equal(bound, 0.0) else specs.GreaterThan(bound, link="exp")


def _below(constraint: Any, number: Number, again: Again) -> Spec:
    return specs.LessThan(number(constraint.upper_bound), link="exp")


def _between(constraint: Any, number: Number, again: Again) -> Spec:
    low, high = number(constraint.lower_bound), number(constraint.upper_bound)
    if np.all(np.isposinf(high)):  # the support of a GeneralizedPareto, such as one without an upper end
        return specs.GreaterThan(low, link="exp")
    unit = np.array_equal(low, 0.0) and np.array_equal(high, 1.0)
    return specs.UnitInterval() if unit else specs.Interval(low, high)


def _independent(constraint: Any, number: Number, again: Again) -> Spec:
    return again(constraint.base_constraint)  # batch axes may stand before any event: nothing else is to be said


def _zero_sum(constraint: Any, number: Number, again: Again) -> Spec:
    if constraint.event_dim > 2:
        raise SpecError(f"spec_of: {constraint!r} has {constraint.event_dim} axes; specs that sum to zero have one or two")
    return specs.SumToZero() if constraint.event_dim == 1 else specs.SumToZeroMatrix()


def _cat(constraint: Any, number: Number, again: Again) -> Spec:
    parts = tuple(map(again, constraint.cseq))
    if any(part.kind != "scalar" for part in parts):
        raise SpecError(
            f"spec_of: {constraint!r} joins vectors or matrices along a batch axis, Concatenate along the axis they act on; "
            "give each part a name of its own"
        )
    return specs.Concatenate(parts, tuple(constraint.lengths), axis=constraint.dim)


def _stack(constraint: Any, number: Number, again: Again) -> Spec:
    return specs.Stack(tuple(map(again, constraint.cseq)), axis=constraint.dim)


def _always(spec: Spec) -> Callable[[Any, Number, Again], Spec]:
    return lambda constraint, number, again: spec


SPECS: dict[str, Callable[[Any, Number, Again], Spec]] = {
    "_Real": _always(specs.Real()),
    "_RealVector": _always(specs.Real()),
    "_RealMatrix": _always(specs.Real()),
    "_IndependentConstraint": _independent,
    "_Positive": _above,
    "_Nonnegative": _above,
    "_GreaterThan": _above,
    "_GreaterThanEq": _above,
    "_SoftplusPositive": _always(specs.Positive()),
    "_LessThan": _below,
    "_LessThanEq": _below,
    "_UnitInterval": _between,
    "_Interval": _between,
    "_OpenInterval": _between,
    "_HalfOpenInterval": _between,
    "_Circular": _between,
    "_Simplex": _always(specs.StickBreakingSimplex()),
    "_OrderedVector": _always(specs.Ordered(link="exp")),
    "_PositiveOrderedVector": _always(specs.PositiveOrdered(link="exp")),
    "_Sphere": _always(specs.UnitVector()),
    "_ZeroSum": _zero_sum,
    "_L1Ball": _always(specs.L1Ball(link="stick")),
    "_CorrCholesky": _always(specs.CholeskyCorrelation(link="tanh")),
    "_CorrMatrix": _always(specs.Correlation(link="tanh")),
    "_LowerCholesky": _always(specs.CholeskyCovariance(link="exp")),
    "_ScaledUnitLowerCholesky": _always(specs.CholeskyCovariance(link="exp")),
    "_SoftplusLowerCholesky": _always(specs.CholeskyCovariance()),
    "_PositiveDefinite": _always(specs.Covariance(link="exp")),
    "_PositiveSemidefinite": _always(specs.Covariance(link="exp")),
    "_PositiveSemiDefinite": _always(specs.Covariance(link="exp")),
    "_LowerTriangular": _always(specs.LowerTriangular()),
    "_Symmetric": _always(specs.Symmetric()),
    "_Cat": _cat,
    "_Stack": _stack,
}
"""By the name of the class, which torch.distributions, Pyro and NumPyro share."""

_DISCRETE = "its members are whole numbers, which no map of real numbers reaches"
_SHAPE = "it says where a matrix has entries or how many, but not what they are"
REFUSED: dict[str, str] = {
    "_Boolean": _DISCRETE,
    "_OneHot": _DISCRETE,
    "_Integer": _DISCRETE,
    "_IntegerInterval": _DISCRETE,
    "_IntegerLessThan": _DISCRETE,
    "_IntegerGreaterThan": _DISCRETE,
    "_IntegerPositive": _DISCRETE,
    "_IntegerNonnegative": _DISCRETE,
    "_Multinomial": _DISCRETE,
    "_Square": _SHAPE,
    "_Complex": "isoparam has real numbers only; constrain real and imaginary part by themselves",
    "_PositiveDefiniteCirculantVector": "no spec has this set; constrain its spectrum by Positive, and transform that",
    "_UnitLowerCholesky": "no spec has a diagonal of ones; add the identity to a strictly lower triangle",
    "_Dependent": "it depends on other values; give the support of a distribution that has them",
    "_DependentProperty": "it depends on other values; give the support of a distribution that has them",
    "dependent_property": "it depends on other values; give the support of a distribution that has them",
    "MixtureSameFamilyConstraint": "it checks the members of a mixture; give its base_constraint",
}
"""Constraints without an equal set: why, and what to do."""
