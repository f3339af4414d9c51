"""Orthogonal matrices by reflections: weight decay ends at the base, and large values lead back to themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from isoparam.jax import forward as jax_forward
from isoparam.torch import attach

BASE = np.linalg.qr(np.random.Generator(np.random.Philox(31)).normal(0, 1, (4, 4)))[0]
SPEC = iso.Orthogonal(map="householder").at(BASE)


def missed(weight: np.ndarray) -> float:
    return float(np.abs(weight.T @ weight - np.eye(len(weight))).max())


def test_weight_decay_keeps_an_orthogonal_weight_in_torch() -> None:
    layer = torch.nn.Linear(4, 4, bias=False, dtype=torch.float64)
    attach(layer, "weight", SPEC, start=torch.tensor(BASE))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=10.0)
    inputs = torch.tensor(np.random.Generator(np.random.Philox(32)).normal(0, 1, (8, 4)))
    for _ in range(100):
        optimizer.zero_grad()
        (layer(inputs) ** 3).sum().backward()
        optimizer.step()
    assert missed(layer.weight.detach().numpy()) <= 1e-14


def test_weight_decay_keeps_an_orthogonal_weight_in_jax() -> None:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # as optax needs it
        inputs = jnp.asarray(np.random.Generator(np.random.Philox(32)).normal(0, 1, (8, 4)))
        raw, adamw = jnp.zeros(6), optax.adamw(0.1, weight_decay=10.0)
        state = adamw.init(raw)

        @jax.jit
        def step(raw: jax.Array, state: optax.OptState) -> tuple[jax.Array, optax.OptState]:
            slope = jax.grad(lambda raw: jnp.sum((inputs @ jax_forward(SPEC, raw).T) ** 3))(raw)
            updates, state = adamw.update(slope, state, raw)
            return optax.apply_updates(raw, updates), state

        for _ in range(100):
            raw, state = step(raw, state)
        assert missed(np.asarray(jax_forward(SPEC, raw))) <= 1e-14


def test_large_values_of_reflections_lead_back_to_themselves() -> None:
    """Few of them are near the base, and an elimination without row exchanges, which needs that, loses their digits."""
    spec, eps = iso.Orthogonal(map="householder"), np.finfo(np.float32).eps
    raw = np.random.Generator(np.random.Philox(33)).normal(0, 1, 60 * 59 // 2).astype(np.float32)
    value = torch_side.forward(spec, torch.tensor(raw))
    again = torch_side.forward(spec, torch_side.inverse(spec, value))
    assert np.abs((again - value).numpy()).max() <= 16 * eps
    with jax.enable_x64(False):
        value = jax_side.forward(spec, jnp.asarray(raw))
        again = jax_side.forward(spec, jax_side.inverse(spec, value))
    assert np.abs(np.asarray(again - value)).max() <= 16 * eps
