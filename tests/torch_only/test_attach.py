"""attach and detach: constrained parameters in torch's own layers, and everything torch does with such layers."""

import copy
import doctest
import io
import math
import pickle
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import Constrained, attach, detach, forward, inverse, values

POSITIVE = iso.Positive()


def inputs(*shape):
    """Numbers in (-1, 1) without a pattern, made of what dynamo can trace."""
    count = math.prod(shape)
    return torch.sin(torch.arange(1.0, count + 1) ** 2).reshape(shape)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(5, 3)
        self.decoder = nn.Linear(3, 5, bias=False)
        self.decoder.weight = self.encoder.weight

    def forward(self, index):
        return self.decoder(self.encoder(index))


LAYERS = {
    "linear": (lambda: nn.Linear(3, 2), ["weight"], lambda m: m(inputs(4, 3))),
    "two names": (lambda: nn.Linear(3, 2), ["weight", "bias"], lambda m: m(inputs(4, 3))),
    "conv": (lambda: nn.Conv2d(2, 3, 3), ["weight"], lambda m: m(inputs(4, 2, 5, 5))),
    "batchnorm": (lambda: nn.BatchNorm1d(3), ["weight"], lambda m: m(inputs(4, 3))),
    "embedding": (lambda: nn.Embedding(5, 3), ["weight"], lambda m: m(torch.tensor([1, 2]))),
    "bilinear": (lambda: nn.Bilinear(2, 3, 4), ["weight"], lambda m: m(inputs(4, 2), inputs(4, 3))),
    "lstm": (lambda: nn.LSTM(3, 4, 2, bidirectional=True), ["weight_hh_l0", "bias_ih_l1"], lambda m: m(inputs(5, 2, 3))[0]),
    "gru": (lambda: nn.GRU(3, 4), ["weight_ih_l0"], lambda m: m(inputs(5, 2, 3))[0]),
    "rnn": (lambda: nn.RNN(3, 4), ["weight_hh_l0"], lambda m: m(inputs(5, 2, 3))[0]),
    "lstm cell": (lambda: nn.LSTMCell(3, 4), ["weight_hh"], lambda m: m(inputs(5, 3), (inputs(5, 4), inputs(5, 4)))[0]),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        ["in_proj_weight", "out_proj.weight"],
        lambda m: m(*[inputs(2, 3, 4)] * 3)[0],
    ),
    "nested": (lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)), ["2.weight"], lambda m: m(inputs(4, 3))),
    "tied": (Tied, ["decoder.weight"], lambda m: m(torch.tensor([1, 2]))),
}
each_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def attached(layer):
    make, names, call = layer
    torch.manual_seed(0)
    module = make()
    for name in names:
        attach(module, name, POSITIVE, start="project")
    return module, names, call


def plain_copy(layer, module):
    """The same layer without attachments, holding the same values."""
    plain = layer[0]()
    held = values(module, include="all")
    found = dict(plain.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, value in held.items():
            found[name].copy_(value)
    return plain


@each_layer
def test_forward_is_that_of_the_plain_layer_with_the_values(layer):
    module, _, call = attached(layer)
    assert torch.equal(call(module), call(plain_copy(layer, module)))
    with torch.no_grad():
        for leaf in module.parameters():
            leaf.add_(0.25)
    assert torch.equal(call(module), call(plain_copy(layer, module)))  # nothing is stale after an update


@each_layer
def test_gradients_of_raw_are_those_of_the_value_times_the_derivative(layer):
    module, _, call = attached(layer)
    plain = plain_copy(layer, module)
    for part in (module, plain):
        (call(part) ** 3).sum().backward()
    slopes = dict(plain.named_parameters())
    for name, leaf in module.named_parameters():
        expected = slopes[name.removesuffix("_raw")].grad
        if name.endswith("_raw"):
            expected = expected * torch.sigmoid(leaf.detach())  # the derivative of softplus
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-5, atol=1e-7)
        assert leaf.grad.abs().sum() > 0


