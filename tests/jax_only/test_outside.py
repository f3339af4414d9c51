"""What no number can be looked at for: values outside of a set under grad, and arrays that a program shards explicitly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.dtypes import TypePromotionError
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import isoparam as iso
from isoparam.jax import forward, inverse, project

OUTSIDE = {
    "interval": (iso.Interval(0, 1), 2.0),
    "unit-interval": (iso.UnitInterval(), -1.0),
    "positive": (iso.Positive(), -1.0),
    "positive-exp": (iso.Positive(link="exp"), -1.0),
    "greater": (iso.GreaterThan(1.0), 0.0),
    "less": (iso.LessThan(1.0), 2.0),
    "simplex": (iso.Simplex(), [0.5, 0.7, -0.2]),
    "ordered": (iso.Ordered(), [2.0, 1.0, 3.0]),
    "covariance": (iso.Covariance(), [[1.0, 2.0], [2.0, 1.0]]),
    "autoregression": (iso.StationaryAR(), [1.2, 0.1]),
}
TRIANGLES = {
    "lower": iso.LowerTriangular(),
    "symmetric": iso.Symmetric(),
    "correlation": iso.Correlation(),
    "cholesky-correlation": iso.CholeskyCorrelation(),
    "autoregression": iso.StationaryAR(),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_outside_value_under_grad_has_a_gradient_of_nan(name: str) -> None:
    spec, value = OUTSIDE[name]
    raw, slope = jax.jit(jax.value_and_grad(lambda value: jnp.sum(inverse(spec, value))))(jnp.asarray(value))
    assert jnp.isnan(raw)
    assert jnp.isnan(slope).any(), slope


@pytest.mark.parametrize("name", TRIANGLES)
def test_a_batch_sharded_explicitly_has_gradients(name: str) -> None:
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        raw = jax.device_put(np.full((4, 6), 0.3, np.float32), NamedSharding(mesh, PartitionSpec("data")))
        slope = jax.eval_shape(jax.grad(lambda raw: jnp.sum(jnp.sin(forward(TRIANGLES[name], raw)))), raw)
    assert slope.shape == (4, 6)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
def test_second_derivatives_of_a_projection_in_float64_need_it_allowed() -> None:
    def total(point: jax.Array) -> jax.Array:
        return jnp.sum(project(iso.Covariance(), point) ** 3)

    point = jnp.asarray([[2.0, 0.5], [0.5, 1.0]], jnp.float32)
    assert np.isfinite(jax.grad(total)(point)).all()
    with pytest.raises((TypeError, TypePromotionError), match="float32"):
        jax.hessian(total)(point)
    with jax.enable_x64(True):
        second = jax.hessian(total)(point)
    assert second.dtype == jnp.float32
    assert np.isfinite(second).all()
