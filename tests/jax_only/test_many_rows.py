"""Batches so large that a rule takes its way for many entries: the values and derivatives of one vector at a time."""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from isoparam.jax import forward
from oracle.rounding import ulps

ROWS = 1024
SPECS = {
    iso.CholeskyCorrelation(): 15,
}
each_spec = pytest.mark.parametrize(("spec", "size"), [pytest.param(*case, id=str(case[0])) for case in SPECS.items()])


@pytest.fixture(params=(False, True), ids=("without float64", "with float64"))
def float64(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the program has float64."""
    with jax.enable_x64(request.param):
        yield request.param


def raw_of(size: int, scale: float = 1.0) -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(3))
    return (scale * rng.normal(0, 1, (ROWS, size))).astype(np.float32)


@each_spec
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_values(spec: iso.Spec, size: int, scale: float, float64: bool) -> None:
    """Of all rows at once, and of each row by itself."""
    raw = raw_of(size, scale)
    together = jax.jit(partial(forward, spec))(raw)
    alone = jax.jit(jax.vmap(partial(forward, spec)))(raw)
    assert together.dtype == jnp.float32
    assert ulps(np.asarray(together), np.asarray(alone)).max() <= 2


@each_spec
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_first_derivatives(spec: iso.Spec, size: int, scale: float, float64: bool) -> None:
    """Forwards and backwards, normwise in each row; their unit is the last digit of the largest entry."""
    raw, tangent = raw_of(size, scale), raw_of(size)[::-1]
    weights = np.random.Generator(np.random.Philox(4)).normal(0, 1, spec.value_shape(raw.shape)).astype(np.float32)

    def derivatives(function: Callable, weights: jax.Array) -> dict[str, jax.Array]:
        return {"pull": jax.vjp(function, raw)[1](weights)[0], "push": jax.jvp(function, (raw,), (tangent,))[1]}

    together = jax.jit(partial(derivatives, partial(forward, spec)))(weights)
    alone = jax.jit(partial(derivatives, jax.vmap(partial(forward, spec))))(weights)
    for mode, found in together.items():
        found, wanted = (np.asarray(part, np.float64).reshape(ROWS, -1) for part in (found, alone[mode]))
        apart = np.linalg.norm(found - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1)
        assert apart.max() <= 8 * np.finfo(np.float32).eps, mode


@each_spec
def test_second_derivatives(spec: iso.Spec, size: int, float64: bool) -> None:
    """Forwards over backwards and backwards over backwards, of all rows at once and of each row by itself."""
    raw, tangent = raw_of(size), raw_of(size)[::-1]

    def second(function: Callable) -> list[jax.Array]:
        gradient = jax.grad(lambda raw: jnp.sum(jnp.sin(3 * function(raw))))
        return [jax.jvp(gradient, (raw,), (tangent,))[1], jax.vjp(gradient, raw)[1](tangent)[0]]

    together = jax.jit(partial(second, partial(forward, spec)))()
    alone = jax.jit(partial(second, jax.vmap(partial(forward, spec))))()
    for found, wanted in zip(together, alone, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6 * float(jnp.max(jnp.abs(wanted))))


@each_spec
def test_a_row_that_is_not_finite_stays_alone(spec: iso.Spec, size: int) -> None:
    raw = raw_of(size)
    whole = np.isfinite(np.asarray(forward(spec, jnp.asarray(raw)))).reshape(ROWS, -1).all(axis=-1)
    raw[3, 0], raw[5, size // 2] = np.inf, np.nan
    broken = np.isfinite(np.asarray(forward(spec, jnp.asarray(raw)))).reshape(ROWS, -1).all(axis=-1)
    assert whole.all()
    assert set(np.flatnonzero(~broken)) <= {3, 5}
