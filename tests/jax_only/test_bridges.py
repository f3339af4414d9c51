"""Our specs inside NumPyro and TensorFlow Probability, against their own transforms; the specs of NumPyro's constraints."""

import doctest
import pickle
import warnings
from copy import deepcopy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from isoparam.bridges import REFUSED, SPECS
from isoparam.errors import BackendError, SpecError
from isoparam.jax import as_bijector, as_constraint, as_transform, contains, forward, inverse, log_abs_det, spec_of
from jax_impl import bridged, bridges
from samples import SAMPLES, Sample

numpyro = pytest.importorskip("numpyro", reason="NumPyro is not installed: pip install 'isoparam[test]'")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # TFP asks for names that JAX is going to remove
    tfp = pytest.importorskip(
        "tensorflow_probability.substrates.jax", reason="TFP is not installed: pip install 'isoparam[test]'"
    )

from numpyro import distributions as dist  # noqa: E402
from numpyro.distributions import biject_to, constraints, transforms  # noqa: E402

tfb, tfd = tfp.bijectors, tfp.distributions

BRIDGED = [sample for sample in SAMPLES if sample.has("forward")]
each_sample = pytest.mark.parametrize("sample", BRIDGED, ids=lambda sample: sample.name)
each_map = pytest.mark.parametrize("sample", [entry for entry in BRIDGED if not entry.like], ids=lambda sample: sample.name)


