"""Distance to the border and saturation: against the definition of each set, and against the derivative of each map."""

import doctest
from dataclasses import dataclass

import numpy as np
import pytest
from mpmath import mp

import isoparam as iso
from isoparam import borders
from isoparam.errors import SpecError
from isoparam.specs import ScalarSpec

INF, NAN = np.inf, np.nan

DISTANCES = [
    (iso.Real(), [3.0, -1e300], INF),
    (iso.Positive(), [2.0, 1e-300], 1e-300),
    (iso.Positive(link="exp"), 0.0, 0.0),
    (iso.GreaterThan(10.0), [12.0, 10.25], 0.25),
    (iso.GreaterThan([0.0, 10.0]), [[5.0, 11.0], [0.5, 30.0]], 0.5),
    (iso.LessThan(-1.0), -4.0, 3.0),
    (iso.Interval(-1.0, 3.0), [0.0, 2.5], 0.5),
    (iso.Interval(-1.0, 3.0, link="tanh"), 4.0, -1.0),
    (iso.Interval(-1e308, 1e308), 0.0, 1e308),
    (iso.UnitInterval(), [0.5, 1.0 - 2**-53], 2**-53),
    (iso.Simplex(), [0.5, 0.375, 0.125], 0.125),
    (iso.Simplex(axis=0), [[0.25, 0.5], [0.75, 0.5]], 0.25),
    (iso.Simplex(), [[1.0], [1.0]], INF),
    (iso.StickBreakingSimplex(), [0.5, 0.375, 0.125], 0.125),
    (iso.SoftmaxSimplex(), [0.5, 0.375, 0.125], 0.125),
    (iso.SoftmaxSimplex(reference=None), [1.0], INF),
    (iso.OrderedInterval(-1.0, 4.0), [-0.5, 1.0, 3.75], 0.25),
    (iso.OrderedInterval(-1.0, 4.0, min_gap=0.125), [-0.5, 0.0, 2.0], 0.375),
    (iso.RowStochastic(), [[0.25, 0.75], [0.5, 0.5]], 0.25),
    (iso.RowStochastic(), [[1.0], [1.0]], INF),
    (iso.ColumnStochastic(), [[0.25, 0.5], [0.75, 0.5]], 0.25),
    (iso.SumToZeroMatrix(), [[1.0, -1.0], [-1.0, 1.0]], INF),
    (iso.Circular(), [0.5, -3.0], INF),
    (iso.Ordered(), [-5.0, -4.5, 7.0], 0.5),
    (iso.Ordered(axis=0), [[1.0, 2.0], [1.5, 5.0]], 0.5),
    (iso.Ordered(), [3.0], INF),
    (iso.Affine(1.0, 2.0), [3.0, -5.0], INF),
    (iso.Box([0.0, -INF, 2.0], [1.0, 5.0, INF]), [0.75, 4.5, 9.0], 0.25),
    (iso.Box(-INF, INF), [0.75, 4.5, 9.0], INF),
    (iso.PositiveOrdered(), [0.25, 1.0, 5.0], 0.25),
    (iso.PositiveOrdered(), [3.0, 3.125, 5.0], 0.125),
    (iso.SumToZero(), [1.0, -1.0], INF),
    (iso.UnitVector(), [0.6, 0.8], INF),
    (iso.UnitNorm(axis=(0, 1)), [[0.6], [0.8]], INF),
    (iso.MaxNorm(6.0, axis=(0, 1)), [[3.0], [4.0]], 1.0),
    (iso.WeightNorm(), [3.0, -1.0], INF),
    (iso.SpectralNorm(), [[1.0, 0.0], [0.0, 0.5]], INF),
    (iso.L1Ball(2.0), [0.5, -1.0], 0.5),
    (iso.L2Ball(6.0), [3.0, 4.0], 1.0),
    (iso.LInfBall(2.0), [0.5, -1.75], 0.25),
    (iso.StationaryAR(), [0.375, 0.25], 0.5),
    (iso.StationaryAR(), [0.0, -1.0], 0.0),
    (iso.Hyperplane([3.0, 4.0], 7.0), [1.0, 1.0], INF),
    (iso.HalfSpace([3.0, 4.0], 12.0), [1.0, 1.0], 1.0),
    (iso.LowerTriangular(), [[1.0, 0.0], [2.0, -1.0]], INF),
    (iso.Symmetric(), [[1.0, 2.0], [2.0, -1.0]], INF),
    (iso.SkewSymmetric(), [[0.0, -2.0], [2.0, 0.0]], INF),
    (iso.CholeskyCovariance(), [[0.5, 0.0], [2.0, 0.25]], 0.25),
    (iso.Covariance(), [[3.0, 0.0], [0.0, 0.5]], 0.5),
    (iso.LowRankCovariance(rank=1), [[1.0, 2.0], [2.0, 4.0]], INF),
    (iso.Orthogonal(), [[0.0, -1.0], [1.0, 0.0]], INF),
    (iso.SpecialOrthogonal(), [[0.0, -1.0], [1.0, 0.0]], INF),
    (iso.Stiefel(columns=1), [[0.6], [0.8]], INF),
    (iso.CholeskyCorrelation(), [[1.0, 0.0], [0.6, 0.8]], 0.8),
    (iso.Correlation(), [[1.0, 0.0], [0.0, 1.0]], 1.0),
    (iso.Fixed([1.0, 2.0]), [1.0, 2.0], INF),
    (iso.Tied("other"), [1.0, 2.0], INF),
    (iso.Masked([True, False], iso.Positive()), [0.25, 0.0], 0.25),
    (iso.Compose(iso.Affine(1.0, 2.0), iso.Simplex()), [2.0, 1.5, 1.5], 0.5),
    (iso.Concatenate((iso.Simplex(), iso.Positive()), (2, 1)), [0.5, 0.5, 0.125], 0.125),
    (iso.Stack((iso.Positive(), iso.Interval(-1.0, 1.0))), [0.5, 0.75], 0.25),
]


