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


@pytest.mark.parametrize(("low", "high", "link"), [(-3e38, 3e38, "sigmoid"), (0.0, 3e38, "tanh"), (0.0, 1e38, "sigmoid")])
def test_nothing_is_falsely_zero_in_float32(low: float, high: float, link: str) -> None:
    spec, rate = iso.Interval(low, high, link=link), 1 if link == "sigmoid" else 2
    raw = np.linspace(-180 / rate, 180 / rate, 20001).astype(np.float32)
    left, width = np.longdouble(np.float32(low)), np.longdouble(np.float32(high)) - np.longdouble(np.float32(low))
    decay = np.exp(-np.abs(rate * raw.astype(np.longdouble)))
    s = decay / (1 + decay)
    slope, value = rate * width * s / (1 + decay), left + width * np.where(raw < 0, s, 1 - s)
    tensor = torch.tensor(raw, requires_grad=True)
    result = torch_side.forward(spec, tensor)
    result.backward(torch.ones_like(result))
    by_jax = jax.jit(lambda row: jax_side.forward(spec, row))(jnp.asarray(raw))
    slope_by_jax = jax.vjp(jax.jit(lambda row: jax_side.forward(spec, row)), jnp.asarray(raw))[1](jnp.ones_like(by_jax))[0]
    tiny, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    assert tensor.grad is not None
    for got in (tensor.grad.numpy(), np.asarray(slope_by_jax)):
        normal = (slope >= tiny) & (slope <= largest)
        assert ulps(got[normal], slope[normal].astype(np.float32)).max() <= 4
    for got in (result.detach().numpy(), np.asarray(by_jax)):
        assert np.all(got[np.abs(value) >= tiny] != 0)