@pytest.fixture(autouse=True)
def settings():
    """float64, and the promotion of dtypes that these libraries count on."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def moderate(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(0, 1, shape))


def raw_of(sample: Sample) -> jax.Array:
    """Raw of two values, behind which stands nothing."""
    return moderate((2, *sample.core))


def close(one, other, rtol=1e-12, atol=1e-13) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=rtol, atol=atol)


# The same map in NumPyro and in TFP.
with jax.enable_x64(True):
    PEERS = {
        "exp": (iso.Positive(link="exp"), transforms.ExpTransform(), tfb.Exp(), ()),
        "softplus": (iso.Positive(), transforms.SoftplusTransform(), tfb.Softplus(), ()),
        "sigmoid": (iso.UnitInterval(), transforms.SigmoidTransform(), tfb.Sigmoid(), ()),
        "interval": (
            iso.Interval(-1.5, 4.0),
            biject_to(constraints.interval(-1.5, 4.0)),
            tfb.Sigmoid(np.float64(-1.5), np.float64(4.0)),
            (),
        ),
        "affine": (
            iso.Affine(1.5, 0.3),
            transforms.AffineTransform(1.5, 0.3),
            tfb.Chain([tfb.Shift(np.float64(1.5)), tfb.Scale(np.float64(0.3))]),
            (),
        ),
        "greater_than": (iso.GreaterThan(2.0, link="exp"), biject_to(constraints.greater_than(2.0)), None, ()),
        "less_than": (iso.LessThan(3.0, link="exp"), biject_to(constraints.less_than(3.0)), None, ()),
        "ordered": (iso.Ordered(link="exp"), biject_to(constraints.ordered_vector), tfb.Ascending(), (4,)),
        "stick breaking": (iso.StickBreakingSimplex(), transforms.StickBreakingTransform(), None, (4,)),
        "l1 ball": (iso.L1Ball(link="stick"), biject_to(constraints.l1_ball), None, (4,)),
        "corr_cholesky": (
            iso.CholeskyCorrelation(link="tanh"),
            biject_to(constraints.corr_cholesky),
            None,
            (6,),
        ),
        # One entry: TFP fills larger triangles in another order.
        "corr_cholesky by rows": (iso.CholeskyCorrelation(), None, tfb.CorrelationCholesky(), (1,)),
        "softmax": (iso.SoftmaxSimplex(), None, tfb.SoftmaxCentered(), (4,)),
    }


@pytest.mark.parametrize("peer", [name for name in PEERS if PEERS[name][1] is not None])
def test_a_transform_agrees_with_theirs_of_the_same_map(peer: str) -> None:
    spec, theirs, _, shape = PEERS[peer]
    ours, raw = as_transform(spec), moderate((5, *shape))
    value = theirs(raw)
    close(ours(raw), value)
    close(ours.inv(value), theirs.inv(value))
    close(ours.log_abs_det_jacobian(raw, value), theirs.log_abs_det_jacobian(raw, value))
    assert ours.forward_shape((5, *shape)) == theirs.forward_shape((5, *shape))
    assert ours.inverse_shape(value.shape) == theirs.inverse_shape(value.shape)
    assert (ours.domain.event_dim, ours.codomain.event_dim) == (theirs.domain.event_dim, theirs.codomain.event_dim)
    if peer in ("exp", "softplus", "sigmoid", "affine"):
        assert ours.sign == getattr(theirs, "sign", 1)


@pytest.mark.parametrize("peer", [name for name in PEERS if PEERS[name][2] is not None])
def test_a_bijector_agrees_with_theirs_of_the_same_map(peer: str) -> None:
    spec, _, theirs, shape = PEERS[peer]
    ours, raw = as_bijector(spec), moderate((5, *shape))
    value = theirs.forward(raw)
    close(ours.forward(raw), value)
    close(ours.inverse(value), theirs.inverse(value))
    surface = np.log(5) / 2 if peer == "softmax" else 0.0  # TFP takes the surface of the simplex, isoparam the first weights
    close(ours.forward_log_det_jacobian(raw), theirs.forward_log_det_jacobian(raw) - surface)
    close(ours.inverse_log_det_jacobian(value), theirs.inverse_log_det_jacobian(value) + surface)
    assert ours.forward_event_shape(raw.shape) == theirs.forward_event_shape(raw.shape)
    assert ours.inverse_event_shape(value.shape) == theirs.inverse_event_shape(value.shape)
    assert ours.forward_min_event_ndims == theirs.forward_min_event_ndims
    assert ours.inverse_min_event_ndims == theirs.inverse_min_event_ndims


@each_map
def test_transform_and_bijector_are_the_verbs(sample: Sample) -> None:
    spec, raw = sample.spec, raw_of(sample)
    transform, bijector = as_transform(spec), as_bijector(spec)
    axes, bijective = transform.domain.event_dim, bridged.is_bijective(spec)
    base = dist.Normal(jnp.zeros_like(raw), 1.0).to_event(axes)
    theirs = tfd.Independent(tfd.Normal(jnp.zeros_like(raw), np.float64(1.0)), axes)

    @jax.jit
    def run(raw):
        value = forward(spec, raw)
        found = {"forward": (value, transform(raw), bijector.forward(raw))}
        if sample.has("inverse"):
            found["inverse"] = (inverse(spec, value), transform.inv(value), bijector.inverse(value))
        if bijective:
            logs = log_abs_det(spec, raw)
            found["density"] = (
                base.log_prob(inverse(spec, value)) - logs.reshape(*raw.shape[: raw.ndim - axes], -1).sum(-1),
                dist.TransformedDistribution(base, transform).log_prob(value),
                tfd.TransformedDistribution(theirs, bijector).log_prob(value),
            )
        inside = transform.codomain(value), transform.codomain(transform.codomain.feasible_like(value))
        return value, inside, found

    value, inside, found = run(raw)
    for wanted, one, other in found.values():
        shown = jnp.isfinite(wanted)  # not where a value was rounded to a border, whose raw is infinite
        close(one[shown], wanted[shown])
        close(other[shown], wanted[shown])
    for checked in inside:
        assert checked.shape == value.shape[: value.ndim - transform.codomain.event_dim]
        assert bool(checked.all())
    if bijective:
        assert biject_to(transform.codomain) == transform
    else:
        for refused in (transform.log_abs_det_jacobian, lambda raw, value: bijector.forward_log_det_jacobian(raw)):
            with pytest.raises(NotImplementedError, match=r"has no|is no bijection"):
                refused(raw, value)
        with pytest.raises(NotImplementedError, match=r"has no|is no bijection"):
            biject_to(transform.codomain)


@each_sample
def test_the_shapes_of_values_and_events(sample: Sample) -> None:
    transform, bijector, raw_shape = as_transform(sample.spec), as_bijector(sample.spec), (2, *sample.core)
    shape = sample.spec.value_shape(raw_shape)
    assert transform.forward_shape(raw_shape) == tuple(bijector.forward_event_shape(raw_shape)) == shape
    assert transform.inverse_shape(shape) == tuple(bijector.inverse_event_shape(shape)) == raw_shape
    assert tuple(bijector.forward_event_shape_tensor(np.asarray(raw_shape))) == shape
    assert tuple(bijector.inverse_event_shape_tensor(np.asarray(shape))) == raw_shape
    assert bijector.forward_min_event_ndims == transform.domain.event_dim
    assert bijector.inverse_min_event_ndims == transform.codomain.event_dim
    base = dist.Normal(jnp.zeros(raw_shape), 1.0).to_event(transform.domain.event_dim)
    law = dist.TransformedDistribution(base, transform)
    assert law.shape() == shape
    assert law.event_shape == shape[len(shape) - transform.codomain.event_dim :]
    assert tuple(bijector.forward_event_shape(base.event_shape)) == law.event_shape


def test_axes_behind_that_of_a_vector_spec_belong_to_the_event() -> None:
    transform, bijector, raw = as_transform(iso.Simplex(axis=-2)), as_bijector(iso.Simplex(axis=-2)), moderate((5, 3, 2))
    assert (transform.domain.event_dim, transform.codomain.event_dim, bijector.forward_min_event_ndims) == (2, 2, 2)
    columns = log_abs_det(iso.Simplex(), raw.mT).sum(-1)
    close(transform.log_abs_det_jacobian(raw, None), columns)
    close(bijector.forward_log_det_jacobian(raw), columns)
    assert transform.codomain(transform(raw)).shape == (5,)
    for make in (as_transform, as_constraint, as_bijector):
        with pytest.raises(SpecError, match="count the axis from the end, such as axis=-1"):
            make(iso.Simplex(axis=0))


def test_sums_of_logs_in_compositions() -> None:
    raw = moderate((5, 3))
    chain = transforms.ComposeTransform([as_transform(iso.Positive()), transforms.AffineTransform(1.0, 2.0)])
    theirs = transforms.ComposeTransform([transforms.SoftplusTransform(), transforms.AffineTransform(1.0, 2.0)])
    close(chain.log_abs_det_jacobian(raw, chain(raw)), theirs.log_abs_det_jacobian(raw, theirs(raw)))
    rows = transforms.IndependentTransform(as_transform(iso.Positive()), 1)
    close(rows.log_abs_det_jacobian(raw, rows(raw)), log_abs_det(iso.Positive(), raw).sum(-1))
    ours, peer = (tfb.Chain([tfb.Scale(np.float64(2.0)), part]) for part in (as_bijector(iso.Positive()), tfb.Softplus()))
    close(ours.forward_log_det_jacobian(raw, event_ndims=1), peer.forward_log_det_jacobian(raw, event_ndims=1))


def test_a_decreasing_map_turns_probabilities_of_tfp_around() -> None:
    law = tfd.TransformedDistribution(tfd.Normal(np.float64(0), np.float64(1)), as_bijector(iso.LessThan(1.0, link="exp")))
    assert bool(law.sample(9, seed=jax.random.key(0)).max() < 1.0)
    close(law.cdf(np.float64(0.5)), 1 - tfd.Normal(np.float64(0), np.float64(1)).cdf(np.log(0.5)))
    close(law.quantile(law.cdf(np.float64(0.5))), 0.5)


def test_transforms_are_static_in_compiled_functions() -> None:
    transform, raw = as_transform(iso.Interval([0.0, 1.0], 2.0)), moderate((3, 2))
    assert jax.tree.leaves(transform) == jax.tree.leaves(as_constraint(iso.Simplex())) == []
    traces = []

    @jax.jit
    def run(transform, raw):
        traces.append(raw)
        return transform(raw)

    for _ in range(2):
        close(run(as_transform(iso.Interval([0.0, 1.0], 2.0)), raw), transform(raw))
    assert len(traces) == 1
    close(jax.grad(lambda raw: as_bijector(iso.Positive()).forward(raw).sum())(raw), jax.nn.sigmoid(raw))


def test_objects_compare_by_their_spec_and_pickle() -> None:
    for make in (as_transform, as_constraint, as_bijector):
        one = make(iso.Interval([0.0, 1.0], 2.0))
        assert one == make(iso.Interval([0.0, 1.0], 2.0))
        assert one != make(iso.Interval(0.0, 2.0))
        assert {one: 1}[pickle.loads(pickle.dumps(one))] == 1
        assert deepcopy(one) == one
    assert repr(as_transform(iso.Simplex())) == "as_transform(Simplex(axis=-1))"
    assert repr(as_constraint(iso.Simplex())) == "as_constraint(Simplex(axis=-1))"


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
    values = jnp.asarray([-0.5, 0.0, 0.5, 1.0])
    for inverse_of in (as_transform(iso.UnitInterval()).inv, as_bijector(iso.UnitInterval()).inverse):
        assert jnp.isnan(inverse_of(values)).tolist() == [True, False, False, False]
        assert jnp.isinf(inverse_of(values)).tolist() == [False, True, False, True]
    assert as_constraint(iso.UnitInterval())(values).tolist() == [False, False, True, False]


def test_nuts_draws_from_a_model_with_our_constraints_and_transforms() -> None:
    def model():
        weights = numpyro.sample("weights", dist.ImproperUniform(as_constraint(iso.Simplex()), (), (3,)))
        width = numpyro.sample("width", dist.TransformedDistribution(dist.Normal(0.0, 1.0), as_transform(iso.Positive())))
        numpyro.factor("prior", dist.Dirichlet(jnp.full(3, 2.0)).log_prob(weights))
        numpyro.sample("seen", dist.Normal(weights @ jnp.arange(3.0), width), obs=1.3)

    nuts = numpyro.infer.MCMC(numpyro.infer.NUTS(model), num_warmup=60, num_samples=20, progress_bar=False)
    with jax.enable_x64(False):
        nuts.run(jax.random.key(0))
    draws = nuts.get_samples()
    assert draws["weights"].shape == (20, 3)
    assert bool(contains(iso.Simplex(), draws["weights"]).all())
    assert bool(contains(iso.Positive(), draws["width"]).all())
    assert len(np.unique(draws["width"])) > 5


LOW, HIGH = np.array([0.0, -2.0]), np.array([1.0, 3.0])
# Constraint, its spec, whether raw is that of `biject_to`, and the shape of a value.
CONSTRAINTS = {
    "real": (constraints.real, iso.Real(), True, ()),
    "real_vector": (constraints.real_vector, iso.Real(), True, (3,)),
    "real_matrix": (constraints.real_matrix, iso.Real(), True, (3, 2)),
    "positive": (constraints.positive, iso.Positive(link="exp"), True, ()),
    "nonnegative": (constraints.nonnegative, iso.Positive(link="exp"), True, ()),
    "softplus_positive": (constraints.softplus_positive, iso.Positive(), True, ()),
    "greater_than": (constraints.greater_than(2.0), iso.GreaterThan(2.0, link="exp"), True, ()),
    "greater_than_eq": (constraints.greater_than_eq(LOW), iso.GreaterThan([0.0, -2.0], link="exp"), True, (2,)),
    "less_than": (constraints.less_than(0.0), iso.LessThan(0.0, link="exp"), True, ()),
    "less_than_eq": (constraints.less_than_eq(1.0), iso.LessThan(1.0, link="exp"), True, ()),
    "unit_interval": (constraints.unit_interval, iso.UnitInterval(), True, ()),
    "interval": (constraints.interval(LOW, HIGH), iso.Interval([0.0, -2.0], [1.0, 3.0]), True, (2,)),
    "open_interval": (constraints.open_interval(-1.0, 1.0), iso.Interval(-1.0, 1.0), True, ()),
    "circular": (constraints.circular, iso.Interval(-np.pi, np.pi), True, ()),
    "simplex": (constraints.simplex, iso.StickBreakingSimplex(), True, (4,)),
    "ordered_vector": (constraints.ordered_vector, iso.Ordered(link="exp"), True, (4,)),
    "positive_ordered_vector": (constraints.positive_ordered_vector, iso.PositiveOrdered(link="exp"), False, (4,)),
    "zero_sum": (constraints.zero_sum(1), iso.SumToZero(), False, (4,)),
    "zero_sum of matrices": (constraints.zero_sum(2), iso.SumToZeroMatrix(), False, (3, 4)),
    "l1_ball": (constraints.l1_ball, iso.L1Ball(link="stick"), True, (4,)),
    "corr_cholesky": (constraints.corr_cholesky, iso.CholeskyCorrelation(link="tanh"), True, (3, 3)),
    "corr_matrix": (constraints.corr_matrix, iso.Correlation(link="tanh"), True, (3, 3)),
    "lower_cholesky": (constraints.lower_cholesky, iso.CholeskyCovariance(link="exp"), False, (3, 3)),
    "softplus_lower_cholesky": (constraints.softplus_lower_cholesky, iso.CholeskyCovariance(), False, (3, 3)),
    "scaled_unit_lower_cholesky": (
        constraints.scaled_unit_lower_cholesky,
        iso.CholeskyCovariance(link="exp"),
        False,
        (3, 3),
    ),
    "positive_definite": (constraints.positive_definite, iso.Covariance(link="exp"), False, (3, 3)),
    "positive_semidefinite": (constraints.positive_semidefinite, iso.Covariance(link="exp"), False, (3, 3)),
    "independent": (constraints.independent(constraints.simplex, 1), iso.StickBreakingSimplex(), True, (3, 4)),
    "cat": (
        constraints.cat([constraints.positive, constraints.unit_interval], dim=-1, lengths=[2, 1]),
        iso.Concatenate((iso.Positive(link="exp"), iso.UnitInterval()), (2, 1)),
        True,
        (3,),
    ),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_spec_of_a_constraint(name: str) -> None:
    constraint, spec, same_raw, shape = CONSTRAINTS[name]
    assert spec_of(constraint) == spec
    theirs = biject_to(constraint)
    value = theirs(moderate(theirs.inverse_shape((5, *shape))))
    assert bool(contains(spec, value).all())
    ours = forward(spec, moderate(spec.raw_shape((5, *shape))))
    assert bool(jnp.all(constraint(ours)))
    if same_raw:
        close(ours, value)
    else:
        assert not np.allclose(ours, value)


def test_the_spec_of_a_sphere() -> None:
    assert spec_of(constraints.sphere) == iso.UnitVector()  # NumPyro has no map to it
    assert bool(constraints.sphere(forward(iso.UnitVector(), moderate((5, 3)))).all())


def test_the_spec_of_what_we_gave() -> None:
    assert spec_of(as_constraint(iso.Simplex())) == iso.Simplex()
    law = dist.TransformedDistribution(dist.Normal(0.0, 1.0), as_transform(iso.Positive()))
    assert spec_of(law.support) == iso.Positive()


REFUSALS = {
    "discrete": (constraints.boolean, "its members are whole numbers"),
    "dependent": (constraints.dependent, "give the support of a distribution"),
    "a dependent property": (dist.Uniform.support, "give the support of a distribution"),
    "a class": (constraints.greater_than, "give an object of the class"),
    "a number": (3.0, "expected a constraint object of numpyro, got 3.0"),
    "complex numbers": (constraints.complex, "real and imaginary part by themselves"),
    "three axes": (constraints.zero_sum(3), "have one or two"),
    "vectors along a batch axis": (constraints.cat([constraints.simplex, constraints.simplex]), "a name of its own"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_constraint_without_an_equal_set_is_refused_with_the_reason(case: str) -> None:
    constraint, reason = REFUSALS[case]
    with pytest.raises(SpecError, match=reason):
        spec_of(constraint)


def test_a_traced_bound_is_refused() -> None:
    with pytest.raises(SpecError, match="outside of jit"):
        jax.jit(lambda bound: forward(spec_of(constraints.greater_than(bound)), bound))(1.0)


def test_every_constraint_of_theirs_is_known_or_refused() -> None:
    kinds = {entry for entry in vars(constraints).values() if isinstance(entry, type)}
    names = {kind.__name__ for kind in kinds if issubclass(kind, constraints.Constraint)}
    assert names <= {*SPECS, *REFUSED, "Constraint", "ParameterFreeConstraint", "_SingletonConstraint"}


def test_a_library_that_is_not_installed_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(BackendError, match="needs absent, which is not installed: pip install absent-nightly"):
        bridged._imported("absent.distributions", "absent-nightly")


def test_examples() -> None:
    found = doctest.testmod(bridges)
    assert found.attempted
    assert not found.failed
