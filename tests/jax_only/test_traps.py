"""Faults that other libraries have, or had, in JAX, as tests that ours does not have them. Each names its trap."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import optax
import pytest
from flax import nnx

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.jax import Constrained, attach, forward, inverse

pytestmark = pytest.mark.usefixtures("x64")
NORMS = {
    "UnitNorm": iso.UnitNorm(),
    "WeightNorm": iso.WeightNorm(),
    "MaxNorm": iso.MaxNorm(),
    "SpectralNorm": iso.SpectralNorm(),
}


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 arrays, inside this test only."""
    with jax.enable_x64(True):
        yield


def held(spec: iso.Spec) -> nnx.Module:
    """A weight with a norm, as an attribute."""

    class Held(nnx.Module):
        weight = Constrained(spec, "project")

        def __init__(self) -> None:
            self.weight = jnp.asarray([[3.0, -1.0], [0.25, 2.0], [0.5, -4.0]])

        def __call__(self, x: jax.Array) -> jax.Array:
            return x @ self.weight

    return Held()


def attached(spec: iso.Spec) -> nnx.Module:
    layer = nnx.Linear(3, 2, use_bias=False, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    attach(layer, "kernel", spec, start="project")
    return layer


def numbers(module: nnx.Module) -> list[np.ndarray]:
    """Every array of the state."""
    return [np.array(leaf) for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(module)))]


@pytest.mark.parametrize("make", [held, attached], ids=["Constrained", "attach"])
@pytest.mark.parametrize("spec", NORMS.values(), ids=NORMS)
def test_a_norm_is_never_written_back(spec: iso.Spec, make) -> None:
    """nnx.SpectralNorm and nnx.WeightNorm write the normalised kernel into the layer; here a call leaves all as it was."""
    module, x = make(spec), jnp.asarray([[1.0, 2.0, 3.0]])
    before = numbers(module)
    results = [module(x) for _ in range(3)]
    module.eval()
    results.append(module(x))
    nnx.grad(lambda module: module(x).sum())(module)
    nnx.jit(lambda module: module(x))(module)
    assert all(np.array_equal(result, results[0]) for result in results)
    after = numbers(module)
    assert len(before) == len(after) > 0
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_half_the_identity_is_not_read_as_the_identity() -> None:
    """A normalising setter takes 0.5 I and reads I; ours says what is wrong with it."""
    with pytest.raises(DomainError, match=r"its largest singular value is 0\.5 and not 1"):
        inverse(iso.SpectralNorm(), 0.5 * jnp.eye(3))


def test_weight_norm_of_a_zero_vector_is_finite() -> None:
    """v/|v| at v = 0 is nan in value and gradient."""
    raw = jnp.asarray([[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 4.0, 5.0]])
    value = forward(iso.WeightNorm(), raw)
    np.testing.assert_allclose(value, [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], rtol=4e-16)
    assert np.isfinite(jax.grad(lambda raw: jnp.sum(forward(iso.WeightNorm(), raw) ** 2))(raw)).all()
    assert np.array_equal(inverse(iso.WeightNorm(), value)[1], np.zeros(4))


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-13, 1e-12, 1.0, 1e300])
@pytest.mark.parametrize("spec", [iso.UnitVector(), iso.UnitNorm()], ids=str)
def test_a_tiny_vector_has_its_direction_and_the_derivative_of_it(spec: iso.Spec, size: float) -> None:
    """A length with an eps below it gives tiny vectors a value that is too short and a derivative of 1/eps."""
    raw = jnp.asarray([0.6 * size, 0.8 * size])
    np.testing.assert_allclose(forward(spec, raw), [0.6, 0.8], rtol=4e-16)
    jacobian = jax.jit(jax.jacrev(partial(forward, spec)))(raw) * size
    np.testing.assert_allclose(jacobian, [[0.64, -0.48], [-0.48, 0.36]], rtol=1e-15)


class Tied(nnx.Module):
    def __init__(self) -> None:
        self.a, self.b = (nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(seed)) for seed in (0, 1))
        self.b.kernel = self.a.kernel


def test_tied_parameters_are_constrained_once() -> None:
    """A constraint put on both of two tied layers is inverted twice, and what was positive becomes nan."""
    module = Tied()
    attach(module, "a.kernel", iso.Positive(), start="project")
    with pytest.raises(SpecError, match="it is constrained already"):
        attach(module, "b.kernel", iso.Positive(), start="project")
    assert np.array_equal(module.a.kernel[...], module.b.kernel[...])
    assert (module.b.kernel[...] > 0).all()


