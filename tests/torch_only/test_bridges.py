"""Our specs inside torch.distributions, against its own transforms; the specs of its constraints and of Pyro's."""

import doctest
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.distributions import Normal, TransformedDistribution, biject_to, constraints, transform_to, transforms

import isoparam as iso
from isoparam.bridges import REFUSED, SPECS
from isoparam.errors import SpecError
from isoparam.torch import as_constraint, as_transform, contains, forward, inverse, log_abs_det, spec_of
from samples import SAMPLES, Sample
from torch_impl import bridges

BRIDGED = [sample for sample in SAMPLES if sample.has("forward")]
each_sample = pytest.mark.parametrize("sample", BRIDGED, ids=lambda sample: sample.name)


def moderate(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(0).normal(0, 1, shape))


def raw_of(sample: Sample) -> torch.Tensor:
    """Raw of two values, behind which stands nothing."""
    return moderate((2, *sample.core))


# The same map in both libraries.
PEERS = {
    "exp": (iso.Positive(link="exp"), transforms.ExpTransform(), ()),
    "softplus": (iso.Positive(), transforms.SoftplusTransform(), ()),
    "sigmoid": (iso.UnitInterval(), transforms.SigmoidTransform(), ()),
    "tanh": (iso.Interval(-1, 1, link="tanh"), transforms.TanhTransform(), ()),
    "affine": (iso.Affine(1.5, 0.3), transforms.AffineTransform(1.5, 0.3), ()),
    "greater_than": (iso.GreaterThan(2.0, link="exp"), biject_to(constraints.greater_than(2.0)), ()),
    "less_than": (iso.LessThan(3.0, link="exp"), biject_to(constraints.less_than(3.0)), ()),
    "interval": (iso.Interval(-1.5, 4.0), biject_to(constraints.interval(-1.5, 4.0)), ()),
    "stick breaking": (iso.StickBreakingSimplex(), transforms.StickBreakingTransform(), (4,)),
    "corr_cholesky": (iso.CholeskyCorrelation(link="tanh"), transforms.CorrCholeskyTransform(), (6,)),
}


