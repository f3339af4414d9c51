"""as_loss on nn.Module: what is a value, what is a variable, and that nothing else moves."""

import doctest
import pickle
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.torch import as_loss, attach

BATCH = {"x": torch.sin(torch.arange(1.0, 33.0) ** 2).reshape(8, 4), "y": torch.arange(8) % 3}


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def cross_entropy(module, batch):
    return nn.functional.cross_entropy(module(batch["x"]), batch["y"])


@pytest.fixture
def taken():
    return as_loss(model(), cross_entropy)


def test_values_are_what_requires_grad_and_variables_are_the_rest():
    module = model()
    attach(module, "0.weight", iso.Positive(), start="project")
    module[1].weight.requires_grad_(False)
    values, loss = as_loss(module, cross_entropy)
    assert list(values) == ["0.weight_raw", "0.bias", "1.bias", "4.weight", "4.bias"]
    assert sorted(loss.variables) == ["1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight"]
    assert not any(array.requires_grad for array in [*values.values(), *loss.variables.values()])


def test_loss_and_statistics_are_those_of_the_module_itself():
    module = model().double()
    module[3].p = 0.0
    values, loss = as_loss(module, cross_entropy)
    batch = {"x": BATCH["x"].double(), "y": BATCH["y"]}
    result, after = loss.advance(values, loss.variables, batch, 0, 0)
    assert torch.equal(result, cross_entropy(module, batch))
    for name, buffer in module.named_buffers():
        assert torch.equal(after[name], buffer)


def test_nothing_moves_but_what_is_returned(taken):
    values, loss = taken
    held = {name: array.clone() for name, array in {**values, **loss.variables}.items()}
    generator = torch.get_rng_state()
    _, after = loss.advance(values, loss.variables, BATCH, 0, 0)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(held[name], array) for name, array in {**values, **loss.variables}.items())
    assert not torch.equal(after["1.running_mean"], held["1.running_mean"])
    assert after["1.num_batches_tracked"] == 1


def test_dropout_depends_on_seed_and_step_only(taken):
    values, loss = taken

    def at(seed, step):
        return loss.advance(values, loss.variables, BATCH, seed, step)[0].item()

    first = at(0, 1)
    torch.manual_seed(7)
    assert at(0, 1) == first
    assert len({first, at(0, 2), at(1, 1), at(1, 0), at(2, 0)}) == 5
    assert loss(values, BATCH).item() == at(0, 0)


def test_float64_values_carry_the_whole_module(taken):
    values, loss = taken
    wide = {name: array.double() for name, array in values.items()}
    result, after = loss.advance(wide, loss.variables, {"x": BATCH["x"].double(), "y": BATCH["y"]}, 0, 1)
    assert result.dtype == torch.float64
    assert {name: array.dtype for name, array in after.items()} == {n: a.dtype for n, a in loss.variables.items()}


def test_gradients_of_autograd_and_of_torch_func_agree(taken):
    values, loss = taken
    held = loss.variables["1.running_mean"].clone()
    slopes, after = torch.func.grad(lambda v: loss.advance(v, loss.variables, BATCH, 0, 1), has_aux=True)(values)
    assert torch.equal(loss.variables["1.running_mean"], held)
    leaves = {name: array.clone().requires_grad_() for name, array in values.items()}
    result, other = loss.advance(leaves, loss.variables, BATCH, 0, 1)
    result.backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(slopes[name], leaf.grad)
    assert torch.equal(after["1.running_mean"], other["1.running_mean"])


def test_the_way_back_to_a_module(taken):
    values, loss = taken
    result = loss.module({name: array.numpy() + 1 for name, array in values.items()}, {"1.running_mean": np.ones(8)})
    assert isinstance(result, nn.Sequential)
    assert torch.equal(result[0].bias, values["0.bias"] + 1)
    assert torch.equal(result[1].running_mean, torch.ones(8))
    assert torch.equal(result[1].running_var, torch.ones(8))
    assert all(leaf.requires_grad for leaf in result.parameters())
    assert not torch.equal(loss.module(values)[0].bias, result[0].bias)


def test_pickle(taken):
    values, loss = taken
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(
        again.advance(values, loss.variables, BATCH, 0, 1)[0], loss.advance(values, loss.variables, BATCH, 0, 1)[0]
    )


def test_tied_weights_are_one_value():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Embedding(5, 3)
            self.decoder = nn.Linear(3, 5, bias=False)
            self.decoder.weight = self.encoder.weight

    values, loss = as_loss(Tied(), lambda m, batch: m.decoder(m.encoder(batch["i"])).mean())
    assert list(values) == ["encoder.weight"]
    ones = {"encoder.weight": torch.ones(5, 3)}
    assert loss(ones, {"i": torch.tensor([1])}).item() == 3.0
    result = loss.module(ones)
    assert result.decoder.weight is result.encoder.weight


def test_recurrent_layer_with_an_attached_weight():
    layer = nn.LSTM(3, 4)
    attach(layer, "weight_hh_l0", iso.Positive(), start="project")
    values, loss = as_loss(layer, lambda m, batch: m(batch["s"])[0].square().mean())
    batch = {"s": torch.ones(5, 2, 3)}
    first = loss(values, batch)
    assert loss({**values, "weight_hh_l0_raw": values["weight_hh_l0_raw"] + 1}, batch) != first
    assert torch.equal(loss(values, batch), first)
    assert torch.equal(loss.module(values)(batch["s"])[0].square().mean(), first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_checkpointed_blocks_are_computed_again_from_the_same_numbers(dtype):
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3))
    slopes, afters = [], []
    for call in (lambda m, x: m(x), lambda m, x: checkpoint(m, x, use_reentrant=False)):
        values, loss = as_loss(module, lambda m, batch, call=call: call(m, batch["x"]).square().mean())
        leaves = {name: (array.to(dtype) + 1).requires_grad_() for name, array in values.items()}
        result, after = loss.advance(leaves, loss.variables, {"x": BATCH["x"].to(dtype)}, 0, 0)
        result.backward()
        slopes.append({name: leaf.grad for name, leaf in leaves.items()})
        afters.append(after)
    for name, slope in slopes[0].items():
        assert torch.equal(slope, slopes[1][name])
    assert torch.equal(afters[0]["1.running_mean"], afters[1]["1.running_mean"])
    assert afters[1]["1.num_batches_tracked"] == 1


class Keeping(nn.Linear):
    """Keeps its output, counts, and leaves itself in eval mode."""

    def __init__(self):
        super().__init__(4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.kept = super().forward(x) * (1.0 + self.training) * self.calls
        self.eval()
        return self.kept


def test_every_call_finds_the_module_as_it_was():
    values, loss = as_loss(Keeping(), cross_entropy)
    leaves = {name: array.requires_grad_() for name, array in values.items()}
    first = loss(leaves, BATCH)
    assert torch.equal(loss(leaves, BATCH), first)
    assert torch.equal(cross_entropy(loss.module(values), BATCH), first)
    assert torch.equal(pickle.loads(pickle.dumps(loss))(values, BATCH), first)


class Buffers(nn.Linear):
    """Does something to a buffer at every call."""

    def __init__(self, change):
        super().__init__(4, 3)
        self.change = change
        self.register_buffer("none", None)
        self.register_buffer("one", torch.ones(()))
        self.register_buffer("same", self.one)

    def forward(self, x):
        self.change(self)
        return super().forward(x)


CHANGES = {
    "made": (lambda m: m.register_buffer("new", torch.ones(())), "made the buffer 'new'"),
    "filled": (lambda m: setattr(m, "none", torch.ones(())), "made the buffer 'none'"),
    "removed": (lambda m: setattr(m, "one", None), "removed the buffer 'one'"),
    "torn": (lambda m: setattr(m, "same", m.same + 1), "places that share it"),
}


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
def test_changes_of_buffers_that_cannot_be_carried(case):
    values, loss = as_loss(Buffers(case[0]), cross_entropy)
    with pytest.raises(SpecError, match=case[1]):
        loss(values, BATCH)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.weights = [self.inner.weight]


def around(module):
    return as_loss(module, lambda m, batch: cross_entropy(module, batch))


OUTSIDE = model()


class Stale(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.derived = self.weight * 2


REFUSED = {
    "no module": (lambda: as_loss(3, cross_entropy), "expected an nn.Module"),
    "no callable": (lambda: as_loss(model(), 3), "must be a callable"),
    "variables": (lambda: as_loss(model(), cross_entropy, variables={}), "is for linen"),
    "lazy": (lambda: as_loss(nn.LazyLinear(2), cross_entropy), "call the module once"),
    "nothing to train": (lambda: as_loss(nn.ReLU(), cross_entropy), "nothing is trained"),
    "parameter in a list": (lambda: as_loss(Listed(), cross_entropy), "weights holds a trained parameter"),
    "module from outside": (lambda: around(model()), "uses 'module', the module that was given"),
    "global module": (lambda: as_loss(OUTSIDE, lambda m, batch: cross_entropy(OUTSIDE, batch)), "uses 'OUTSIDE'"),
    "stale tensor": (lambda: as_loss(Stale(), cross_entropy), "cannot be copied"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    with pytest.raises(SpecError, match=case[1]):
        case[0]()


def test_an_attribute_named_like_a_global_module_is_no_use_of_it():
    module = nn.ModuleDict({"OUTSIDE": OUTSIDE})
    values, loss = as_loss(module, lambda m, batch: cross_entropy(m.OUTSIDE, batch))
    assert loss(values, BATCH).isfinite()
    as_loss(OUTSIDE, lambda m, batch: m.OUTSIDE(batch))


def test_wrong_names_and_shapes(taken):
    values, loss = taken
    with pytest.raises(SpecError, match="values lacks"):
        loss.advance({"0.bias": values["0.bias"]}, loss.variables, BATCH, 0, 0)
    with pytest.raises(SpecError, match="needs"):
        loss.module({**values, "0.bias": np.ones(3)})
    with pytest.raises(SpecError, match=r"values must be a dict by name, got object; write loss\.module\(run\.values"):
        loss.module(object())
    with pytest.raises(SpecError, match=r"did you mean '1\.running_mean'"):
        loss.module(values, {"1.running_men": np.ones(8)})


def test_examples_of_the_docstrings():
    found = doctest.testmod(sys.modules["torch_impl.objective"])
    assert found.attempted > 5
    assert not found.failed
