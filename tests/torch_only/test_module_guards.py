"""Ways in which torch would bypass a Constrained attribute or hide an error, each closed."""

import pickle
import warnings

import pytest
import torch
from torch import nn

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.torch import Constrained


class Bare(nn.Module):
    x = Constrained(iso.Interval(0, 1))


class Doubled(nn.Module):
    x = Constrained(iso.Interval(0, 1))

    def __init__(self):
        super().__init__()
        self.x = 0.25
        self.calls = 0
        self.register_buffer("total", torch.zeros(()))
        self.lin = nn.Linear(2, 2)

    @property
    def twice(self):
        return 2 * self.x

    @property
    def misspelt(self):
        return 2 * self.x_rwa

    def forward(self, a):
        self.calls += 1
        self.total = self.total + 1
        return self.twice * self.lin(a).sum()


class Careful(nn.Module):
    """Has its own __setattr__ and __getattr__."""

    x = Constrained(iso.Positive())

    def __init__(self):
        super().__init__()
        self.x = 2.0
        self.y = 3.0

    def __setattr__(self, name, value):
        super().__setattr__(name, value + 1 if name == "y" else value)

    def __getattr__(self, name):
        return 7.0 if name == "seven" else super().__getattr__(name)


class Mixin:
    x = Constrained(iso.Positive())


class Mixed(Mixin, nn.Module):
    pass