@pytest.mark.parametrize(("spec", "value", "expected"), DISTANCES, ids=lambda part: str(part)[:40])
def test_distance_is_the_slack_of_the_tightest_inequality(spec, value, expected):
    assert borders.distance(spec, np.asarray(value)) == expected


def test_every_spec_knows_its_border():
    assert {type(spec) for spec, _, _ in DISTANCES} >= set(iso.catalogue())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_rounded_to_its_bound_is_on_the_border(dtype):
    """0.1 is no float: the bound in the dtype of the value is meant, not the decimal number."""
    assert borders.distance(iso.GreaterThan(0.1), np.asarray(0.1, dtype)) == 0.0
    assert borders.distance(iso.Interval(0.1, 0.7), np.asarray(0.7, dtype)) == 0.0


@pytest.mark.parametrize("measure", [borders.distance, borders.saturation], ids=lambda measure: measure.__name__)
def test_nan_stays_nan(measure):
    assert np.isnan(measure(iso.UnitInterval(), np.asarray([0.5, NAN])))


@pytest.mark.parametrize("measure", [borders.distance, borders.saturation], ids=lambda measure: measure.__name__)
def test_a_spec_that_does_not_say_has_nan(measure):
    @dataclass(frozen=True)
    class Odd(ScalarSpec):
        """A spec of a user's own, without `border`."""

    assert np.isnan(measure(Odd(), np.asarray([0.5, 1.0])))


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(SpecError, match="has no axis -1"):
        borders.distance(iso.Simplex(), np.asarray(1.0))


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        (iso.Real(), [1e300, 0.0], 0.0),
        (iso.UnitInterval(), [0.5, 1.0, 1e-20, 1e-10], 0.5),
        (iso.Simplex(), [1.0, 1e-30, 1e-40, 0.0], 0.75),
        (iso.Simplex(), [1.0], 0.0),
        (iso.Ordered(), [0.0, 1.0, 1.0], 0.5),
        (iso.Positive(), [1.0, 1e-15], 0.0),
        (iso.Interval(0.0, 1e6), [1e-9, 0.5e6], 0.0),
        (iso.Interval(0.0, 1e6), [1e-11, 0.5e6], 0.5),
    ],
    ids=str,
)
def test_saturation_counts_what_is_stuck(spec, value, expected):
    assert borders.saturation(spec, np.asarray(value)) == expected


def largest_slopes():
    """Value and derivative of each scalar map in exact arithmetic, with the largest derivative (at raw = 0 for exp)."""
    sigmoid = lambda x: 1 / (1 + mp.exp(-x))  # noqa: E731
    return {
        iso.UnitInterval(): (sigmoid, lambda x: sigmoid(x) * sigmoid(-x), mp.mpf(1) / 4),
        iso.Interval(0, 8): (lambda x: 8 * sigmoid(x), lambda x: 8 * sigmoid(x) * sigmoid(-x), mp.mpf(2)),
        iso.Positive(): (lambda x: mp.log1p(mp.exp(x)), sigmoid, mp.mpf(1)),
        iso.Positive(link="exp"): (mp.exp, mp.exp, mp.mpf(1)),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", largest_slopes(), ids=str)
def test_stuck_means_that_the_derivative_is_below_eps_of_its_largest(spec, dtype):
    """Away from the turning point by a factor 2, where the first order of the derivative no longer decides."""
    value, slope, largest = largest_slopes()[spec]
    eps = float(np.finfo(dtype).eps)
    below = above = 0
    with mp.workdps(60):
        for raw in np.linspace(-60.0, 0.0, 241):
            relative = float(slope(mp.mpf(raw)) / largest)
            stuck = borders.saturation(spec, np.asarray(float(value(mp.mpf(raw))), dtype))
            if relative < eps / 2:
                below += 1
                assert stuck == 1.0
            elif relative > 2 * eps:
                above += 1
                assert stuck == 0.0
    assert below > 50
    assert above > 50


def test_the_derivative_of_a_stuck_weight_is_below_eps_of_the_largest_for_any_weight():
    """|d w_k / d raw| = w_k sqrt((1 - w_k)^2 + sum of the other squares), which is sqrt(2)/4 at most."""
    rng = np.random.default_rng(0)
    eps, most = np.finfo(np.float64).eps, np.sqrt(2) / 4
    for _ in range(200):
        weights = rng.dirichlet(np.full(5, 0.005))
        slopes = weights * np.sqrt((1 - weights) ** 2 + np.sum(weights**2) - weights**2)
        stuck = weights <= eps / 4
        assert borders.saturation(iso.Simplex(), weights) == np.mean(stuck)
        assert np.all(slopes[stuck] <= eps * most * (1 + 1e-9))
    assert np.max(slopes) <= most


def test_the_examples_run():
    found = doctest.testmod(borders)
    assert found.failed == 0
    assert found.attempted > 0
