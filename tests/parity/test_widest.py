"""Intervals as wide as the dtype: their gradient is finite, also where no number is so far that it is computed another way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from oracle.rounding import ulps

WIDE = {"float32": 3.0e38, "float64": 1.5e308}


@pytest.mark.parametrize("raw", [(0.0,), (-1.0, 0.5), (3.0, -100.0)], ids=["at 0", "near", "one far"])
@pytest.mark.parametrize("link", ["sigmoid", "tanh"])
@pytest.mark.parametrize("shape", ["number", "array"])
@pytest.mark.parametrize("dtype", WIDE)
def test_the_gradient_of_the_widest_interval(dtype: str, shape: str, link: str, raw: tuple[float, ...]) -> None:
    wide, numbers = WIDE[dtype], np.array(raw, dtype)
    high = wide if shape == "number" else np.full(len(raw), wide)
    spec = iso.Interval(-high, high, link=link)
    x = numbers.astype(np.longdouble) / (2 if link == "sigmoid" else 1)
    slope = np.longdouble(np.dtype(dtype).type(wide)) / (2 if link == "sigmoid" else 1) / np.cosh(x) ** 2
    tensor = torch.tensor(numbers, requires_grad=True)
    torch_side.forward(spec, tensor).sum().backward()
    with jax.enable_x64(dtype == "float64"):
        by_jax = np.asarray(jax.grad(lambda row: jax_side.forward(spec, row).sum())(jnp.asarray(numbers)))
    assert tensor.grad is not None
    for got in (tensor.grad.numpy(), by_jax):
        assert ulps(got, slope.astype(dtype)).max() <= 3
