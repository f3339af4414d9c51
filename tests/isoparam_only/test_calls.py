"""How specs are written: the call that a user would try first works, or the error names the right one."""

import inspect

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.specs.calls import written

NATURAL = {
    "Interval(0, 1)": (lambda: iso.Interval(0, 1), iso.Interval(low=0.0, high=1.0)),
    "GreaterThan(2)": (lambda: iso.GreaterThan(2), iso.GreaterThan(bound=2.0)),
    "Affine(1, lists)": (lambda: iso.Affine(1, [2, 0.5]), iso.Affine(loc=1.0, scale=np.array([2.0, 0.5]))),
    "Box(lists)": (lambda: iso.Box([0], [1]), iso.Box(low=np.zeros(1), high=np.ones(1))),
    "OrderedInterval(0, 1, 0.1)": (lambda: iso.OrderedInterval(0, 1, 0.1), iso.OrderedInterval(0.0, 1.0, min_gap=0.1)),
    "L2Ball(2)": (lambda: iso.L2Ball(2), iso.L2Ball(radius=2.0)),
    "MaxNorm(2)": (lambda: iso.MaxNorm(2), iso.MaxNorm(bound=2.0)),
    "SpectralNorm(2)": (lambda: iso.SpectralNorm(2), iso.SpectralNorm(bound=2.0)),
    "LowRankCovariance(2)": (lambda: iso.LowRankCovariance(2), iso.LowRankCovariance(rank=2)),
    "Orthogonal('exp')": (lambda: iso.Orthogonal("exp"), iso.Orthogonal(map="exp")),
    "Hyperplane(list, 1)": (lambda: iso.Hyperplane([1, 2], 1), iso.Hyperplane(normal=np.array([1.0, 2.0]), offset=1.0)),
    "Stack(list)": (lambda: iso.Stack([iso.Real(), iso.Real()]), iso.Stack(specs=(iso.Real(), iso.Real()))),
}
SIZE = "a size is that of the value, not of the spec"
BOUND = "bounds are given to Interval, GreaterThan or LessThan"
WRONG = {
    **{
        f"{spec.__name__}(3)": (lambda spec=spec: spec(3), rf"{spec.__name__}\(3\): it takes no arguments.* write .*; {SIZE}")
        for spec in (
            *(iso.Simplex, iso.SumToZero, iso.StickBreakingSimplex, iso.UnitVector, iso.StationaryAR, iso.UnitNorm),
            *(iso.WeightNorm, iso.RowStochastic, iso.ColumnStochastic, iso.SumToZeroMatrix, iso.Symmetric, iso.SkewSymmetric),
        )
    },
    **{
        f"{spec.__name__}(3)": (lambda spec=spec: spec(3), rf"{spec.__name__}: unknown .*=3; choose one of .*{SIZE}")
        for spec in (
            *(iso.Ordered, iso.PositiveOrdered, iso.LowerTriangular, iso.CholeskyCovariance, iso.Covariance),
            *(iso.CholeskyCorrelation, iso.Correlation, iso.Orthogonal, iso.SpecialOrthogonal),
        )
    },
    **{
        f"{spec.__name__}(0, 1)": (lambda spec=spec: spec(0, 1), rf"{spec.__name__}\(0, 1\): .*; {BOUND}")
        for spec in (iso.Real, iso.UnitInterval, iso.Circular, iso.Positive)
    },
    "SoftmaxSimplex(3)": (lambda: iso.SoftmaxSimplex(3), "unknown reference=3; choose 'last' or None"),
    "Positive(0.0)": (lambda: iso.Positive(0.0), BOUND),
    "Stiefel(5, 2)": (lambda: iso.Stiefel(5, 2), r"write Stiefel\(columns=None, .*; .* has a name: Stiefel\(columns=2\)"),
    "Stiefel()": (lambda: iso.Stiefel(), r"such as Stiefel\(columns=2\)"),
    "Interval()": (lambda: iso.Interval(), r"low and high are missing; write Interval\(low, high, link='sigmoid'\)"),
    "Interval(pair)": (lambda: iso.Interval((0, 1)), r"Interval\(\(0, 1\)\): high is missing"),
    "Interval(lower, upper)": (lambda: iso.Interval(lower=0, upper=1), "no argument 'lower', did you mean 'low'"),
    "Interval(low twice)": (lambda: iso.Interval(0, 1, low=0), "low is given twice"),
    "Simplex(dim)": (lambda: iso.Simplex(dim=0), r"did you mean 'axis'\?; write Simplex\(axis=-1\)"),
    "Stack(spec, spec)": (lambda: iso.Stack(iso.Real(), iso.Real()), r"it takes 1 argument .* write Stack\(specs, axis=-1\)"),
    "Concatenate(specs)": (lambda: iso.Concatenate([iso.Real()]), r"sizes is missing; write Concatenate\(specs, sizes"),
    "Tied()": (lambda: iso.Tied(), r"to is missing; write Tied\(to, transpose=False\)"),
    "Compose()": (lambda: iso.Compose(), "give two or more specs"),
}


@pytest.mark.parametrize("case", NATURAL.values(), ids=NATURAL)
def test_the_natural_call_works(case) -> None:
    make, same = case
    assert make() == same


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_the_error_names_the_right_call(case) -> None:
    make, message = case
    with pytest.raises(SpecError, match=message):
        make()


@pytest.mark.parametrize("spec", iso.catalogue(), ids=lambda spec: spec.__name__)
def test_the_signature_is_that_of_the_fields(spec) -> None:
    """`help`, editors and `isoparam catalogue` show the arguments, not those of the class of classes."""
    assert "kwargs" not in str(inspect.signature(spec))
    assert written(spec).startswith(f"{spec.__name__}(")
    assert "<" not in written(spec)


def test_an_error_from_within_is_passed_on() -> None:
    """Only calls that do not fit the signature are explained; a TypeError of the code below stays as it is."""

    class Broken(iso.Real):
        def __post_init__(self) -> None:
            raise TypeError("from within")

    with pytest.raises(TypeError, match="from within"):
        Broken()
    with pytest.raises(TypeError, match="abstract"):
        iso.Spec()


def test_constants_come_from_any_array() -> None:
    given = np.array([1.0, 2.0])
    fixed = iso.Fixed(given)
    given[0] = 9.0
    assert fixed == iso.Fixed([1, 2]) == iso.Fixed((1.0, 2.0)) == iso.Fixed(np.float32([1, 2]))
    with pytest.raises(ValueError, match="read-only"):
        fixed.value.data[0] = 3.0