def test_a_pure_dict_is_not_transformed_twice() -> None:
    """Where reading transforms and the dict holds what was read, writing it back transforms once more."""

    class Model(nnx.Module):
        x = Constrained(iso.Interval(0, 1))
        w = Constrained(iso.Simplex())

        def __init__(self) -> None:
            self.x = 0.3
            self.w = jnp.asarray([0.2, 0.3, 0.5])

    module = Model()
    before = [np.array(module.x), np.array(module.w)]
    for _ in range(3):
        state = nnx.state(module)
        nnx.replace_by_pure_dict(state, nnx.to_pure_dict(state))
        nnx.update(module, state)
        graph, state = nnx.split(module)
        nnx.replace_by_pure_dict(state, jax.tree.map(np.asarray, nnx.to_pure_dict(state)))
        module = nnx.merge(graph, state)
    assert np.array_equal(before[0], module.x)
    assert np.array_equal(before[1], module.w)


@pytest.mark.parametrize("raw", [19.9, 20.0001, 20.5, 25.0, 30.0])
def test_softplus_has_no_threshold(raw: float) -> None:
    """Above a threshold of 20, x in place of its softplus is off by up to 2e-9, and the derivative exactly 1."""
    value, slope = jax.value_and_grad(partial(forward, iso.Positive()))(jnp.asarray(raw))
    with mp.workdps(50):
        assert abs(mp.mpf(float(value)) - mp.log1p(mp.exp(mp.mpf(raw)))) <= np.spacing(raw)
        assert abs(mp.mpf(float(slope)) - 1 / (1 + mp.exp(-mp.mpf(raw)))) <= 2**-53
    assert value > raw
    assert slope < 1


def test_bounds_are_not_rounded_to_float32() -> None:
    """TFP keeps 0.1 as a float32, and returns 0.10000000149 in float64."""
    far = jnp.asarray([-1e3, 1e3])
    assert forward(iso.Interval(0.1, 0.9), far).tolist() == [0.1, 0.9]
    assert forward(iso.GreaterThan(0.1), far[:1]).tolist() == [0.1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", [iso.Interval(0, 1), iso.Interval(0, 1, link="tanh")], ids=str)
def test_a_saturated_gradient_is_not_zero(spec: iso.Spec, dtype: str) -> None:
    """y (1 - y) is 0 as soon as y rounds to 1: from raw = 17 (float32) or 37 (float64) nothing moves any more."""
    raw = jnp.asarray([-40.0, 40.0], dtype)
    slope = jax.grad(lambda raw: forward(spec, raw).sum())(raw)
    rate = 2 if spec.link == "tanh" else 1
    expected = rate * np.exp(-40.0 * rate)
    np.testing.assert_allclose(np.asarray(slope, np.float64), expected, rtol=4 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("norm", [1e-4, 0.022, 1.0, 5.4, 19.7, 50.0])
def test_the_matrix_exponential_is_right_in_value(norm: float) -> None:
    """jax.scipy.linalg.expm is off by 1.6e7 eps at norm 19.7, though its result is orthogonal to 0.1 eps."""
    spec = iso.SpecialOrthogonal(map="exp")
    flat = np.random.Generator(np.random.Philox(6)).normal(0, 1, 10)
    lower = np.zeros((5, 5))
    lower[np.tril_indices(5, -1)] = flat
    raw = flat * (norm / np.linalg.norm(lower - lower.T, 2))
    lower[np.tril_indices(5, -1)] = raw
    value = np.asarray(jax.jit(partial(forward, spec))(raw))
    with mp.workdps(120):
        right = np.array(mp.expm(mp.matrix((lower - lower.T).tolist()), method="taylor").tolist(), float)
    assert np.linalg.norm(value - right) <= 50 * 2**-52 * np.linalg.norm(right)


def test_weight_decay_shrinks_reflections_to_the_base_and_not_to_zero() -> None:
    """Where the reflections are the weights, decayed ones become the zero matrix, of which nothing is orthogonal."""
    spec = iso.Orthogonal(map="householder")
    optimizer = optax.chain(optax.add_decayed_weights(1.0), optax.sgd(0.1))

    @jax.jit
    def step(raw: jax.Array, state: optax.OptState) -> tuple[jax.Array, optax.OptState]:
        gradient = jax.grad(lambda raw: 0.0 * forward(spec, raw).sum())(raw)
        change, state = optimizer.update(gradient, state, raw)
        return optax.apply_updates(raw, change), state

    raw = jnp.asarray([0.5, -1.0, 2.0])
    state = optimizer.init(raw)
    for _ in range(500):
        raw, state = step(raw, state)
    assert np.isfinite(raw).all()
    np.testing.assert_allclose(forward(spec, raw), np.eye(3), rtol=0, atol=1e-15)
