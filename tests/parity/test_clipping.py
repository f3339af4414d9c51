"""Clipping and averages are those of torch, on both sides."""

import doctest
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import isoparam as iso
from isoparam import jax as in_jax
from isoparam import torch as in_torch
from parity.training import relative

RNG = np.random.default_rng(4)
GRADS = {"a": RNG.standard_normal((3, 4)), "b": RNG.standard_normal(()), "c": RNG.standard_normal(7) * 10}
DTYPES = {"float64": 1e-15, "float32": 3e-7}


def sides(dtype, tree):
    return {n: torch.tensor(v.astype(dtype)) for n, v in tree.items()}, {
        n: jnp.asarray(v.astype(dtype)) for n, v in tree.items()
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [1e-5, 0.01, 1.0, 1e3])
def test_clip_by_norm(dtype, norm_type, max_norm):
    leaves = {name: torch.zeros(value.shape, dtype=getattr(torch, dtype)) for name, value in GRADS.items()}
    with jax.enable_x64(dtype == "float64"):
        ours, theirs = sides(dtype, GRADS)
        for name, leaf in leaves.items():
            leaf.grad = ours[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(leaves.values(), max_norm, norm_type)
        for clipped, size in (
            in_torch.clip_by_norm(ours | {"none": None}, max_norm, norm_type),
            jax.jit(in_jax.clip_by_norm, static_argnums=(1, 2))(theirs | {"none": None}, max_norm, norm_type),
        ):
            assert clipped["none"] is None
            assert relative(size, norm.numpy()) <= DTYPES[dtype]
            for name, leaf in leaves.items():
                assert clipped[name].dtype in (leaf.dtype, dtype)
                assert relative(np.asarray(clipped[name]), leaf.grad.numpy()) <= DTYPES[dtype], name


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_by_value(dtype):
    with jax.enable_x64(dtype == "float64"):
        ours, theirs = sides(dtype, GRADS)
        first, second = in_torch.clip_by_value(ours, 0.7), in_jax.clip_by_value(theirs, 0.7)
        for name, value in ours.items():
            leaf = torch.zeros_like(value)
            leaf.grad = value.clone()
            torch.nn.utils.clip_grad_value_([leaf], 0.7)
            assert np.array_equal(first[name].numpy(), leaf.grad.numpy())
            assert np.array_equal(second[name], leaf.grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decay", [None, 0.9, 0.3])
def test_averages_of_thirty_steps(dtype, decay):
    model = torch.nn.Linear(3, 2, dtype=getattr(torch, dtype))
    genuine = AveragedModel(model, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay))
    steps = RNG.standard_normal((30, 2, 3)).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        mean, other = {"w": torch.zeros(2, 3, dtype=getattr(torch, dtype))}, {"w": jnp.zeros((2, 3), dtype)}
        move = jax.jit(in_jax.averaged, static_argnums=3)
        for count, step in enumerate(steps):
            with torch.no_grad():
                model.weight.copy_(torch.tensor(step))
            genuine.update_parameters(model)
            mean = in_torch.averaged(mean, {"w": torch.tensor(step)}, count, decay)
            other = move(other, {"w": jnp.asarray(step)}, count, decay)
            expected = genuine.module.weight.detach().numpy()
            assert relative(mean["w"].numpy(), expected) <= DTYPES[dtype]
            assert relative(other["w"], expected) <= DTYPES[dtype]


@pytest.mark.parametrize("side", [in_torch, in_jax], ids=["torch", "jax"])
def test_what_cannot_be_right_is_refused(side):
    with pytest.raises(iso.errors.SpecError, match="max_norm=-1 must be a number, at least 0"):
        side.clip_by_norm({}, -1)
    with pytest.raises(iso.errors.SpecError, match=r"norm_type=0.5 must be a number, at least 1"):
        side.clip_by_norm({}, 1.0, 0.5)
    with pytest.raises(iso.errors.SpecError, match="clip_value=nan must be a number"):
        side.clip_by_value({}, float("nan"))
    with pytest.raises(iso.errors.SpecError, match=r"decay=2 must be a number in \[0, 1\]"):
        side.averaged({}, {}, 1, 2)


@pytest.mark.parametrize("name", ["torch_impl.clipping", "jax_impl.clipping"])
def test_examples_of(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed
