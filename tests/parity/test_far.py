"""Raw numbers far from 0: values and gradients in float32 are finite, and have the digits of those in float64.

How many digits is the matter of test_oracle; here a formula that breaks down far out is caught, for all entries of a batch.
"""

import jax
import numpy as np
import pytest
import torch

from isoparam import jax as jax_side
from isoparam import torch as torch_side
from samples import SAMPLES, Sample

FAR = (5.0, 30.0, 90.0, 300.0)
EPS = float(np.finfo(np.float32).eps)
LARGEST = float(np.finfo(np.float32).max)
LEAST = 1e-30  # below, an eps of the result is no normal number
NEAR = 1e4 * EPS  # of the largest entry: what cancels in a gradient may leave three of seven digits

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def rows(sample: Sample) -> np.ndarray:
    """Eight rows of normal numbers at each distance, of either sign."""
    shape = sample.core if sample.is_scalar else sample.raws[1]
    drawn = np.random.Generator(np.random.Philox(5)).normal(0, 1, (len(FAR), 8, *shape))
    sizes = np.array(FAR).reshape(-1, *(1,) * (drawn.ndim - 1))
    far = (drawn * sizes).reshape(-1, *shape)
    return np.clip(far, -sample.reach, sample.reach).astype(np.float32)


def by_torch(sample: Sample, raw: np.ndarray, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leaf = torch.tensor(raw, requires_grad=True)
    value = torch_side.forward(sample.spec, leaf)
    (slope,) = torch.autograd.grad(value, leaf, torch.tensor(np.resize(cotangent, value.shape)).to(value.dtype))
    return value.numpy(force=True), slope.numpy()


def by_jax(sample: Sample, raw: np.ndarray, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    @jax.jit
    def both(leaf: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, pull = jax.vjp(lambda leaf: jax_side.forward(sample.spec, leaf), leaf)
        return value, pull(cotangent)[0]

    with jax.enable_x64(True):
        shape = jax.eval_shape(lambda leaf: jax_side.forward(sample.spec, leaf), jax.numpy.asarray(raw)).shape
        value, slope = both(raw, np.resize(cotangent, shape).astype(raw.dtype))
    return np.asarray(value), np.asarray(slope)


@pytest.mark.parametrize("backend", ["torch", "jax"])
@each_sample
def test_far_raw_numbers_keep_their_values_and_gradients(sample: Sample, backend: str) -> None:
    run = {"torch": by_torch, "jax": by_jax}[backend]
    raw, cotangent = rows(sample), np.random.Generator(np.random.Philox(6)).normal(0, 1, 4096)
    for got, right in zip(run(sample, raw, cotangent), by_torch(sample, raw.astype(np.float64), cotangent), strict=True):
        exact = right.reshape(len(raw), -1)
        size = np.abs(exact).max(axis=-1, keepdims=True)
        found = got.reshape(len(raw), -1)
        inside = np.broadcast_to(size <= LARGEST / 16, found.shape)
        assert np.isfinite(found[inside]).all(), f"{raw[~np.isfinite(found).all(axis=-1)][:1]}"
        with np.errstate(invalid="ignore"):  # inf - inf, where nothing is asked
            far = np.abs(found - exact) > NEAR * np.maximum(size, LEAST)
        assert not far[inside].any(), f"{found[far][:3]} is not {exact[far][:3]}; raw {raw[far.any(axis=-1)][:1]}"