@each_layer
def test_copies_of_every_kind_compute_the_same(layer):
    module, _, call = attached(layer)
    call(module)  # an RNN that kept a computed weight could not be copied now
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module), loaded):
        assert type(other) is type(module)
        assert torch.equal(call(other), call(module))
        assert not {id(leaf) for leaf in other.parameters()} & {id(leaf) for leaf in module.parameters()}


@each_layer
def test_state_dict_loads_into_a_layer_with_the_same_attachments(layer):
    module, names, call = attached(layer)
    other, _, _ = attached(layer)
    with torch.no_grad():
        for leaf in module.parameters():
            leaf.add_(0.5)
    assert not torch.equal(call(other), call(module))
    other.load_state_dict(module.state_dict())
    assert torch.equal(call(other), call(module))
    assert {f"{name}_raw" for name in names} <= set(module.state_dict())
    assert not set(names) & set(module.state_dict())


@each_layer
def test_class_repr_and_order_stay(layer):
    module, _, _ = attached(layer)
    plain = layer[0]()
    assert isinstance(module, type(plain))
    assert repr(module) == repr(plain)
    order = [name for name, _ in plain.named_parameters(remove_duplicate=False)]
    assert [name.removesuffix("_raw") for name, _ in module.named_parameters(remove_duplicate=False)] == order


@each_layer
def test_detach_bakes_the_value_in(layer):
    module, names, call = attached(layer)
    expected = call(module)
    for name in names:
        detach(module, name)
    plain = layer[0]()
    assert [type(part) for part in module.modules()] == [type(part) for part in plain.modules()]
    assert list(module.state_dict()) == list(plain.state_dict())
    assert torch.equal(call(module), expected)
    assert torch.equal(call(copy.deepcopy(module)), expected)
    module.load_state_dict(plain.state_dict())
    assert torch.equal(call(module), call(plain))


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("lstm", "gru", "rnn")])  # dynamo refuses any RNN
def test_compile_without_a_graph_break(name):
    torch._dynamo.reset()
    module, _, call = attached(LAYERS[name])
    compiled = torch.compile(lambda: call(module), fullgraph=True, backend="eager")
    for _ in range(2):
        torch.testing.assert_close(compiled(), call(module), rtol=1e-6, atol=1e-7)
        with torch.no_grad():
            for leaf in module.parameters():
                leaf.add_(0.25)


def test_compiled_lstm_where_dynamo_is_told_to_allow_it():
    torch._dynamo.reset()
    module, _, call = attached(LAYERS["lstm"])
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(lambda: call(module), fullgraph=True, backend="eager")
        for _ in range(2):
            torch.testing.assert_close(compiled(), call(module), rtol=1e-5, atol=1e-6)
            with torch.no_grad():
                module.weight_hh_l0_raw.add_(1.0)


def test_functional_call_and_func_grad_take_the_raw_leaf():
    module, _, _ = attached(LAYERS["lstm"])
    x = inputs(5, 2, 3)

    def loss(raw):
        return torch.func.functional_call(module, {"weight_hh_l0_raw": raw}, (x,))[0].square().sum()

    raw = module.weight_hh_l0_raw.detach() + 0.5
    slope = torch.func.grad(loss)(raw)
    before = loss(module.weight_hh_l0_raw).detach()
    with torch.no_grad():
        module.weight_hh_l0_raw.copy_(raw)
    assert loss(raw) != before
    module(x)[0].square().sum().backward()
    torch.testing.assert_close(slope, module.weight_hh_l0_raw.grad)


def test_recurrent_layer_moves_between_dtypes():
    module, _, _ = attached(LAYERS["lstm"])
    expected = module(inputs(5, 2, 3))[0]
    assert module.double()(inputs(5, 2, 3).double())[0].dtype == torch.float64
    torch.testing.assert_close(module.float()(inputs(5, 2, 3))[0], expected)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_attention_in_eval_reads_fresh_weights_on_its_fast_path(mode, monkeypatch):
    module, _, call = attached(LAYERS["attention"])
    module.eval()
    taken = []
    native = torch._native_multi_head_attention
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *a, **k: taken.append(1) or native(*a, **k))
    for _ in range(2):
        expected = call(module)
        with getattr(torch, mode)():
            torch.testing.assert_close(call(module), expected, rtol=1e-5, atol=1e-6)
        with torch.no_grad():
            module.in_proj_weight_raw.add_(0.5)
        assert not torch.allclose(call(module), expected)
    assert taken == [1, 1]


