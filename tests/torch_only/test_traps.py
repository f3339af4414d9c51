"""Faults that other libraries have, or had, in PyTorch, as tests that ours does not have them. Each names its trap."""

import mpmath as mp
import numpy as np
import pytest
import torch
from torch import nn

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import Constrained, attach, forward, inverse

NORMS = {
    "UnitNorm": iso.UnitNorm(),
    "WeightNorm": iso.WeightNorm(),
    "MaxNorm": iso.MaxNorm(),
    "SpectralNorm": iso.SpectralNorm(),
}


class Held(nn.Module):
    """A weight with a norm, as an attribute."""

    def __init__(self, spec: iso.Spec) -> None:
        super().__init__()

        class Holder(nn.Module):
            weight = Constrained(spec, "project")

        self.holder = Holder()
        self.holder.weight = torch.tensor([[3.0, -1.0, 0.5], [0.25, 2.0, -4.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.holder.weight.mT


def attached(spec: iso.Spec) -> nn.Module:
    layer = nn.Linear(3, 2, bias=False)
    attach(layer, "weight", spec, start="project")
    return layer


@pytest.mark.parametrize("make", [Held, attached], ids=["Constrained", "attach"])
@pytest.mark.parametrize("spec", NORMS.values(), ids=NORMS)
def test_a_norm_is_never_written_back(spec: iso.Spec, make) -> None:
    """torch's spectral_norm moves its buffers at every forward in training; here a call leaves the state as it was."""
    module, x = make(spec), torch.tensor([[1.0, 2.0, 3.0]])
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    results = [module(x) for _ in range(3)]
    module.eval()
    results.append(module(x))
    results[0].sum().backward()
    assert all(torch.equal(result, results[0]) for result in results)
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_half_the_identity_is_not_read_as_the_identity() -> None:
    """torch's parametrized spectral_norm takes an assigned 0.5 I and reads I; ours says what is wrong with it."""
    with pytest.raises(DomainError, match=r"its largest singular value is 0\.5 and not 1"):
        inverse(iso.SpectralNorm(), 0.5 * torch.eye(3, dtype=torch.float64))


def test_weight_norm_of_a_zero_vector_is_finite() -> None:
    """torch's weight_norm(v = 0) is nan in value and gradient."""
    raw = torch.tensor([[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 4.0, 5.0]], requires_grad=True)
    value = forward(iso.WeightNorm(), raw)
    value.square().sum().backward()
    assert value.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]
    assert torch.isfinite(raw.grad).all()
    assert torch.equal(inverse(iso.WeightNorm(), value.detach())[1], torch.zeros(4))


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e-13, 1e-12, 1.0, 1e300])
@pytest.mark.parametrize("spec", [iso.UnitVector(), iso.UnitNorm()], ids=str)
def test_a_tiny_vector_has_its_direction_and_the_derivative_of_it(spec: iso.Spec, size: float) -> None:
    """F.normalize divides by at least 1e-12: below, its value is too short and its derivative 1e12 in every direction."""
    raw = torch.tensor([0.6 * size, 0.8 * size], dtype=torch.float64)
    value = forward(spec, raw)
    torch.testing.assert_close(value, torch.tensor([0.6, 0.8], dtype=torch.float64), rtol=4e-16, atol=0)
    jacobian = torch.func.jacrev(lambda raw: forward(spec, raw))(raw) * size
    torch.testing.assert_close(jacobian, torch.tensor([[0.64, -0.48], [-0.48, 0.36]], dtype=torch.float64), rtol=1e-15, atol=0)


def tied() -> nn.Module:
    module = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    module["b"].weight = module["a"].weight
    return module


def test_tied_parameters_are_constrained_once() -> None:
    """With parametrize on both of two tied layers the inverse is applied twice, and what was positive becomes nan."""
    module = tied()
    attach(module, "a.weight", iso.Positive(), start="project")
    with pytest.raises(SpecError, match="it is constrained already"):
        attach(module, "b.weight", iso.Positive(), start="project")
    assert torch.equal(module["a"].weight, module["b"].weight)
    assert (module["b"].weight > 0).all()


