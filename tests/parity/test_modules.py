"""The same module in both frameworks: values, gradients of raw, 50 Adam steps, starts and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import isoparam as iso
import isoparam.jax
import isoparam.torch
from isoparam.errors import IsoparamError

SPECS = {"x": iso.Interval(0, 2), "w": iso.Simplex(), "s": iso.Positive(), "o": iso.Ordered()}
START = {
    "x": np.array(0.3),
    "w": np.array([[0.2, 0.3, 0.5], [0.25, 0.7, 0.05]]),
    "s": np.array([2.0, 1e-3]),
    "o": np.array([-1.0, 0.5, 4.0]),
}
TARGET = {"x": 1.5, "w": np.array([0.5, 0.25, 0.25]), "s": np.array([1.0, 2.0]), "o": np.array([0.0, 1.0, 2.0])}


class TorchModel(torch.nn.Module):
    x = iso.torch.Constrained(SPECS["x"])
    w = iso.torch.Constrained(SPECS["w"])
    s = iso.torch.Constrained(SPECS["s"])
    o = iso.torch.Constrained(SPECS["o"])

    def __init__(self):
        super().__init__()
        for name, value in START.items():
            setattr(self, name, torch.tensor(value))

    def loss(self):
        return sum(((getattr(self, name) - torch.as_tensor(target)) ** 2).sum() for name, target in TARGET.items())


class JaxModel(nnx.Module):
    x = iso.jax.Constrained(SPECS["x"])
    w = iso.jax.Constrained(SPECS["w"])
    s = iso.jax.Constrained(SPECS["s"])
    o = iso.jax.Constrained(SPECS["o"])

    def __init__(self):
        for name, value in START.items():
            setattr(self, name, jnp.asarray(value))

    def loss(self):
        return sum(((getattr(self, name) - jnp.asarray(target)) ** 2).sum() for name, target in TARGET.items())


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def assert_same(ours, theirs, rtol):
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_allclose(np.asarray(ours[name]), np.asarray(theirs[name]), rtol=rtol, err_msg=name)


def test_same_values_raw_and_gradients():
    ours, theirs = TorchModel(), JaxModel()
    assert list(iso.torch.values(ours)) == list(iso.jax.values(theirs)) == list(SPECS)
    assert_same(iso.torch.values(ours), iso.jax.values(theirs), 1e-15)
    ours.loss().backward()
    grads = nnx.grad(lambda model: model.loss())(theirs)
    for name in SPECS:
        leaf = getattr(ours, f"{name}_raw")
        np.testing.assert_allclose(leaf.detach(), getattr(theirs, f"{name}_raw")[...], rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(leaf.grad, grads[f"{name}_raw"][...], rtol=1e-13, atol=1e-15)


def test_fifty_adam_steps_stay_together():
    ours, theirs = TorchModel(), JaxModel()
    adam = torch.optim.Adam(ours.parameters(), lr=0.05)
    optimizer = nnx.Optimizer(theirs, optax.adam(0.05), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda model: model.loss())(model))

    before = ours.loss().item()
    with jax.numpy_dtype_promotion("standard"):  # optax divides by integer counts
        for _ in range(50):
            adam.zero_grad()
            ours.loss().backward()
            adam.step()
            step(theirs, optimizer)
    assert ours.loss().item() < before / 2
    assert_same(iso.torch.values(ours), iso.jax.values(theirs), 1e-13)


@pytest.mark.parametrize("name", SPECS)
def test_same_projected_start(name):
    spec = SPECS[name]
    point = np.random.default_rng(0).standard_normal((4, 3)) * 3

    class Ours(torch.nn.Module):
        x = iso.torch.Constrained(spec, start="project")

    class Theirs(nnx.Module):
        x = iso.jax.Constrained(spec, start="project")

    ours, theirs = Ours(), Theirs()
    ours.x, theirs.x = torch.tensor(point), jnp.asarray(point)
    np.testing.assert_allclose(ours.x.detach(), theirs.x, rtol=1e-14, atol=1e-15)
    inside = iso.torch.contains(spec, torch.tensor(point))
    kept = inside if spec.kind == "scalar" else inside[..., None].expand(4, 3)
    np.testing.assert_allclose(ours.x.detach()[kept], point[kept], rtol=1e-14)


def test_same_drawn_start():
    class Ours(torch.nn.Module):
        x = iso.torch.Constrained(iso.Simplex(), start=np.random.default_rng(5))

    class Theirs(nnx.Module):
        x = iso.jax.Constrained(iso.Simplex(), start=np.random.default_rng(5))

    ours, theirs = Ours(), Theirs()
    ours.x, theirs.x = torch.empty(2, 3, dtype=torch.float64), jnp.zeros((2, 3))
    np.testing.assert_array_equal(ours.x_raw.detach(), theirs.x_raw[...])


@pytest.mark.parametrize(
    "value", [1, True, "0.3", None, 3.0, 2.0, float("nan"), np.array([1]), np.zeros(0), np.zeros(2)], ids=repr
)
def test_same_errors(value):
    ours, theirs = TorchModel(), JaxModel()
    with pytest.raises(IsoparamError) as first:
        ours.x = value
    with pytest.raises(IsoparamError) as second:
        theirs.x = value
    assert type(first.value) is type(second.value)
    alike = str(first.value).replace("TorchModel", "Model").replace("torch tensor", "array")
    assert alike == str(second.value).replace("JaxModel", "Model").replace("JAX array", "array")