def test_transformer_encoder_in_eval():
    torch.manual_seed(0)
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    attach(module, "layers.0.self_attn.in_proj_weight", POSITIVE, start="project")
    attach(module, "layers.1.linear1.weight", POSITIVE, start="project")
    attach(module, "layers.1.norm1.weight", POSITIVE)
    module.eval()
    x = inputs(2, 3, 8)
    with torch.inference_mode():
        fast = module(x)
    torch.testing.assert_close(fast, module(x), rtol=1e-5, atol=1e-6)


def test_tied_places_read_one_leaf_and_stay_tied():
    module = Tied()
    attach(module, "decoder.weight", POSITIVE, start="project")
    assert module.encoder.weight_raw is module.decoder.weight_raw
    assert [name for name, _ in module.named_parameters()] == ["encoder.weight_raw"]
    assert torch.equal(module.encoder.weight, module.decoder.weight)
    copied = copy.deepcopy(module)
    assert copied.encoder.weight_raw is copied.decoder.weight_raw
    detach(module, "encoder.weight")
    assert module.encoder.weight is module.decoder.weight
    assert (module.encoder.weight > 0).all()


def test_starts():
    layer = nn.Linear(3, 2)
    numbers = layer.weight.detach().clone()
    attach(layer, "weight", POSITIVE, start="raw")
    assert torch.equal(layer.weight_raw, numbers)
    detach(layer, "weight")
    attach(layer, "weight", POSITIVE)  # "value": all are inside now
    torch.testing.assert_close(layer.weight, forward(POSITIVE, numbers), rtol=1e-6, atol=0)
    detach(layer, "weight")
    attach(layer, "weight", iso.Simplex(), start=1 / 3)
    assert layer.weight_raw.shape == (2, 2)
    torch.testing.assert_close(layer.weight, torch.full((2, 3), 1 / 3))
    attach(layer, "bias", POSITIVE, start=np.random.default_rng(0))
    drawn = np.random.default_rng(0).standard_normal(2)
    torch.testing.assert_close(layer.bias_raw.detach().double(), torch.from_numpy(drawn), rtol=1e-6, atol=1e-7)


def test_project_moves_only_what_is_outside():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1.0, 0.5]]))
    attach(layer, "weight", POSITIVE, start="project")
    assert layer.weight[0, 1].item() == pytest.approx(0.5, rel=1e-6)
    assert 0 < layer.weight[0, 0].item() < 0.1


def test_requires_grad_and_assignment():
    layer = nn.Linear(2, 2).requires_grad_(False)
    attach(layer, "weight", POSITIVE, start="project")
    leaf = layer.weight_raw
    assert not leaf.requires_grad
    layer.weight = torch.full((2, 2), 0.7)
    assert layer.weight_raw is leaf
    torch.testing.assert_close(layer.weight, torch.full((2, 2), 0.7))
    detach(layer, "weight")
    assert not layer.weight.requires_grad


def test_class_is_shared_by_equal_attachments_in_any_order():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    for layer, names in ((first, ("weight", "bias")), (second, ("bias", "weight"))):
        for name in names:
            attach(layer, name, iso.Interval(-2, 2))
    assert type(first) is type(second)
    detach(first, "bias")
    assert type(first) is not type(second)


