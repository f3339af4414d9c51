"""Values of one framework start the other: torch module -> numpy -> nnx module and back, for every map of the catalogue."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import isoparam as iso
import isoparam.jax
import isoparam.torch
from samples import SAMPLES, Sample

MAPS = [sample for sample in SAMPLES if not sample.like and sample.has("forward") and sample.has("inverse")]

# In eps of float64, of the largest entry of the value and of raw (at least 1): the inverses of both frameworks differ by their
# rounding, which a wide map carries into the value, and a steep one into raw.
VALUE_EPS, RAW_EPS = 64, 64


@pytest.mark.parametrize("sample", MAPS, ids=lambda sample: sample.name)
def test_a_value_of_torch_is_a_value_in_jax_and_back(sample: Sample) -> None:
    spec, drawn = sample.spec, np.random.default_rng(4).normal(0, 1, (2, *sample.core))
    value = iso.torch.forward(spec, torch.tensor(drawn)).numpy()
    ours = iso.torch.inverse(spec, torch.tensor(value)).numpy()

    @jax.jit
    def hand_over(value):
        raw = iso.jax.inverse(spec, value)
        return raw, iso.jax.forward(spec, raw)

    with jax.enable_x64(True):
        theirs, back = (np.asarray(entry) for entry in hand_over(jnp.asarray(value)))
    eps = np.finfo(np.float64).eps
    in_value = np.abs(back - value).max(initial=0) / (eps * max(np.abs(value).max(initial=0), sample.added_bound, 1e-300))
    in_raw = np.abs(theirs - ours).max(initial=0) / (eps * max(np.abs(ours).max(initial=0), 1.0))
    assert in_value <= VALUE_EPS
    assert in_raw <= RAW_EPS
    returned = iso.torch.forward(spec, torch.tensor(theirs)).numpy()
    np.testing.assert_allclose(returned, back, rtol=1e-13, atol=1e-14 * max(np.abs(value).max(initial=0), sample.added_bound))


SPECS = {"weights": iso.Simplex(), "share": iso.Interval(-1.0, 4.0), "cuts": iso.Ordered(), "scale": iso.Positive()}


class TorchModel(torch.nn.Module):
    weights, share, cuts, scale = (iso.torch.Constrained(spec) for spec in SPECS.values())

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        for name, spec in SPECS.items():
            shape = spec.raw_shape((5, 3))
            setattr(self, name, iso.torch.forward(spec, torch.tensor(rng.normal(0, 1, shape))))
        self.loc = torch.nn.Parameter(torch.tensor(rng.normal(0, 1, 3)))


class JaxModel(nnx.Module):
    weights, share, cuts, scale = (iso.jax.Constrained(spec, start="raw") for spec in SPECS.values())

    def __init__(self) -> None:
        for name, spec in SPECS.items():
            setattr(self, name, jnp.zeros(spec.raw_shape((5, 3))))
        self.loc = nnx.Param(jnp.zeros(3))


def test_a_module_goes_over_and_back() -> None:
    with jax.enable_x64(True):
        first, second, third = TorchModel(), JaxModel(), TorchModel()
        for leaf in third.parameters():
            leaf.data.zero_()
        third.scale_raw.data += 1.0
        given = {name: value.numpy() for name, value in iso.torch.values(first, include="all").items()}
        iso.jax.load_values(second, given)
        iso.torch.load_values(third, {name: np.asarray(value) for name, value in iso.jax.values(second, include="all").items()})
        for name in SPECS:
            wanted = getattr(first, f"{name}_raw").detach().numpy()
            np.testing.assert_allclose(getattr(second, f"{name}_raw")[...], wanted, rtol=1e-14, atol=1e-14)
            np.testing.assert_allclose(getattr(third, f"{name}_raw").detach(), wanted, rtol=1e-14, atol=1e-14)
            np.testing.assert_allclose(getattr(second, name), given[name], rtol=1e-15, atol=1e-15)
        np.testing.assert_array_equal(third.loc.detach(), first.loc.detach())


def test_params_without_a_module_go_over_by_their_values() -> None:
    given = {name: value.numpy() for name, value in iso.torch.values(TorchModel()).items()}
    with jax.enable_x64(True):
        raw = iso.jax.unconstrain({name: jnp.asarray(value) for name, value in given.items()}, SPECS)
        for name, value in iso.jax.constrain(raw, SPECS).items():
            np.testing.assert_allclose(value, given[name], rtol=1e-15, atol=1e-15)