@pytest.mark.parametrize("peer", PEERS)
def test_a_transform_agrees_with_theirs_of_the_same_map(peer: str) -> None:
    spec, theirs, shape = PEERS[peer]
    ours, raw = as_transform(spec), moderate((5, *shape))
    value = theirs(raw)
    torch.testing.assert_close(ours(raw), value, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(ours.inv(value), theirs.inv(value), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(
        ours.log_abs_det_jacobian(raw, value), theirs.log_abs_det_jacobian(raw, value), rtol=1e-12, atol=1e-13
    )
    assert ours.forward_shape((5, *shape)) == theirs.forward_shape((5, *shape))
    assert ours.inverse_shape(value.shape) == theirs.inverse_shape(value.shape)
    assert (ours.domain.event_dim, ours.codomain.event_dim) == (theirs.domain.event_dim, theirs.codomain.event_dim)
    assert ours.bijective == theirs.bijective
    if not shape:
        assert ours.sign == theirs.sign


@each_sample
def test_a_transform_is_the_verbs(sample: Sample) -> None:
    transform, raw = as_transform(sample.spec), raw_of(sample)
    value = transform(raw)
    torch.testing.assert_close(value, forward(sample.spec, raw), rtol=0, atol=0)
    assert transform.forward_shape(raw.shape) == value.shape
    assert transform.inverse_shape(value.shape) == raw.shape
    assert transform.codomain.check(value).shape == value.shape[: value.dim() - transform.codomain.event_dim]
    assert bool(transform.codomain.check(value).all())
    if sample.has("inverse"):
        torch.testing.assert_close(transform.inv(value), inverse(sample.spec, value), rtol=0, atol=0, equal_nan=True)


@each_sample
def test_a_density_is_carried_over(sample: Sample) -> None:
    transform, raw = as_transform(sample.spec), raw_of(sample)
    axes = transform.domain.event_dim
    law = TransformedDistribution(Normal(torch.zeros_like(raw), 1.0), transform)
    value = transform(raw)
    if not transform.bijective:
        with pytest.raises(NotImplementedError, match=r"has no|is no bijection"):
            law.log_prob(value)
        with pytest.raises(NotImplementedError, match=r"has no|is no bijection"):
            biject_to(transform.codomain)
        assert transform_to(transform.codomain) == transform
        return
    assert law.rsample().shape == value.shape
    assert law.event_shape == value.shape[value.dim() - transform.codomain.event_dim :]
    logs = Normal(0.0, 1.0).log_prob(raw)
    logs = logs.flatten(raw.dim() - axes).sum(-1) if axes else logs
    wanted = logs - log_abs_det(sample.spec, raw).reshape(*logs.shape, -1).sum(-1)
    torch.testing.assert_close(law.log_prob(value), wanted, rtol=1e-6, atol=1e-6)
    assert biject_to(transform.codomain) == transform


def test_axes_behind_that_of_a_vector_spec_belong_to_the_event() -> None:
    transform, raw = as_transform(iso.Simplex(axis=-2)), moderate((5, 3, 2))
    assert (transform.domain.event_dim, transform.codomain.event_dim) == (2, 2)
    columns = as_transform(iso.Simplex()).log_abs_det_jacobian(raw.mT, None)
    torch.testing.assert_close(transform.log_abs_det_jacobian(raw, None), columns.sum(-1))
    assert transform.codomain.check(transform(raw)).shape == (5,)
    with pytest.raises(SpecError, match="count the axis from the end, such as axis=-1"):
        as_transform(iso.Simplex(axis=0))


def test_sums_of_logs_in_compositions_and_independent_transforms() -> None:
    raw = moderate((5, 3))
    chain = transforms.ComposeTransform([as_transform(iso.Positive()), transforms.AffineTransform(1.0, 2.0)])
    theirs = transforms.ComposeTransform([transforms.SoftplusTransform(), transforms.AffineTransform(1.0, 2.0)])
    torch.testing.assert_close(chain.log_abs_det_jacobian(raw, chain(raw)), theirs.log_abs_det_jacobian(raw, theirs(raw)))
    rows = transforms.IndependentTransform(as_transform(iso.Positive()), 1)
    torch.testing.assert_close(rows.log_abs_det_jacobian(raw, rows(raw)), log_abs_det(iso.Positive(), raw).sum(-1))
    ends = transforms.StackTransform([as_transform(iso.Positive()), as_transform(iso.UnitInterval())], dim=0)
    torch.testing.assert_close(
        ends(raw[:2]), torch.stack([forward(iso.Positive(), raw[0]), forward(iso.UnitInterval(), raw[1])])
    )


def test_a_cache_gives_back_the_same_raw() -> None:
    transform, raw = as_transform(iso.Interval(0, 1)).with_cache(1), moderate((3,))
    assert transform.inv(transform(raw)) is raw
    assert transform.with_cache(1) is transform
    assert transform.with_cache(0).inv(transform(raw)) is not raw


def test_gradients_pass() -> None:
    raw = moderate((4,)).requires_grad_()
    law = TransformedDistribution(Normal(raw, 1.0), as_transform(iso.UnitInterval()))
    assert torch.autograd.gradcheck(lambda raw: as_transform(iso.Simplex())(raw), raw)
    (gradient,) = torch.autograd.grad(law.log_prob(torch.full((4,), 0.3, dtype=torch.float64)).sum(), raw)
    torch.testing.assert_close(gradient, inverse(iso.UnitInterval(), torch.full((4,), 0.3, dtype=torch.float64)) - raw)


def test_objects_compare_by_their_spec_and_pickle() -> None:
    for make in (as_transform, as_constraint):
        one = make(iso.Interval([0.0, 1.0], 2.0))
        assert one == make(iso.Interval([0.0, 1.0], 2.0)) != make(iso.Interval(0.0, 2.0))
        assert {one: 1}[pickle.loads(pickle.dumps(one))] == 1
        assert deepcopy(one) == one
        assert repr(one) == f"{make.__name__}(Interval(low=[0., 1.], high=2.0, link='sigmoid'))"


@pytest.mark.parametrize(
    ("spec", "sign"), [(iso.Positive(), 1), (iso.LessThan(1.0, link="exp"), -1), (iso.LessThan([1.0, 2.0], link="exp"), -1)]
)
def test_the_sign_of_a_slope(spec: iso.Spec, sign: int) -> None:
    assert as_transform(spec).sign == sign


@pytest.mark.parametrize("spec", [iso.Simplex(), iso.UnitVector()], ids=repr)
def test_no_sign_of_a_map_of_vectors(spec: iso.Spec) -> None:
    with pytest.raises(NotImplementedError, match="no bijection of one number"):
        _ = as_transform(spec).sign


def test_a_value_outside_gives_nan_and_a_border_an_infinity() -> None:
    values = torch.tensor([-0.5, 0.0, 0.5, 1.0])
    assert as_transform(iso.UnitInterval()).inv(values).isnan().tolist() == [True, False, False, False]
    assert as_transform(iso.UnitInterval()).inv(values).isinf().tolist() == [False, True, False, True]
    assert as_constraint(iso.UnitInterval()).check(values).tolist() == [False, False, True, False]


LOW, HIGH = torch.tensor([0.0, -2.0]), torch.tensor([1.0, 3.0])
# Constraint, its spec, whether raw is that of `biject_to` or else `transform_to`, and the shape of a value.
CONSTRAINTS = {
    "real": (constraints.real, iso.Real(), True, ()),
    "real_vector": (constraints.real_vector, iso.Real(), True, (3,)),
    "positive": (constraints.positive, iso.Positive(link="exp"), True, ()),
    "nonnegative": (constraints.nonnegative, iso.Positive(link="exp"), True, ()),
    "greater_than": (constraints.greater_than(2.0), iso.GreaterThan(2.0, link="exp"), True, ()),
    "greater_than_eq": (constraints.greater_than_eq(LOW), iso.GreaterThan([0.0, -2.0], link="exp"), True, (2,)),
    "less_than": (constraints.less_than(0.0), iso.LessThan(0.0, link="exp"), True, ()),
    "unit_interval": (constraints.unit_interval, iso.UnitInterval(), True, ()),
    "interval": (constraints.interval(LOW, HIGH), iso.Interval([0.0, -2.0], [1.0, 3.0]), True, (2,)),
    "half_open_interval": (constraints.half_open_interval(-1.0, 1.0), iso.Interval(-1.0, 1.0), True, ()),
    "simplex": (constraints.simplex, iso.StickBreakingSimplex(), True, (4,)),
    "independent": (constraints.independent(constraints.simplex, 1), iso.StickBreakingSimplex(), True, (3, 4)),
    "cat": (
        constraints.cat([constraints.positive, constraints.unit_interval], dim=-1, lengths=[2, 1]),
        iso.Concatenate((iso.Positive(link="exp"), iso.UnitInterval()), (2, 1)),
        True,
        (3,),
    ),
    "stack": (
        constraints.stack([constraints.positive, constraints.unit_interval], dim=-1),
        iso.Stack((iso.Positive(link="exp"), iso.UnitInterval())),
        True,
        (2,),
    ),
    "corr_cholesky": (constraints.corr_cholesky, iso.CholeskyCorrelation(link="tanh"), True, (3, 3)),
    "lower_cholesky": (constraints.lower_cholesky, iso.CholeskyCovariance(link="exp"), False, (3, 3)),
    "positive_definite": (constraints.positive_definite, iso.Covariance(link="exp"), False, (3, 3)),
    "positive_semidefinite": (constraints.positive_semidefinite, iso.Covariance(link="exp"), False, (3, 3)),
    "lower_triangular": (constraints.lower_triangular, iso.LowerTriangular(), False, None),
    "symmetric": (constraints.symmetric, iso.Symmetric(), False, None),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_spec_of_a_constraint(name: str) -> None:
    constraint, spec, same_raw, shape = CONSTRAINTS[name]
    assert spec_of(constraint) == spec
    if shape is None:  # torch has no map to it
        assert bool(constraint.check(forward(spec, moderate((2, 6)))).all())
        return
    raw = moderate(spec.raw_shape((5, *shape)))
    assert bool(constraint.check(forward(spec, raw)).all())
    try:
        theirs = biject_to(constraint)
    except NotImplementedError:
        theirs = transform_to(constraint)
    value = theirs(moderate(theirs.inverse_shape((5, *shape))))
    assert bool(contains(spec, value).all())
    if same_raw:
        torch.testing.assert_close(forward(spec, raw), theirs(raw), rtol=1e-13, atol=1e-14)
    else:
        assert theirs.inverse_shape((5, *shape)) != raw.shape or not torch.allclose(forward(spec, raw), theirs(raw))


PYRO = {
    "ordered_vector": iso.Ordered(link="exp"),
    "positive_ordered_vector": iso.PositiveOrdered(link="exp"),
    "sphere": iso.UnitVector(),
    "softplus_positive": iso.Positive(),
    "corr_matrix": iso.Correlation(link="tanh"),
    "softplus_lower_cholesky": iso.CholeskyCovariance(),
}


@pytest.mark.parametrize("name", PYRO)
def test_the_spec_of_a_constraint_of_pyro(name: str) -> None:
    pyro = pytest.importorskip("pyro.distributions", reason="pyro-ppl is not installed: pip install 'isoparam[test]'")
    constraint = getattr(pyro.constraints, name)
    spec = spec_of(constraint)
    assert spec == PYRO[name]
    theirs, shape = transform_to(constraint), (5, 4) if constraint.event_dim < 2 else (5, 3, 3)
    value = theirs(moderate(theirs.inverse_shape(shape)))
    assert bool(contains(spec, value).all())
    assert bool(constraint.check(forward(spec, moderate(spec.raw_shape(shape)))).all())


def test_the_spec_of_what_we_gave() -> None:
    assert spec_of(as_constraint(iso.Simplex())) == iso.Simplex()
    law = TransformedDistribution(Normal(0.0, 1.0), as_transform(iso.Positive()))
    assert spec_of(law.support) == iso.Positive()


REFUSALS = {
    "discrete": (constraints.boolean, "its members are whole numbers"),
    "dependent": (constraints.dependent, "give the support of a distribution"),
    "a dependent property": (torch.distributions.Uniform.support, "give the support of a distribution"),
    "a class": (constraints.greater_than, "give an object of the class"),
    "a number": (3.0, "expected a constraint object of torch or pyro, got 3.0"),
    "the shape of a matrix": (constraints.square, "not what they are"),
    "vectors along a batch axis": (constraints.cat([constraints.simplex, constraints.simplex]), "a name of its own"),
    "a class of the user": (type("Mine", (constraints.Constraint,), {"__module__": "torch.mine"})(), "write the spec"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_constraint_without_an_equal_set_is_refused_with_the_reason(case: str) -> None:
    constraint, reason = REFUSALS[case]
    with pytest.raises(SpecError, match=reason):
        spec_of(constraint)


def classes_of(module: object) -> set[str]:
    found = vars(module).values()
    return {entry.__name__ for entry in found if isinstance(entry, type) and issubclass(entry, constraints.Constraint)}


def test_every_constraint_of_theirs_is_known_or_refused() -> None:
    pyro = pytest.importorskip("pyro.distributions", reason="pyro-ppl is not installed: pip install 'isoparam[test]'")
    assert classes_of(constraints) | classes_of(pyro.constraints) <= {*SPECS, *REFUSED, "Constraint"}


def test_examples() -> None:
    found = doctest.testmod(bridges)
    assert found.attempted
    assert not found.failed


def test_a_bound_that_requires_grad_is_refused_and_one_that_is_infinite_is_none() -> None:
    with pytest.raises(SpecError, match=r"bound\.detach\(\)"):
        spec_of(torch.distributions.constraints.interval(0.0, torch.tensor(2.0, requires_grad=True)))
    endless = torch.distributions.constraints.interval(0.0, torch.tensor(float("inf")))
    assert isinstance(spec_of(endless), iso.GreaterThan)