BYPASSES = {
    "parameter": lambda m: setattr(m, "x", nn.Parameter(torch.tensor(0.5))),
    "frozen parameter": lambda m: setattr(m, "x", nn.Parameter(torch.tensor(0.5), requires_grad=False)),
    "buffer": lambda m: setattr(m, "x", nn.Buffer(torch.tensor(0.5))),
    "module": lambda m: setattr(m, "x", nn.Linear(1, 1)),
}
REGISTRATIONS = {
    "register_parameter": lambda m: m.register_parameter("x", nn.Parameter(torch.tensor(0.5))),
    "register_buffer": lambda m: m.register_buffer("x", torch.tensor(0.5)),
    "add_module": lambda m: m.add_module("x", nn.Linear(1, 1)),
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("bypass", BYPASSES.values(), ids=BYPASSES)
@pytest.mark.parametrize("kind", [Bare, Mixed])
def test_nothing_registers_an_unconstrained_attribute(kind, bypass, first):
    module = kind()
    if not first:
        module.x = 0.5
    with pytest.raises(SpecError, match=rf"^{kind.__name__}\.x: (assign the numbers, not|expected a float)"):
        bypass(module)
    assert list(module._parameters) == ([] if first else ["x_raw"])
    assert not module._buffers
    assert not module._modules


@pytest.mark.parametrize("bypass", REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_registering_under_the_constrained_name_fails(bypass):
    with pytest.raises(SpecError, match=r"Bare\.x is computed from x_raw and cannot be given to (register|add)_"):
        bypass(Bare())
    module = Bare()
    module.x = 0.5
    with pytest.raises(SpecError, match=r"Bare\.x is computed from x_raw"):
        bypass(module)
    assert list(module.state_dict()) == ["x_raw"]


def test_a_missing_leaf_is_reported_by_its_own_name():
    module = Bare()
    with pytest.raises(SpecError, match=r"Bare has no x_raw, .* self\.x = 0\.3"):
        _ = module.x
    module.x = 0.5
    del module.x_raw
    with pytest.raises(SpecError, match="Bare has no x_raw"):
        _ = module.x
    module.x = 0.25
    assert module.x.item() == pytest.approx(0.25)


def test_an_attribute_without_a_leaf_is_missing():
    module = Bare()
    assert not hasattr(module, "x")
    assert getattr(module, "x", None) is None
    module.x = 0.5
    assert hasattr(module, "x")


def test_the_value_cannot_be_deleted():
    module = Doubled()
    with pytest.raises(SpecError, match=r"Doubled\.x is computed and cannot be deleted; .*del module\.x_raw"):
        del module.x
    assert module.x.item() == pytest.approx(0.25)


def test_a_misspelt_name_inside_a_property_is_reported_by_its_own_name():
    module = Doubled()
    with pytest.raises(AttributeError, match="'Doubled' object has no attribute 'x_rwa'"):
        _ = module.misspelt
    with pytest.raises(AttributeError, match="'Doubled' object has no attribute 'nowhere'"):
        _ = module.nowhere
    assert pickle.loads(pickle.dumps(module)).twice.item() == 0.5


def test_a_class_keeps_its_own_setattr_and_getattr():
    module = Careful()
    assert (module.y, module.seven, round(module.x.item(), 6)) == (4.0, 7.0, 2.0)
    with pytest.raises(SpecError, match=r"not an nn\.Parameter"):
        module.x = nn.Parameter(torch.tensor(1.0))
    assert list(module._parameters) == ["x_raw"]


def test_one_constrained_serves_one_name():
    with pytest.raises((SpecError, RuntimeError)) as caught:  # Python 3.11 wraps errors of __set_name__

        class Twice(nn.Module):
            x = y = Constrained(iso.Positive())

    cause = caught.value if isinstance(caught.value, SpecError) else caught.value.__cause__
    assert "is both 'x' and 'y'" in str(cause)


def test_a_constrained_without_a_name_is_refused():
    class Late(nn.Module):
        pass

    Late.x, Late.y = Constrained(iso.Positive()), Constrained(iso.Interval(0, 1))  # would share one leaf
    with pytest.raises(SpecError, match="has no name; write x = Constrained"):
        Late().x = 0.5
    with pytest.raises(SpecError, match="has no name; write x = Constrained"):
        _ = Late().x


@pytest.mark.parametrize("spec", [iso.Positive, 0.3, None], ids=str)
def test_only_a_spec_constrains(spec):
    with pytest.raises(SpecError, match="expected a spec such as"):
        Constrained(spec)


def test_a_module_before_its_init_is_reported_by_torch():
    class Early(nn.Module):
        x = Constrained(iso.Positive())

        def __init__(self):
            self.x = 1.0

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_a_computed_raw_is_not_written_to():
    module = Doubled()
    raw = torch.zeros((), requires_grad=True) * 1.0

    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self):
            self.inner.x = 0.5

    with pytest.raises(SpecError, match="no leaf to assign to"):
        torch.func.functional_call(Writes(), {"inner.x_raw": raw})


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_compiled_modules_stay_fresh(backend):
    module = Doubled()
    a = torch.ones(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, while it loads the compiler
        compiled = torch.compile(module, fullgraph=True, backend=backend)
        for x in (0.25, 0.75):
            module.x = x
            module.zero_grad()
            compiled(a).backward()
            grad = module.x_raw.grad.item()
            module.zero_grad()
            module(a).backward()
            assert grad == pytest.approx(module.x_raw.grad.item(), rel=1e-6)
            assert compiled(a).item() == pytest.approx(module(a).item(), rel=1e-6)
    assert module.calls == 8


def test_compiled_functional_call_takes_the_raw_name():
    module = Doubled()
    a = torch.ones(3, 2)

    def call(raw):
        return torch.func.functional_call(module, {"x_raw": raw}, (a,))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled = torch.compile(torch.func.grad(call), fullgraph=True, backend="eager")
        grad = compiled(torch.tensor(0.3))
    assert grad.item() == pytest.approx(torch.func.grad(call)(torch.tensor(0.3)).item(), rel=1e-6)


def test_assignment_inside_compiled_code_is_refused():
    module = Doubled()
    before = module.x_raw.detach().clone()

    def assigns(a):
        module.x = 0.5
        return a

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(Exception, match="cannot be assigned inside"):
            torch.compile(assigns, fullgraph=True, backend="eager")(torch.ones(()))
    assert torch.equal(module.x_raw, before)