def test_modules_with_own_constrained_slots_and_setattr():
    class Own(nn.Module):
        __slots__ = ("extra",)
        x = Constrained(iso.Interval(0, 1))

        def __init__(self):
            super().__init__()
            self.extra = 1
            self.assigned = []
            self.x = 0.3
            self.w = nn.Parameter(torch.ones(2))

        def __setattr__(self, name, value):
            if name != "assigned" and "assigned" in vars(self):
                self.assigned.append(name)
            super().__setattr__(name, value)

    module = Own()
    attach(module, "w", POSITIVE)
    module.w = torch.tensor([2.0, 3.0])
    assert sorted(values(module)) == ["w", "x"]
    torch.testing.assert_close(module.w, torch.tensor([2.0, 3.0]))
    assert (module.extra, isinstance(module, Own)) == (1, True)


def test_sgd_reaches_a_value_through_the_attached_weight():
    layer = nn.Linear(2, 1, bias=False)
    attach(layer, "weight", POSITIVE, start=1.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (layer(torch.eye(2)) - torch.tensor([[0.5], [2.0]])).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight, torch.tensor([[0.5, 2.0]]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(inverse(POSITIVE, layer.weight.detach()), layer.weight_raw.detach(), rtol=1e-5, atol=1e-6)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.kept = [self.weight]


class Taken(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.weight_raw = 3


def twice():
    layer = nn.Linear(2, 2)
    attach(layer, "weight", POSITIVE, start="project")
    return layer


def hooked():
    layer = nn.Linear(2, 2)
    layer.weight.register_hook(lambda slope: slope.clamp(-1, 1))
    return layer


def old_weight_norm():
    return weight_norm(nn.Linear(2, 2))


REFUSED = {
    "misspelt": (lambda: nn.Linear(2, 2), "weigth", "did you mean 'weight'"),
    "misspelt path": (lambda: nn.Sequential(nn.Linear(2, 2)), "1.weight", "no submodule '1'"),
    "twice": (twice, "weight", "constrained already"),
    "raw leaf": (twice, "weight_raw", "is the raw leaf"),
    "buffer": (lambda: nn.BatchNorm1d(2), "running_var", "no nn.Parameter"),
    "parametrized": (lambda: parametrizations.weight_norm(nn.Linear(2, 2)), "weight", "remove that first"),
    "parametrized bias": (lambda: parametrizations.weight_norm(nn.Linear(2, 2)), "bias", "remove_parametrizations"),
    "old weight_norm": (old_weight_norm, "weight_g", "WeightNorm hook"),
    "lazy": (lambda: nn.LazyLinear(2), "weight", "call the module once"),
    "kept in a list": (Listed, "weight", "kept holds the same parameter"),
    "name taken": (Taken, "weight", "has an attribute weight_raw already"),
    "hook on the parameter": (hooked, "weight", "register them on weight_raw"),
    "compiled": (lambda: torch.compile(nn.Linear(2, 2), backend="eager"), "weight", "attach to its _orig_mod"),
    "no module": (lambda: torch.ones(2), "weight", "expected an nn.Module"),
    "no text": (lambda: nn.Linear(2, 2), 3, "must be a text"),
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")  # one is refused here
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    make, name, message = case
    module = make()
    before = type(module)
    with pytest.raises(SpecError, match=message):
        attach(module, name, POSITIVE, start="project")
    assert type(module) is before


def test_reset_parameters_is_loud_and_comes_back_with_detach():
    layer = twice()
    with pytest.raises(SpecError, match="would not reach weight"):
        layer.reset_parameters()
    detach(layer, "weight")
    layer.reset_parameters()
    assert bool((layer.weight < 0).any())


def test_refused_values_and_specs_leave_the_module_alone():
    layer = nn.Linear(2, 2)
    with pytest.raises(DomainError, match=r"attach 'weight'.*start=\"project\""):
        attach(layer, "weight", iso.GreaterThan(10))
    with pytest.raises(SpecError, match="expected a spec"):
        attach(layer, "weight", "positive")
    with pytest.raises(SpecError, match="start="):
        attach(layer, "weight", POSITIVE, start="nearest")
    with pytest.raises(SpecError, match="is not attached"):
        detach(layer, "weight")
    assert type(layer) is nn.Linear
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_examples_of_the_docstrings():
    found = doctest.testmod(sys.modules["torch_impl.attach"])
    assert found.attempted > 6
    assert not found.failed
