"""Constrained and values on nn.Module: reading, assigning, and everything torch does with a module."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import Constrained, forward, inverse, values


class Model(nn.Module):
    x = Constrained(iso.Interval(0, 1))
    w = Constrained(iso.Simplex())

    def __init__(self, x=0.3):
        super().__init__()
        self.x = x
        self.w = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
        self.lin = nn.Linear(2, 2)

    def forward(self, a):
        return self.x * self.lin(a).sum() + self.w.square().sum()


class Blend(Model):
    x = Constrained(iso.Interval(0, 2))  # narrows nothing, overrides
    z = Constrained(iso.Positive())

    def __init__(self):
        super().__init__()
        self.z = 2.0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        first = Model()
        self.layers = nn.ModuleList([first, Model(0.6), first])
        self.bias = nn.Parameter(torch.zeros(2))


A = torch.ones(3, 2)


def one(spec, start="value"):
    """A module class with a single constrained attribute."""

    class One(nn.Module):
        x = Constrained(spec, start)

        def __init__(self, value):
            super().__init__()
            self.x = value

    return One


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def same(a, b):
    return torch.equal(a.x, b.x) and torch.equal(a.w, b.w) and torch.equal(a(A), b(A))


def test_value_is_computed_from_the_leaf_at_every_read(model):
    assert torch.equal(model.x, forward(iso.Interval(0, 1), model.x_raw))
    with torch.no_grad():
        model.x_raw.zero_()
    assert model.x.item() == 0.5
    assert sorted(name for name, _ in model.named_parameters()) == ["lin.bias", "lin.weight", "w_raw", "x_raw"]


def test_value_is_differentiable(model):
    model.x.backward()
    assert model.x_raw.grad.item() == pytest.approx(0.3 * 0.7, rel=1e-6)


@pytest.mark.parametrize("fused", [False, True], ids=["loop", "fused"])
def test_adam_sees_a_fresh_value_at_every_step(fused):
    model = one(iso.Interval(0, 1))(torch.tensor(0.3, dtype=torch.float64))
    raw = model.x_raw.detach().clone().requires_grad_()
    ours = torch.optim.Adam([model.x_raw], lr=0.1, fused=fused)
    theirs = torch.optim.Adam([raw], lr=0.1, fused=fused)
    for _ in range(50):
        for value, optimizer in ((lambda: model.x, ours), (lambda: forward(iso.Interval(0, 1), raw), theirs)):
            optimizer.zero_grad()
            (value() - 0.9).square().backward()
            optimizer.step()
    assert torch.equal(model.x_raw, raw)
    assert abs(model.x.item() - 0.9) < 0.05


@pytest.mark.parametrize(
    "value",
    [0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), torch.tensor(0.25)],
    ids=["float", "float32", "float64", "array", "tensor"],
)
def test_numbers_that_may_be_assigned(value):
    model = one(iso.Interval(0, 1))(value)
    assert model.x_raw.dtype == torch.float32
    assert model.x.item() == pytest.approx(0.25, rel=1e-6)
    model.x = 0.75
    model.x = value
    assert model.x.item() == pytest.approx(0.25, rel=1e-6)


def test_first_assignment_takes_the_dtype_of_a_tensor_and_torch_s_default_otherwise():
    assert one(iso.Positive())(torch.tensor([1.0], dtype=torch.float64)).x_raw.dtype == torch.float64
    assert one(iso.Positive())(torch.tensor([1.0], dtype=torch.bfloat16)).x.dtype == torch.bfloat16
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert one(iso.Positive())(np.ones(3, dtype=np.float32)).x_raw.dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_later_assignments_keep_object_dtype_and_requires_grad(model):
    leaf = model.w_raw
    leaf.requires_grad_(False)
    model.w = np.array([0.5, 0.25, 0.25], dtype=np.float32)
    assert model.w_raw is leaf
    assert leaf.dtype == torch.float64
    assert not leaf.requires_grad
    torch.testing.assert_close(model.w, torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), rtol=1e-15, atol=0)


def test_the_leaf_shares_no_memory_with_what_was_assigned():
    given = torch.tensor([1.0, 2.0])
    model = one(iso.Real())(given)
    given.zero_()
    assert model.x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1, SpecError, "1 is an integer; write 1.0"),
        (True, SpecError, "boolean"),
        (np.int64(2), SpecError, "write 2.0"),
        (np.array([1, 2]), SpecError, "int64 is not floating"),
        (torch.tensor(1), SpecError, "int64 is not floating"),
        (1j, SpecError, "got complex"),
        ("0.3", SpecError, "got str"),
        (None, SpecError, "got NoneType"),
        (torch.tensor(0.3, requires_grad=True), SpecError, r"value\.detach\(\)"),
        (nn.Buffer(torch.tensor(0.3)), SpecError, "not an nn.Parameter or nn.Buffer"),
        (nn.Linear(1, 1), SpecError, "got Linear"),
        (torch.empty(0), SpecError, "no entries"),
        (1.5, DomainError, "1.5 is not inside"),
        (1.0, DomainError, "1. is not inside"),
        (float("nan"), DomainError, "nan is not inside"),
    ],
    ids=lambda value: str(value)[:24] if not isinstance(value, type) else value.__name__,
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_what_may_not_be_assigned(value, error, text, first):
    One = one(iso.Interval(0, 1))
    model = One(0.5)
    if first:
        del model.x_raw
    with pytest.raises(error, match=r"^One\.x: .*" + text):
        model.x = value
    assert list(model._parameters) == ([] if first else ["x_raw"])
    assert not model._modules
    assert not model._buffers
    if not first:
        assert model.x_raw.item() == 0.0


def test_another_shape_is_refused(model):
    for value in (0.5, torch.full((4,), 0.25), torch.full((1, 4), 0.25)):
        with pytest.raises(SpecError, match=r"Model\.w: "):
            model.w = value
    with pytest.raises(SpecError, match=r"raw of shape \(3,\), but the leaf has \(2,\)"):
        model.w = torch.full((4,), 0.25)


def test_deepcopy_pickle_and_save(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(buffer, weights_only=False)):
        assert type(twin) is Model
        assert same(twin, model)
        assert twin.x_raw is not model.x_raw
        twin.x = 0.9
        assert model.x.item() == pytest.approx(0.3)


def test_state_dict_round_trip(model):
    state = model.state_dict()
    assert set(state) == {"x_raw", "w_raw", "lin.weight", "lin.bias"}
    other = Model(0.8)
    leaf = other.x_raw
    other.load_state_dict(state)
    assert same(other, model)
    assert other.x_raw is leaf
    fresh = Model(0.8)
    fresh.load_state_dict(state, assign=True)
    assert same(fresh, model)


def test_state_dict_with_the_constrained_name_changes_nothing(model):
    before = model.x_raw.detach().clone()
    state = {"x" if key == "x_raw" else key: value for key, value in model.state_dict().items()}
    state["x"] = torch.tensor(0.9)
    with pytest.raises(RuntimeError, match=r'(?s)Missing key\(s\).*"x_raw".*Unexpected key\(s\).*"x"'):
        model.load_state_dict(state)
    loaded = model.load_state_dict(state, strict=False)
    assert loaded.unexpected_keys == ["x"]
    assert loaded.missing_keys == ["x_raw"]
    assert torch.equal(model.x_raw, before)


def test_functional_call_with_the_raw_name(model):
    raw = inverse(iso.Interval(0, 1), torch.tensor(0.8))
    assert torch.equal(torch.func.functional_call(model, {"x_raw": raw}, (A,)), _with(model, 0.8)(A))


def _with(model, x):
    other = copy.deepcopy(model)
    other.x = x
    return other


@pytest.mark.parametrize("names", [("x",), ("x_raw", "x"), ("x", "x_raw")], ids=", ".join)
def test_functional_call_with_the_constrained_name_never_writes_to_the_leaf(model, names):
    before = model.x_raw.detach().numpy().tobytes()
    leaf = model.x_raw
    with pytest.raises(SpecError, match=r"Model\.x is computed from x_raw, .*pass \{'x_raw': raw\}"):
        torch.func.functional_call(model, {name: torch.tensor(0.8) for name in names}, (A,))
    assert model.x_raw is leaf
    assert leaf.detach().numpy().tobytes() == before


def test_functional_call_of_a_nested_constrained_name_never_writes_to_the_leaf():
    net = nn.Sequential(Model())
    before = net[0].x_raw.detach().numpy().tobytes()
    with pytest.raises(SpecError, match="x_raw"):
        torch.func.functional_call(net, {"0.x": torch.tensor(0.8)}, (A,))
    assert net[0].x_raw.detach().numpy().tobytes() == before


def test_func_grad_vmap_and_stacked_models(model):
    def loss(state, a):
        return torch.func.functional_call(model, state, (a,))

    state = {name: leaf.detach() for name, leaf in model.named_parameters()}
    grads = torch.func.grad(loss)(state, A)
    model(A).backward()
    for name, leaf in model.named_parameters():
        torch.testing.assert_close(grads[name], leaf.grad, rtol=1e-6, atol=0)
    models = [copy.deepcopy(model), Model(0.6)]
    params, buffers = torch.func.stack_module_state(models)
    batched = torch.func.vmap(lambda p, b: torch.func.functional_call(model, (p, b), (A,)))(params, buffers)
    torch.testing.assert_close(batched, torch.stack([each(A) for each in models]), rtol=1e-6, atol=0)


def test_assignment_of_a_wrapped_tensor_is_refused(model):
    def leak(x):
        model.x = x
        return x

    with pytest.raises(SpecError, match=r"torch\.func"):
        torch.func.vmap(leak)(torch.tensor([0.3]))
    with pytest.raises(SpecError, match=r"torch\.func"):
        torch.func.grad(leak)(torch.tensor(0.3))


def test_to_another_dtype(model):
    model.to(torch.float64)
    assert model.x.dtype == torch.float64
    model.x = 0.1
    assert model.x.item() == pytest.approx(0.1, rel=1e-15)


def test_meta_device_makes_the_leaf_without_numbers():
    with torch.device("meta"):
        model = one(iso.Positive())(2.0)
    assert model.x_raw.is_meta
    assert model.x.shape == ()


def test_subclass_overrides_and_adds():
    blend = Blend()
    assert {name: round(value.sum().item(), 6) for name, value in values(blend).items()} == {"x": 0.3, "w": 1.0, "z": 2.0}
    blend.x = 1.5
    assert blend.x.item() == pytest.approx(1.5)
    assert isinstance(Blend.x, Constrained)


def test_repr_of_module_and_attribute(model):
    assert repr(model).startswith("Model(")
    assert repr(Model.x) == "Constrained(Interval(low=0.0, high=1.0, link='sigmoid'))"
    assert repr(Constrained(iso.Real(), "raw")) == "Constrained(Real(), start='raw')"


class TestStart:
    def test_raw(self):
        model = one(iso.Simplex(), "raw")(torch.tensor([1.0, -2.0]))
        assert model.x_raw.tolist() == [1.0, -2.0]
        model.x = torch.tensor([0.2, 0.3, 0.5])  # later assignments are values
        assert model.x.tolist() == pytest.approx([0.2, 0.3, 0.5])
        with pytest.raises(DomainError, match="not finite"):
            one(iso.Simplex(), "raw")(torch.tensor([1.0, float("inf")]))

    def test_project_moves_only_what_is_outside(self):
        inside = torch.tensor([-0.4, 0.0, 1e-6, 2.0])
        model = one(iso.Positive(), "project")(inside)
        border = iso.starts.MARGIN * np.log(2)
        assert model.x.tolist() == pytest.approx([border, border, 1e-6, 2.0], rel=1e-5)
        with pytest.raises(DomainError, match=r"-1\. at \(0,\) is not inside"):
            model.x = torch.full((4,), -1.0)

    @pytest.mark.parametrize(
        ("spec", "point", "value"),
        [
            (iso.Interval(0, 2), [-5.0, 9.0], [0.01, 1.99]),
            (iso.LessThan(3), [4.0, 1.0], [3 - 0.01 * np.log(2), 1.0]),
            (iso.Simplex(), [[2.0, 0.0], [0.25, 0.75]], [[0.995, 0.005], [0.25, 0.75]]),
            (iso.Simplex(axis=0), [[2.0, 0.25], [0.0, 0.75]], [[0.995, 0.25], [0.005, 0.75]]),
            (iso.Ordered(), [2.0, 1.0], [1.485, 1.485 + 0.01 * np.log(2)]),
        ],
        ids=str,
    )
    def test_project_of_every_kind(self, spec, point, value):
        model = one(spec, "project")(torch.tensor(point, dtype=torch.float64))
        np.testing.assert_allclose(model.x.detach().numpy(), value, rtol=1e-12)

    def test_project_refuses_nan(self):
        with pytest.raises(DomainError, match="not finite"):
            one(iso.Positive(), "project")(float("nan"))

    def test_generator(self):
        model = one(iso.Simplex(), np.random.default_rng(3))(torch.empty(5, 3, dtype=torch.float64))
        np.testing.assert_array_equal(model.x_raw.detach(), np.random.default_rng(3).standard_normal((5, 2)))

    @pytest.mark.parametrize("start", [0.5, np.array([0.5]), torch.tensor(0.5)], ids=["float", "numpy", "tensor"])
    def test_array(self, start):
        model = one(iso.Interval(0, 1), start)(torch.empty(2, 3))
        assert model.x.tolist() == [[0.5] * 3] * 2

    @pytest.mark.parametrize(
        "start", ["values", 1, np.array([1]), torch.tensor([1]), None], ids=["word", "int", "ints", "int tensor", "None"]
    )
    def test_unknown(self, start):
        with pytest.raises(SpecError, match="start="):
            Constrained(iso.Positive(), start)

    def test_array_of_another_shape(self):
        with pytest.raises(SpecError, match=r"start of shape \(2,\) does not broadcast"):
            one(iso.Positive(), np.ones(2))(1.0)


class TestValues:
    def test_nested_and_shared_once(self):
        assert list(values(Net())) == ["layers.0.x", "layers.0.w", "layers.1.x", "layers.1.w"]

    def test_all_parameters_once(self):
        net = Net()
        net.tied = net.bias
        assert list(values(net, include="all")) == [
            "bias",
            *(f"layers.{i}.{name}" for i in (0, 1) for name in ("x", "w", "lin.weight", "lin.bias")),
        ]

    def test_detached_copies(self):
        net = Net()
        kept = values(net, include="all")
        with torch.no_grad():
            for leaf in net.parameters():
                leaf.add_(1.0)
        assert kept["bias"].tolist() == [0.0, 0.0]
        assert kept["layers.0.x"].item() == pytest.approx(0.3)
        assert not any(value.requires_grad for value in kept.values())

    def test_unknown_include(self, model):
        with pytest.raises(SpecError, match="include='raw' must be 'constrained' or 'all'"):
            values(model, include="raw")
