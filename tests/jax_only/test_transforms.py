"""Derivatives in every mode of JAX, compared with the true ones: at 0, +-40 and ties; jit, vmap and their nestings."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from budgets import JACOBIAN, derivative
from isoparam.errors import DomainError
from isoparam.jax import forward, inverse, log_abs_det
from oracle.judge import hessian_unit, true_hessian, true_jacobian
from oracle.rounding import normwise, ulps
from samples import MAPS, SAMPLES, Sample, turning_points, weights_of

pytestmark = pytest.mark.usefixtures("x64")
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
each_map = pytest.mark.parametrize("sample", MAPS, ids=lambda sample: sample.name)


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 arrays, inside this test only."""
    with jax.enable_x64(True):
        yield


def by_forward(function: Callable, raw: jax.Array) -> jax.Array:
    columns = [jax.jvp(function, (raw,), (unit,))[1] for unit in np.eye(raw.size)]
    return jnp.stack(columns, axis=-1)


def by_reverse(function: Callable, raw: jax.Array) -> jax.Array:
    value, pull = jax.vjp(function, raw)
    return jnp.stack([pull(unit)[0] for unit in jnp.eye(value.size)])


def by_vmap_of_grad(function: Callable, raw: jax.Array) -> jax.Array:
    size = jax.eval_shape(function, raw).size
    return jax.vmap(lambda unit: jax.grad(lambda x: jnp.sum(unit * function(x)))(raw))(jnp.eye(size))


MODES = {
    "reverse": by_reverse,
    "jvp": by_forward,
    "vmap of grad": by_vmap_of_grad,
    "jacrev": lambda function, raw: jax.jacrev(function)(raw),
    "jacfwd": lambda function, raw: jax.jacfwd(function)(raw),
}
SECOND_MODES = {
    "hessian": lambda function, raw: jax.hessian(function)(raw),
    "reverse over reverse": lambda function, raw: jax.jacrev(jax.jacrev(function))(raw),
    "reverse over forward": lambda function, raw: jax.jacrev(jax.jacfwd(function))(raw),
}


def asked(modes: Iterable[str], one: str) -> list:
    """Every mode of every map; `one` mode of the samples that share a map."""
    pairs = [(sample, mode) for sample in SAMPLES for mode in modes if mode == one or not sample.like]
    return [pytest.param(sample, mode, id=f"{sample.name}-{mode}") for sample, mode in pairs]


def check(sample: Sample, got: jax.Array, want: np.ndarray, allowed: float, least: float = 0.0) -> None:
    """Entry by entry for scalar specs (where the others are exactly 0), else in eps of the norm, or of `least` if larger."""
    got = np.asarray(got)
    distance = ulps(got, want).max() if sample.is_scalar else normwise(got, want, least)
    assert distance <= allowed, f"{sample.name}: {distance:.3g} > {allowed}: got\n{got}\nright is\n{want}"


@cache
def first_derivatives(sample: Sample) -> list[dict[str, jax.Array]]:
    """In every mode that is asked, at each turning point: one program, whose modes have their first half in common."""
    modes = MODES if not sample.like else {"jacrev": MODES["jacrev"]}
    run = jax.jit(lambda raw: {mode: take(sample.flat(forward), raw) for mode, take in modes.items()})
    return [run(raw) for raw in turning_points(sample)]


@cache
def second_derivatives(sample: Sample) -> list[dict[str, jax.Array]]:
    """Of the weighted sum of the value, likewise."""
    weights, modes = weights_of(sample), SECOND_MODES if not sample.like else {"hessian": SECOND_MODES["hessian"]}

    def total(raw: jax.Array) -> jax.Array:
        return jnp.sum(weights * sample.flat(forward)(raw))

    run = jax.jit(lambda raw: {mode: take(total, raw) for mode, take in modes.items()})
    return [run(raw) for raw in turning_points(sample)]


@pytest.mark.parametrize(("sample", "mode"), asked(MODES, "jacrev"))
def test_first_derivatives(sample: Sample, mode: str) -> None:
    for raw, found in zip(turning_points(sample), first_derivatives(sample), strict=True):
        check(sample, found[mode], true_jacobian(sample, raw), JACOBIAN.allowed)


@pytest.mark.parametrize(("sample", "mode"), asked(SECOND_MODES, "hessian"))
def test_second_derivatives(sample: Sample, mode: str) -> None:
    weights, allowed = weights_of(sample), derivative(sample.name, "hessian").allowed
    for raw, found in zip(turning_points(sample), second_derivatives(sample), strict=True):
        check(sample, found[mode], true_hessian(sample, raw, weights), allowed, hessian_unit(sample, raw))


@each_map
def test_eager_gradients_are_the_compiled_ones(sample: Sample) -> None:
    """Outside of jit a verb is a program of its own, which may round differently; 2 ULP apart at most."""
    raw, weights = turning_points(sample)[0], weights_of(sample)
    gradient = jax.grad(lambda x: jnp.sum(weights * sample.flat(forward)(x)))
    eager, compiled = np.asarray(gradient(raw)), np.asarray(jax.jit(gradient)(raw))
    assert (ulps(eager, compiled).max() if sample.is_scalar else normwise(eager, compiled)) <= 2


