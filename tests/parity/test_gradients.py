"""First and second derivatives of the two backends against each other, at 0, +-40, seams and ties.

In float64 each side is compared with the true derivatives in its own folder (test_compile, test_transforms), in every mode
and at the same points; here the two meet in one process: in float32, and in what a loss sees of them, gradients through
the log-determinant and the inverse.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from budgets import JACOBIAN, derivative
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from oracle.rounding import normwise, ulps
from samples import MAPS, SAMPLES, Sample, turning_points, weights_of

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def check(sample: Sample, jax_result: jax.Array, torch_result: torch.Tensor, allowed: float) -> None:
    left, right = np.asarray(jax_result), torch_result.detach().numpy(force=True)
    distance = ulps(left, right).max() if sample.is_scalar else normwise(left, right)
    assert distance <= allowed, f"{distance:.3g} > {allowed}: JAX\n{left}\ntorch\n{right}"


def in_shape(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Flat rows of raw numbers in the shape that the spec takes."""
    return rows if sample.is_scalar else rows.reshape(-1, *sample.core)


@each_sample
def test_float32_jacobians_and_hessians_agree(sample: Sample) -> None:
    weights = weights_of(sample).astype(np.float32)

    @jax.jit
    def by_jax(raw: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = sample.flat(jax_side.forward)
        return jax.jacrev(value)(raw), jax.hessian(lambda x: jnp.sum(weights * value(x)))(raw)

    value = sample.flat(torch_side.forward)
    for row in turning_points(sample).astype(np.float32):
        raw = torch.tensor(row)
        with jax.enable_x64(True):
            jacobian, hessian = by_jax(row)
        check(sample, jacobian, torch.func.jacrev(value)(raw), 2 * JACOBIAN.allowed)
        right = torch.func.hessian(lambda x: torch.sum(torch.tensor(weights) * value(x)))(raw)
        check(sample, hessian, right, 2 * derivative(sample.name, "hessian").allowed)


@each_sample
def test_gradients_of_a_log_density_agree(sample: Sample) -> None:
    """loss(forward(raw)) - log|det|, as in a Bayesian fit, with the gradient through both terms."""
    scale = max(1.0, sample.added_bound)

    @jax.jit
    @jax.value_and_grad
    def by_jax(raw: jax.Array) -> jax.Array:
        value = jax_side.forward(sample.spec, raw) / scale
        volume = jnp.sum(jax_side.log_abs_det(sample.spec, raw)) if sample.has("log_abs_det") else 0.0
        return jnp.sum((value - 0.5) ** 2) - volume

    for row in in_shape(sample, np.clip(turning_points(sample), -3, 3)):
        raw = torch.tensor(row, requires_grad=True)
        value = torch_side.forward(sample.spec, raw) / scale
        volume = torch_side.log_abs_det(sample.spec, raw).sum() if sample.has("log_abs_det") else 0.0
        loss = ((value - 0.5) ** 2).sum() - volume
        loss.backward()
        with jax.enable_x64(True):
            jax_loss, jax_gradient = by_jax(row)
        # Two terms of either sign: a unit in the last place of the larger is about 2e-16 of these sizes (up to 100).
        np.testing.assert_allclose(jax_loss, loss.item(), rtol=2e-14, atol=2e-14)
        np.testing.assert_allclose(jax_gradient, raw.grad.numpy(), rtol=2e-14, atol=2e-14)


@each_sample
def test_gradients_of_the_inverse_agree(sample: Sample) -> None:
    row = in_shape(sample, np.clip(turning_points(sample), -3, 3))[-1]
    point = torch_side.forward(sample.spec, torch.tensor(row))
    by_torch = torch.func.jacrev(partial(torch_side.inverse, sample.spec))(point).numpy(force=True)
    with jax.enable_x64(True):
        by_jax = np.asarray(jax.jit(jax.jacrev(partial(jax_side.inverse, sample.spec)))(point.numpy()))
    assert by_jax.shape == by_torch.shape
    size = np.abs(by_torch).max()
    assert np.abs(by_jax - by_torch).max() <= 16 * np.finfo(np.float64).eps * size


@pytest.mark.parametrize("sample", [sample for sample in MAPS if sample.has("project")], ids=lambda sample: sample.name)
def test_gradients_of_the_projection_agree(sample: Sample) -> None:
    """From a point off the set, in the float32 of a JAX program without float64."""
    value = torch_side.forward(sample.spec, torch.tensor(in_shape(sample, turning_points(sample))[-1]))
    rng = np.random.Generator(np.random.Philox(17))
    point = (1.5 * value.numpy() + rng.normal(0.0, 0.5, value.shape)).astype(np.float32)
    weights = rng.normal(0.0, 1.0, value.shape).astype(np.float32)
    raw = torch.tensor(point, requires_grad=True)
    (by_torch,) = torch.autograd.grad((torch_side.project(sample.spec, raw) * torch.tensor(weights)).sum(), raw)
    with jax.enable_x64(False):
        by_jax = jax.grad(lambda x: jnp.sum(jax_side.project(sample.spec, x) * weights))(point)
    assert by_jax.dtype == np.float32
    assert normwise(np.asarray(by_jax), by_torch.numpy(force=True), 1.0) <= 64
