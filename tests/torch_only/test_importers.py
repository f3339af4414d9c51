"""Checkpoints of torch parametrize, weight and spectral norm, GPyTorch and Pyro, and values written into modules."""

import doctest
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import constraints
from torch.nn.utils import parametrizations, parametrize

import isoparam as iso
from isoparam.errors import CheckpointError, DomainError, SpecError
from isoparam.torch import Constrained, attach, import_state, load_values, unconstrain, values
from torch_impl import importers


class Sigmoid(nn.Module):
    def forward(self, raw):
        return torch.sigmoid(raw)

    def right_inverse(self, value):
        return torch.logit(value)


class Scaled(nn.Module):
    """Of two numbers that are stored, with a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, one, other):
        return self.scale * one * other

    def right_inverse(self, value):
        return torch.ones_like(value), value / self.scale


def layer(*sizes: int) -> nn.Linear:
    torch.manual_seed(3)
    made = nn.Linear(*sizes)
    nn.init.uniform_(made.weight, 0.1, 0.9)
    return made


def old_norm(name: str, made: nn.Module, **options) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, but what old checkpoints were written by
        return getattr(nn.utils, name)(made, **options)


def parametrized(made: nn.Module, *maps: nn.Module) -> nn.Module:
    for entry in maps:
        parametrize.register_parametrization(made, "weight", entry)
    return made


def trained(made: nn.Module) -> nn.Module:
    """After some steps, in which power iteration moves on and leaves the weights of before."""
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    size = made.weight.shape[1] if isinstance(made, nn.Linear) else None
    for _ in range(20):
        optimizer.zero_grad()
        batch = torch.ones(4, size) if size else torch.ones(4, 3, 5, 5)
        made(batch).square().sum().sqrt().backward()
        optimizer.step()
    return made


# An old module, and the maps that its checkpoint needs.
OLD = {
    "weight_norm": lambda: (parametrizations.weight_norm(layer(3, 2)), {}),
    "weight_norm of columns": lambda: (parametrizations.weight_norm(layer(3, 2), dim=1), {}),
    "weight_norm of all": lambda: (parametrizations.weight_norm(layer(3, 2), dim=None), {}),
    "old weight_norm": lambda: (old_norm("weight_norm", layer(3, 2)), {}),
    "old weight_norm of all": lambda: (old_norm("weight_norm", layer(3, 2), dim=None), {}),
    "spectral_norm": lambda: (trained(parametrizations.spectral_norm(layer(3, 2))), {}),
    "spectral_norm of a square": lambda: (trained(parametrizations.spectral_norm(layer(3, 3))), {}),
    "spectral_norm of a convolution": lambda: (trained(parametrizations.spectral_norm(nn.Conv2d(3, 4, 2))), {}),
    "spectral_norm, transposed": lambda: (trained(parametrizations.spectral_norm(nn.ConvTranspose2d(3, 3, 2))), {}),
    "old spectral_norm": lambda: (trained(old_norm("spectral_norm", layer(3, 3))), {}),
    "a function": lambda: (parametrized(layer(3, 2), Sigmoid()), {"weight": torch.sigmoid}),
    "a spec": lambda: (parametrized(layer(3, 2), Sigmoid()), {"w*": iso.UnitInterval()}),
    "a constraint": lambda: (parametrized(layer(3, 2), Sigmoid()), {"weight": constraints.unit_interval}),
    "a module": lambda: (parametrized(layer(3, 2), Sigmoid()), {"weight": Sigmoid()}),
    "a module of two numbers": lambda: (parametrized(layer(3, 2), Scaled()), {"weight": Scaled()}),
    "several modules": lambda: (
        parametrized(layer(3, 2), Scaled(), Sigmoid()),
        {"weight": nn.Sequential(Scaled(), Sigmoid())},
    ),
    "orthogonal": lambda: (
        trained(parametrizations.orthogonal(layer(3, 3))),
        {"weight": parametrizations.orthogonal(layer(3, 3)).parametrizations.weight},
    ),
}


@pytest.mark.parametrize("case", OLD)
def test_values_of_a_checkpoint_are_those_of_the_module_that_wrote_it(case: str) -> None:
    old, maps = OLD[case]()
    old.eval()
    old(torch.ones(1, 3) if isinstance(old, nn.Linear) else torch.ones(1, 3, 5, 5))
    before = {name: entry.clone() for name, entry in old.state_dict().items()}
    found = import_state(old.state_dict(), maps)
    assert sorted(found) == ["bias", "weight"]
    assert found["weight"].dtype == np.float32
    np.testing.assert_allclose(found["weight"], old.weight.detach().numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found["bias"], old.bias.detach().numpy())
    assert all(torch.equal(entry, before[name]) for name, entry in old.state_dict().items())


def test_a_checkpoint_of_a_nested_module_goes_on_in_an_attached_one() -> None:
    old = nn.Sequential(parametrized(layer(3, 2), Sigmoid()), nn.BatchNorm1d(2))
    new = nn.Sequential(layer(3, 2), nn.BatchNorm1d(2))
    attach(new, "0.weight", iso.UnitInterval())
    leaf = new[0].weight_raw
    old[1].running_mean += 3.0
    load_values(new, import_state(old.state_dict(), {"0.weight": Sigmoid()}))
    assert new[0].weight_raw is leaf
    torch.testing.assert_close(leaf, old[0].parametrizations.weight.original)
    torch.testing.assert_close(new[0].weight, old[0].weight)
    torch.testing.assert_close(new[1].running_mean, old[1].running_mean)


def test_raw_of_a_checkpoint_for_a_tree() -> None:
    state = {"scale_unconstrained": torch.tensor([0.3], dtype=torch.float64), "loc": torch.zeros(1)}
    found = import_state(state, {"scale": constraints.positive})
    assert list(found) == ["scale", "loc"]
    raw = unconstrain({name: torch.tensor(value) for name, value in found.items()}, {"scale": iso.Positive(link="exp")})
    torch.testing.assert_close(raw["scale"], state["scale_unconstrained"])


def test_gpytorch() -> None:
    gpytorch = pytest.importorskip("gpytorch", reason="GPyTorch is not installed: pip install 'isoparam[test]'")
    limits = gpytorch.constraints
    kernel = gpytorch.kernels.ScaleKernel(
        gpytorch.kernels.RBFKernel(ard_num_dims=3, lengthscale_constraint=limits.Interval(0.1, 2.0)),
        outputscale_constraint=limits.LessThan(4.0),
    )
    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=limits.GreaterThan(1e-3))
    model = nn.ModuleDict({"kernel": kernel, "likelihood": likelihood})
    with torch.no_grad():
        kernel.base_kernel.raw_lengthscale.copy_(torch.tensor([[-1.0, 0.3, 5.0]]))
        kernel.raw_outputscale.fill_(-2.0)
        likelihood.raw_noise.fill_(30.0)
    found = import_state(model.state_dict())
    wanted = {
        "kernel.outputscale": kernel.outputscale,
        "kernel.base_kernel.lengthscale": kernel.base_kernel.lengthscale,
        "likelihood.noise_covar.noise": likelihood.noise_covar.noise,
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value.detach().numpy(), rtol=1e-6)
    names = {name: value.detach().numpy() for name, value in wanted.items()}
    assert names.keys() == import_state(model.state_dict(), {"*.lengthscale": iso.Interval(0.1, 2.0)}).keys()


def test_a_param_store_of_pyro() -> None:
    pyro = pytest.importorskip("pyro", reason="pyro-ppl is not installed: pip install 'isoparam[test]'")
    pyro.clear_param_store()
    store = pyro.get_param_store()
    pyro.param("weights", torch.tensor([0.2, 0.3, 0.5]), constraint=constraints.simplex)
    pyro.param("scale", torch.tensor(0.4), constraint=constraints.positive)
    pyro.module("net", nn.Linear(2, 1))
    found = import_state(store.get_state())
    assert sorted(found) == ["net.bias", "net.weight", "scale", "weights"]
    for name in ("weights", "scale"):
        np.testing.assert_allclose(found[name], store[name].detach().numpy(), rtol=1e-6)
    pyro.clear_param_store()


def test_a_module_of_pyro() -> None:
    nn_of_pyro = pytest.importorskip("pyro.nn", reason="pyro-ppl is not installed: pip install 'isoparam[test]'")
    module = nn_of_pyro.PyroModule[nn.Linear](2, 1)
    module.width = nn_of_pyro.PyroParam(torch.tensor(0.7), constraint=constraints.unit_interval)
    found = import_state(module.state_dict(), {"width": constraints.unit_interval})
    np.testing.assert_allclose(found["width"], 0.7, rtol=1e-6)
    assert "width_unconstrained" not in found


def test_a_bfloat16_checkpoint_comes_as_float32() -> None:
    found = import_state({"x": torch.ones(2, dtype=torch.bfloat16), "raw_y": torch.zeros(1)}, {"y": torch.exp})
    assert {name: value.dtype for name, value in found.items()} == {"x": np.float32, "y": np.float32}
    assert found["y"].tolist() == [1.0]


HALF = {"weight_g": np.ones((2, 1)), "weight_v": np.ones((2, 3))}
WRONG = {
    "no map": ({"parametrizations.weight.original": np.ones(3)}, {}, "'weight' is computed from .* maps={'weight'"),
    "a map of nothing": ({"weight": np.ones(3)}, {"wieght": torch.exp}, r"maps\['wieght'\] matches nothing .* 'weight'\?"),
    "two maps": ({"weight": np.ones(3)}, {"weight": torch.exp, "w*": torch.exp}, "matched by two keys"),
    "no function": ({"weight": np.ones(3)}, {"weight": "exp"}, "must be a function, a module, a spec or a constraint"),
    "buffers without the entry": ({"parametrizations.w.0.base": np.ones(3)}, {}, "not the entry that they belong to"),
    "two of one name": ({**HALF, "weight": np.ones(3)}, {}, "'weight' would come from several entries"),
    "buffers of a function": (
        {"parametrizations.w.original": np.ones(3), "parametrizations.w.0.base": np.ones(3)},
        {"w": torch.exp},
        r"'0.base' belong to the map; give the module",
    ),
    "another module": (
        {"parametrizations.w.original": np.ones(3), "parametrizations.w.0.base": np.ones(3)},
        {"w": Sigmoid()},
        "do not fit the module in maps",
    ),
    "lengths that do not fit": (HALF | {"weight_g": np.ones((2, 3))}, {}, "'weight' is computed from"),
    "vectors that do not fit": ({"w_orig": np.ones((2, 3)), "w_u": np.ones(5), "w_v": np.ones(2)}, {}, "fit no axis"),
    "one bound of two": (
        {"raw_x": np.ones(1), "raw_x_constraint.lower_bound": np.zeros(1)},
        {},
        "'x' is computed from 'raw_x', 'raw_x_constraint.lower_bound' by a map",
    ),
    "half a param store": ({"params": {"x": np.ones(1)}, "constraints": {}}, {}, "not as both"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_missing_or_left_over_is_named(case: str) -> None:
    state, maps, message = WRONG[case]
    with pytest.raises((CheckpointError, SpecError), match=message):
        import_state(state, maps)


class Model(nn.Module):
    share = Constrained(iso.UnitInterval())

    def __init__(self) -> None:
        super().__init__()
        self.share = np.array([0.25, 0.5])
        self.loc = nn.Parameter(torch.zeros(2))
        self.register_buffer("count", torch.tensor(3))


def numbers(**changes) -> dict:
    return {"share": np.array([0.1, 0.9]), "loc": np.array([1.0, 2.0])} | changes


def test_values_of_a_module_load_back() -> None:
    model = Model()
    load_values(model, numbers())
    torch.testing.assert_close(model.share, torch.tensor([0.1, 0.9]))
    other = Model()
    load_values(other, values(model, include="all"))
    torch.testing.assert_close(other.state_dict(), model.state_dict())
    load_values(other, {"share": torch.tensor([0.5, 0.5])}, include="constrained")
    assert other.share_raw.tolist() == [0.0, 0.0]
    assert other.loc.tolist() == [1.0, 2.0]
    load_values(other, numbers(count=7))
    assert other.count.item() == 7


NOT_LOADED = {
    "unknown": (numbers(scale=1.0), CheckpointError, "'scale' is nothing to load in Model"),
    "the raw leaf": (numbers(share_raw=1.0), CheckpointError, "'share_raw' is nothing to load in Model; did you mean 'share'"),
    "missing": ({"share": np.ones(2) / 2}, CheckpointError, "Model has no value for 'loc'; give all of them"),
    "a shape": (numbers(loc=np.ones(3)), CheckpointError, r"'loc' has the shape \(3,\), but the module takes \(2,\)"),
    "a constrained shape": (numbers(share=np.ones(3) / 3), CheckpointError, r"'share' has the shape \(3,\)"),
    "outside": (numbers(share=np.array([0.5, 1.5])), DomainError, 'share: value 1.5 at .*start="project" begins'),
    "saturated": (numbers(share=np.array([0.5, 1.0])), DomainError, 'share: value 1. at .*start="project" begins'),
}


@pytest.mark.parametrize("case", NOT_LOADED)
def test_nothing_is_written_unless_all_fits(case: str) -> None:
    given, error, message = NOT_LOADED[case]
    model = Model()
    before = {name: entry.clone() for name, entry in model.state_dict().items()}
    with pytest.raises(error, match=message):
        load_values(model, given)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_a_saturated_value_starts_inside_when_asked() -> None:
    model = Model()
    load_values(model, numbers(share=np.array([0.5, 1.0])), start="project")
    torch.testing.assert_close(model.share, torch.tensor([0.5, 0.995]))


@pytest.mark.parametrize(
    "wrong", [{"include": "some"}, {"start": "raw"}, {"module": 3.0}], ids=["include", "start", "no module"]
)
def test_other_arguments_are_refused(wrong: dict) -> None:
    with pytest.raises(SpecError, match=r"must be|expected"):
        load_values(**({"module": Model(), "values": numbers()} | wrong))


def test_a_shared_parameter_has_one_value() -> None:
    net = nn.ModuleDict({"one": layer(2, 2), "two": layer(2, 2)})
    net["two"].weight = net["one"].weight
    attach(net, "one.weight", iso.Positive())
    state = {"one.weight": np.ones((2, 2)), "one.bias": np.zeros(2), "two.bias": np.zeros(2)}
    load_values(net, state)
    load_values(net, state | {"two.weight": np.ones((2, 2))})
    torch.testing.assert_close(net["two"].weight, torch.ones(2, 2))
    with pytest.raises(CheckpointError, match=r"'one.weight' and 'two.weight' are one parameter"):
        load_values(net, state | {"two.weight": np.full((2, 2), 2.0)})


class Halves(nn.Module):
    one = Constrained(iso.Positive())
    two = Constrained(iso.Tied("one", transpose=True))

    def __init__(self) -> None:
        super().__init__()
        self.one = np.ones((2, 3))


def test_a_tied_name_may_be_given_or_left_out() -> None:
    model, one = Halves(), np.arange(1.0, 7.0).reshape(2, 3)
    for given in ({"one": one}, {"one": one, "two": one.T}):
        load_values(model, given)
        torch.testing.assert_close(model.two, torch.tensor(one.T).float())
    with pytest.raises(CheckpointError, match="'two' is tied to 'one'"):
        load_values(model, {"one": one, "two": 2 * one.T})


def test_examples() -> None:
    found = doctest.testmod(importers)
    assert found.attempted
    assert not found.failed
