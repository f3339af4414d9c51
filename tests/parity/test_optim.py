"""The updates of both backends, side by side, and each against the genuine optimizer of its framework."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import isoparam as iso
from isoparam.optimizers import Optimizer
from jax_impl import optim as jax_optim
from parity.training import relative
from torch_impl import optim as torch_optim

SPECS: list[Optimizer] = [
    iso.SGD(lr=0.1),
    iso.SGD(lr=0.1, maximize=True, weight_decay=0.1),
    iso.SGD(lr=0.1, momentum=0.9, dampening=0.5),
    iso.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    iso.Adam(lr=0.1),
    iso.Adam(lr=0.1, betas=(0.2, 0.5), eps=1e-3, weight_decay=0.1, amsgrad=True, maximize=True),
    iso.AdamW(lr=0.1),
    iso.AdamW(lr=0.1, weight_decay=0.5, amsgrad=True),
]
STEPS = 30
each_spec = pytest.mark.parametrize("spec", SPECS, ids=repr)


def start_and_gradients(dtype):
    rng = np.random.default_rng(3)
    start = rng.uniform(1, 2, (2, 3)).astype(dtype)
    return start, (rng.standard_normal((STEPS, 2, 3)) * np.geomspace(1e-3, 10, 6).reshape(2, 3)).astype(dtype)


def torch_genuine(spec, start, gradients):
    leaf = torch.tensor(start, requires_grad=True)
    optimizer = torch_optim.optimizer(spec, {"x": leaf})
    for gradient in gradients:
        leaf.grad = torch.tensor(gradient)
        optimizer.step()
    return leaf.detach().numpy()


def torch_steps(spec, start, gradients):
    params = torch.tensor(start)
    state = torch_optim.init_state(spec, params)
    for gradient in gradients:
        params, state = torch_optim.step(spec, params, torch.tensor(gradient), state)
    return params.numpy()


def jax_genuine(spec, start, gradients):
    params = {"x": jnp.asarray(start)}
    transform = jax_optim.optimizer(spec)
    state, update = transform.init(params), jax.jit(transform.update)
    for gradient in gradients:
        updates, state = update({"x": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["x"])


def jax_steps(spec, start, gradients):
    params = jnp.asarray(start)
    state, step = jax_optim.init_state(spec, params), jax.jit(jax_optim.step, static_argnums=0)
    for gradient in gradients:
        params, state = step(spec, params, jnp.asarray(gradient), state)
    return np.asarray(params)


@each_spec
def test_all_four_forms_agree_in_float64(spec):
    start, gradients = start_and_gradients(np.float64)
    expected = torch_genuine(spec, start, gradients)
    assert relative(torch_steps(spec, start, gradients), expected) == 0
    with jax.enable_x64(True):
        assert relative(jax_steps(spec, start, gradients), expected) < 1e-14
        assert relative(jax_genuine(spec, start, gradients), expected) < 1e-14


@each_spec
def test_float32_keeps_its_digits_in_a_program_with_x64_off(spec):
    start, gradients = start_and_gradients(np.float32)
    expected = torch_genuine(spec, start, gradients)
    for form in (jax_steps, jax_genuine):
        result = form(spec, start, gradients)
        assert result.dtype == np.float32
        # Thirty roundings of at most 6e-8 each. Bias corrections in float32 would miss by 1e-5 in the first steps.
        assert relative(result, expected) < 1e-6


def test_bias_corrections_are_those_of_torch_for_many_steps():
    """In float32 alone, 1 - 0.999^t is off by 1e-5 at first."""
    for count in (1, 2, 10, 1000, 100_000):
        exact = torch_optim._corrections(iso.Adam(), float(count))
        ours = jax.jit(lambda t: jax_optim._corrections(iso.Adam(), t, jnp.float32))(jnp.int32(count))
        assert [float(part) for part in ours] == [float(np.float32(part)) for part in exact]