def test_tied_layers_attached_one_by_one_stay_finite() -> None:
    module = tied()
    for layer in module.values():
        attach(layer, "weight", iso.Positive(), start="project")
    values = [layer.weight for layer in module.values()]
    sum(value.sum() for value in values).backward()
    for layer, value in zip(module.values(), values, strict=True):
        assert (torch.isfinite(value) & (value > 0)).all()
        assert torch.isfinite(layer.weight_raw.grad).all()


@pytest.mark.parametrize("raw", [19.9, 20.0001, 20.5, 25.0, 30.0])
def test_softplus_has_no_threshold(raw: float) -> None:
    """F.softplus returns x above 20: in float64 that is off by up to 2e-9, and its derivative is exactly 1."""
    leaf = torch.tensor(raw, dtype=torch.float64, requires_grad=True)
    value = forward(iso.Positive(), leaf)
    value.backward()
    with mp.workdps(50):
        right, slope = mp.log1p(mp.exp(mp.mpf(raw))), 1 / (1 + mp.exp(-mp.mpf(raw)))
        assert abs(mp.mpf(value.item()) - right) <= np.spacing(raw)
        assert abs(mp.mpf(leaf.grad.item()) - slope) <= 2**-53
    assert value.item() > raw
    assert leaf.grad.item() < 1


def test_bounds_are_not_rounded_to_float32() -> None:
    """GPyTorch keeps 0.1 as a float32, and returns 0.10000000149 in float64."""
    far = torch.tensor([-1e3, 1e3], dtype=torch.float64)
    assert forward(iso.Interval(0.1, 0.9), far).tolist() == [0.1, 0.9]
    assert forward(iso.GreaterThan(0.1), far[:1]).tolist() == [0.1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", [iso.Interval(0, 1), iso.Interval(0, 1, link="tanh")], ids=str)
def test_a_saturated_gradient_is_not_zero(spec: iso.Spec, dtype: torch.dtype) -> None:
    """y (1 - y) is 0 as soon as y rounds to 1: from raw = 17 (float32) or 37 (float64) nothing moves any more."""
    leaf = torch.tensor([-40.0, 40.0], dtype=dtype, requires_grad=True)
    forward(spec, leaf).sum().backward()
    rate = 2 if spec.link == "tanh" else 1
    np.testing.assert_allclose(leaf.grad.double().numpy(), rate * np.exp(-40.0 * rate), rtol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("norm", [1e-4, 0.022, 1.0, 5.4, 19.7, 50.0])
def test_the_matrix_exponential_is_right_in_value(norm: float) -> None:
    """torch.matrix_exp is off by 2e4 eps at norm 0.022, though its result is orthogonal to 500 eps."""
    spec = iso.SpecialOrthogonal(map="exp")
    flat = np.random.Generator(np.random.Philox(6)).normal(0, 1, 10)
    lower = np.zeros((5, 5))
    lower[np.tril_indices(5, -1)] = flat
    raw = flat * (norm / np.linalg.norm(lower - lower.T, 2))
    lower[np.tril_indices(5, -1)] = raw
    value = forward(spec, torch.tensor(raw)).numpy()
    with mp.workdps(120):
        right = np.array(mp.expm(mp.matrix((lower - lower.T).tolist()), method="taylor").tolist(), float)
    assert np.linalg.norm(value - right) <= 50 * 2**-52 * np.linalg.norm(right)


def test_weight_decay_shrinks_reflections_to_the_base_and_not_to_zero() -> None:
    """With torch's orthogonal(householder) decayed weights become the zero matrix, of which nothing is orthogonal."""
    spec = iso.Orthogonal(map="householder")
    raw = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([raw], lr=0.1, weight_decay=1.0)
    for _ in range(500):
        optimizer.zero_grad()
        (0.0 * forward(spec, raw).sum()).backward()
        optimizer.step()
    torch.testing.assert_close(forward(spec, raw), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-15)
    assert torch.isfinite(raw.grad).all()


def test_a_lower_triangle_takes_a_jitter_in_place() -> None:
    """Trap: a value that is a view made inside of an autograd Function may not be changed in place."""
    raw = torch.zeros(3, requires_grad=True)
    value = forward(iso.LowerTriangular(), raw)
    value.diagonal().add_(1e-6)
    (value * torch.tensor([[1.0, 5.0], [2.0, 3.0]])).sum().backward()
    assert raw.grad is not None
    assert raw.grad.tolist() == [1.0, 2.0, 3.0]