@each_sample
def test_vmap_is_a_loop(sample: Sample) -> None:
    rows = np.concatenate([turning_points(sample), 0.5 * turning_points(sample)])
    run = jax.jit(sample.flat(forward))
    together = np.asarray(jax.jit(jax.vmap(sample.flat(forward)))(rows))
    alone = np.stack([run(row) for row in rows])
    assert ulps(together, alone, np.maximum(np.abs(alone), sample.added_bound)).max() <= 1


def test_specs_are_static_arguments() -> None:
    """A spec is hashable data: equal specs share one compiled function."""
    traced = []

    @partial(jax.jit, static_argnums=0)
    def value(spec: iso.Spec, raw: jax.Array) -> jax.Array:
        traced.append(spec)
        return forward(spec, raw)

    value(iso.Interval([0.0, 1.0], 2), jnp.zeros(2))
    value(iso.Interval(np.array([0, 1]), 2.0), jnp.zeros(2))
    assert len(traced) == 1
    value(iso.Interval([0.0, 1.5], 2), jnp.zeros(2))
    assert len(traced) == 2


def test_compiled_inverse_gives_nan_outside_and_inf_on_a_border() -> None:
    """Eager code raises; a compiled function cannot look at numbers, which `inverse` documents."""
    value = jnp.asarray([0.5, 1.5, -1.0, 0.0, 1.0])
    with pytest.raises(DomainError):
        inverse(iso.UnitInterval(), value)
    raw = jax.jit(partial(inverse, iso.UnitInterval()))(value)
    np.testing.assert_array_equal(raw, [0.0, np.nan, np.nan, -np.inf, np.inf])


ARRAY_BOUNDS = (iso.GreaterThan([0.0, 1.0]), iso.LessThan([0.0, 1.0], link="exp"), iso.Interval([0.0, 1.0], 2))
AROUND = {
    "jit": jax.jit,
    "checkpoint": jax.checkpoint,
    "scan": lambda f: lambda x: jax.lax.scan(lambda total, _: (total + f(x), None), 0.0, length=1)[0],
    "cond": lambda f: lambda x: jax.lax.cond(x[0] < 9, f, lambda x: 0.0, x),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("spec", ARRAY_BOUNDS, ids=str)
def test_derivatives_of_what_is_traced_already(spec: iso.Spec, around: str) -> None:
    """No number of a spec belongs to the trace of the map, which is over when the derivative is taken."""

    def total(raw: jax.Array) -> jax.Array:
        return jnp.sum(forward(spec, inverse(spec, forward(spec, raw))) ** 2 + log_abs_det(spec, raw))

    raw = jnp.asarray([0.5, -0.25])
    of_traced = jax.jit(jax.grad(AROUND[around](total)))(raw)
    np.testing.assert_allclose(of_traced, jax.jit(jax.grad(total))(raw), rtol=1e-13)


@pytest.mark.parametrize("spec", [*ARRAY_BOUNDS, iso.Simplex(), iso.Ordered()], ids=str)
def test_a_program_may_forbid_the_broadcasting_of_ranks(spec: iso.Spec) -> None:
    raw = jnp.asarray([[0.5, -0.25], [1.0, 2.0]])

    def total(raw: jax.Array) -> jax.Array:
        return jnp.sum(inverse(spec, forward(spec, raw))) + jnp.sum(log_abs_det(spec, raw))

    want = jax.jit(jax.grad(total))(raw)
    with jax.numpy_rank_promotion("raise"):
        np.testing.assert_allclose(jax.jit(jax.grad(total))(raw), want, rtol=1e-13)
        np.testing.assert_allclose(jax.grad(jax.jit(total))(raw), want, rtol=1e-13)


@each_sample
def test_numbers_known_while_tracing_are_checked(sample: Sample) -> None:
    """Inside jit too, a closed-over array can be looked at."""
    row = np.resize([0.25, -0.5], sample.core or (2,))
    value = jax.jit(partial(forward, sample.spec))(row)
    known = jax.jit(lambda: inverse(sample.spec, value))()
    np.testing.assert_allclose(known, jax.jit(partial(inverse, sample.spec))(value), rtol=1e-14)  # XLA folds constants
    outside = jnp.asarray(sample.outside[0])
    with pytest.raises(DomainError):
        jax.jit(lambda: inverse(sample.spec, outside))()


@pytest.mark.parametrize("spec", [iso.Positive(), iso.GreaterThan(2.0)], ids=str)
def test_an_inverse_makes_no_nan_on_its_way(spec: iso.Spec) -> None:
    """A program that stops at the first nan is not stopped by the branch that is not taken."""
    with jax.debug_nans(True):
        assert jnp.isfinite(inverse(spec, jnp.asarray([2.5, 3.0, 1e3, 1e30]))).all()
        assert jnp.isfinite(inverse(iso.Positive(), jnp.asarray([1e-300, 1e-20, 0.5]))).all()


@pytest.mark.parametrize("spec", [iso.Simplex(), iso.Ordered(), *ARRAY_BOUNDS], ids=str)
def test_a_mesh_with_explicit_axes(spec: iso.Spec) -> None:
    """The batch axis stays sharded, forward and back."""
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    rows = jax.NamedSharding(mesh, jax.P("batch", None))
    raw = jax.device_put(jnp.asarray([[0.5, -0.25], [1.0, 2.0]]), rows)
    with jax.set_mesh(mesh):
        value, pull = jax.vjp(jax.jit(partial(forward, spec)), raw)
        assert jax.typeof(value).sharding.spec == jax.typeof(pull(value)[0]).sharding.spec == rows.spec
