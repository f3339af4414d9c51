"""Derivatives in every mode of PyTorch, compared with the true ones: at 0, +-40 and ties, eager and compiled.

Inside torch.compile, torch.func ignores hand-written derivatives and differentiates the body of the forward function:
there a kink (abs, max, clamp) would show as a wrong number at 0 or at a tie, which is why numbers are compared.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest
import torch

import isoparam as iso
from budgets import JACOBIAN, derivative
from isoparam.errors import DomainError
from isoparam.torch import Constrained, forward, inverse
from oracle.judge import hessian_unit, true_hessian, true_jacobian
from oracle.rounding import normwise, ulps
from samples import BY_INDUCTOR, MAPS, SAMPLES, Sample, turning_points, weights_of
from torch_impl.kernels.elementary import mantissa_and_exponent

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
Jacobian = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    """No compiled function is left over from another test."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def by_reverse(function: Callable, raw: torch.Tensor) -> torch.Tensor:
    leaf = raw.clone().requires_grad_()
    value = function(leaf)
    rows = [torch.autograd.grad(value, leaf, unit, retain_graph=True)[0] for unit in torch.eye(len(value), dtype=raw.dtype)]
    return torch.stack(rows)


def by_forward(function: Callable, raw: torch.Tensor) -> torch.Tensor:
    columns = [torch.func.jvp(function, (raw,), (unit,))[1] for unit in torch.eye(len(raw), dtype=raw.dtype)]
    return torch.stack(columns, dim=-1)


def by_dual_numbers(function: Callable, raw: torch.Tensor) -> torch.Tensor:
    columns = []
    for unit in torch.eye(len(raw), dtype=raw.dtype):
        with torch.autograd.forward_ad.dual_level():
            value = function(torch.autograd.forward_ad.make_dual(raw, unit))
            columns.append(torch.autograd.forward_ad.unpack_dual(value).tangent)
    return torch.stack(columns, dim=-1)


def by_vmap_of_grad(function: Callable, raw: torch.Tensor) -> torch.Tensor:
    units = torch.eye(len(function(raw)), dtype=raw.dtype)
    return torch.func.vmap(lambda unit: torch.func.grad(lambda x: torch.sum(unit * function(x)))(raw))(units)


MODES: dict[str, Jacobian] = {
    "reverse": by_reverse,
    "jvp": by_forward,
    "dual numbers": by_dual_numbers,
    "vmap of grad": by_vmap_of_grad,
    "jacrev": lambda function, raw: torch.func.jacrev(function)(raw),
    "jacfwd": lambda function, raw: torch.func.jacfwd(function)(raw),
}
SECOND_MODES = {
    "hessian": lambda function, raw: torch.func.hessian(function)(raw),
    "reverse over reverse": lambda function, raw: torch.func.jacrev(torch.func.jacrev(function))(raw),
    "reverse over forward": lambda function, raw: torch.func.jacrev(torch.func.jacfwd(function))(raw),
    "forward over forward": lambda function, raw: torch.func.jacfwd(torch.func.jacfwd(function))(raw),
    "autograd twice": lambda function, raw: torch.autograd.functional.hessian(function, raw),
}


def asked(modes: Iterable[str], one: str) -> list:
    """Every mode of every map; `one` mode of the samples that share a map."""
    pairs = [(sample, mode) for sample in SAMPLES for mode in modes if mode == one or not sample.like]
    return [pytest.param(sample, mode, id=f"{sample.name}-{mode}") for sample, mode in pairs]


def check(sample: Sample, got: torch.Tensor, want: np.ndarray, allowed: float, least: float = 0.0) -> None:
    """Entry by entry for scalar specs (where the others are exactly 0), else in eps of the norm, or of `least` if larger."""
    got = got.detach().numpy(force=True)  # a tangent that is 0 everywhere has no memory behind it
    distance = ulps(got, want).max() if sample.is_scalar else normwise(got, want, least)
    assert distance <= allowed, f"{sample.name}: {distance:.3g} > {allowed}: got\n{got}\nright is\n{want}"


@pytest.mark.parametrize(("sample", "mode"), asked(MODES, "jacrev"))
def test_first_derivatives(sample: Sample, mode: str) -> None:
    for raw in turning_points(sample):
        got = MODES[mode](sample.flat(forward), torch.tensor(raw))
        check(sample, got, true_jacobian(sample, raw), JACOBIAN.allowed)


@pytest.mark.parametrize(("sample", "mode"), asked(SECOND_MODES, "hessian"))
def test_second_derivatives(sample: Sample, mode: str) -> None:
    weights, allowed = weights_of(sample), derivative(sample.name, "hessian").allowed
    for raw in turning_points(sample):
        got = SECOND_MODES[mode](lambda x: torch.sum(torch.tensor(weights) * sample.flat(forward)(x)), torch.tensor(raw))
        check(sample, got, true_hessian(sample, raw, weights), allowed, hessian_unit(sample, raw))


@each_sample
def test_forward_through_vmap_through_forward(sample: Sample) -> None:
    """Each level of forward mode takes off its own tangents only, also where a vmap stands between two levels."""
    weights = torch.tensor(weights_of(sample))
    for row in turning_points(sample):
        raw, along = torch.tensor(row), torch.cos(torch.arange(1.0, len(row) + 1, dtype=torch.float64))

        def slope(x: torch.Tensor, along: torch.Tensor = along) -> torch.Tensor:
            return torch.func.jvp(lambda y: torch.sum(weights * sample.flat(forward)(y)), (x,), (along,))[1]

        got = torch.func.jvp(lambda x: torch.func.vmap(slope, in_dims=1)(torch.stack([x, 2 * x], 1)), (raw,), (along,))[1]
        alone = [factor * torch.func.grad(slope)(factor * raw) @ along for factor in (1, 2)]
        torch.testing.assert_close(got, torch.stack(alone), rtol=1e-13, atol=1e-15)


@each_sample
def test_gradgradcheck_agrees(sample: Sample) -> None:
    """torch's own finite differences, of first and second derivatives, in reverse and forward mode."""
    raw = torch.tensor(turning_points(sample)[-1] % 2.0 - 0.9, requires_grad=True)
    scale = max(1.0, sample.added_bound)
    value = sample.flat(forward)
    assert torch.autograd.gradcheck(lambda x: value(x) / scale, raw, check_forward_ad=True, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda x: value(x) / scale, raw, atol=1e-5)


def rows_of(sample: Sample, raws: torch.Tensor) -> torch.Tensor:
    """Flat rows of values from flat rows of raw."""
    if sample.is_scalar:
        return forward(sample.spec, raws)
    return forward(sample.spec, raws.reshape(-1, *sample.core)).reshape(raws.shape[0], -1)


def all_values(raws: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {sample.name: rows_of(sample, raws[sample.name]) for sample in MAPS if sample.name in raws}


def all_gradients(raws: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    def total(sample: Sample, raw: torch.Tensor) -> torch.Tensor:
        return torch.sum(weights[sample.name] * rows_of(sample, raw))

    return {sample.name: torch.func.grad(lambda x, sample=sample: total(sample, x))(raws[sample.name]) for sample in MAPS}


def all_rows(samples: Sequence[Sample]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, np.ndarray]]:
    """Raw rows and weights of every sample, and the true gradients of the weighted sums."""
    raws = {sample.name: torch.tensor(turning_points(sample)) for sample in samples}
    weights = {sample.name: torch.tensor(weights_of(sample)) for sample in samples}
    right = {}
    for sample in samples:
        jacobians = [true_jacobian(sample, row) for row in turning_points(sample)]
        right[sample.name] = np.stack([weights_of(sample) @ jacobian for jacobian in jacobians])
    return raws, weights, right


def check_gradients(got: dict[str, torch.Tensor], right: dict[str, np.ndarray]) -> None:
    for sample in (sample for sample in MAPS if sample.name in got):
        allowed = derivative(sample.name, "gradient").allowed
        for mine, true in zip(got[sample.name], right[sample.name], strict=True):
            check(sample, mine, true, allowed + 1)  # and the rounding of the weighted sum itself


BACKENDS = [
    "eager",
    pytest.param(
        "inductor",
        marks=[
            pytest.mark.skipif(
                shutil.which("g++") is None, reason="torch.compile on the CPU needs a C++ compiler: install g++"
            ),
            pytest.mark.xdist_group("inductor"),
        ],
    ),
]


@pytest.mark.filterwarnings("ignore:`torch._prims_common.check` is deprecated")  # torch's own, of a diagonal
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_values_and_gradients_of_all_specs(backend: str) -> None:
    samples = BY_INDUCTOR if backend == "inductor" else MAPS
    raws, weights, right = all_rows(samples)
    leaves = {name: raw.clone().requires_grad_() for name, raw in raws.items()}
    values = torch.compile(all_values, fullgraph=True, backend=backend)(leaves)
    total = sum(torch.sum(weights[name] * value) for name, value in values.items())
    gradients = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    eager = all_values(raws)
    for sample in samples:
        scale = np.maximum(np.abs(eager[sample.name].numpy()), sample.added_bound)
        assert ulps(values[sample.name].detach().numpy(), eager[sample.name].numpy(), scale).max() <= 2
    check_gradients(gradients, right)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on the CPU needs a C++ compiler: install g++")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exponents_are_compiled(dtype: torch.dtype) -> None:
    """Enough numbers for vectors of them, where the C++ that inductor writes for the exponents of float64 is invalid."""
    limits = torch.finfo(dtype)
    numbers = torch.exp(torch.linspace(-80, 80, 60, dtype=dtype)).tolist()
    x = torch.tensor([limits.tiny, limits.max, 0.5, 1.0, 1.0 - limits.eps / 2, *numbers], dtype=dtype)
    mantissa, exponent = torch.compile(mantissa_and_exponent, fullgraph=True, backend="inductor")(x)
    assert torch.equal(mantissa, torch.frexp(x).mantissa)
    assert torch.equal(exponent, torch.frexp(x).exponent.to(dtype))


def test_func_grad_inside_compile_of_all_specs() -> None:
    raws, weights, right = all_rows(MAPS)
    gradients = torch.compile(all_gradients, fullgraph=True, backend="eager")(raws, weights)
    check_gradients(gradients, right)


def test_compiled_inverse_gives_nan_outside_and_inf_on_a_border() -> None:
    """Eager code raises; a compiled graph cannot look at numbers, which `inverse` documents."""
    unit = next(sample.spec for sample in SAMPLES if sample.name == "unit")
    value = torch.tensor([0.5, 1.5, -1.0, 0.0, 1.0], dtype=torch.float64)
    with pytest.raises(DomainError):
        inverse(unit, value)
    raw = torch.compile(lambda v: inverse(unit, v), fullgraph=True, backend="eager")(value)
    np.testing.assert_array_equal(raw.numpy(), [0.0, np.nan, np.nan, -np.inf, np.inf])


def test_func_grad_inside_compile_of_an_inverse() -> None:
    """At both ends, too, where one of the formulas behind softplus_inverse is nan."""
    spec = iso.Positive()
    value = torch.tensor([1e-300, 0.2, 0.36, np.log(2.0), 1.2, 39.0, 41.0, 800.0, 1e300], dtype=torch.float64)

    def slopes(value: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda v: torch.sum(inverse(spec, v)))(value)

    compiled = torch.compile(slopes, fullgraph=True, backend="eager")(value)
    torch.testing.assert_close(compiled, -1 / torch.expm1(-value), rtol=1e-14, atol=0)


CHANGING = {
    "half lines": [iso.GreaterThan(1.0), iso.GreaterThan(2.0), iso.GreaterThan(3.0)],
    "array bounds": [iso.LessThan([1.0, 2.0]), iso.LessThan([1.0, 3.0]), iso.LessThan(0.0)],
    "intervals": [iso.Interval(0, 1), iso.Interval(0, 2), iso.Interval(0, 2, link="tanh")],
}


@pytest.mark.parametrize("specs", CHANGING.values(), ids=CHANGING)
def test_one_compiled_function_serves_several_specs(specs: list[iso.Spec]) -> None:
    """The numbers of a spec are constants of the compiled code: with another spec they are others."""
    raw = torch.tensor([0.3, -1.2], dtype=torch.float64)
    compiled = torch.compile(lambda spec, raw: forward(spec, raw), fullgraph=True, backend="eager")
    for spec in (*specs, *specs):
        torch.testing.assert_close(compiled(spec, raw), forward(spec, raw), rtol=1e-15, atol=0)


TWICE = {
    "bounds": (iso.GreaterThan([1.0, 2.0]), iso.LessThan([3.0, 4.0])),
    "boxes": (iso.Box([0.0, -np.inf], [1.0, np.inf]), iso.Box([-np.inf, 2.0], [1.0, np.inf])),
}


@pytest.mark.parametrize("specs", TWICE.values(), ids=TWICE)
def test_two_specs_with_arrays_in_one_compiled_function(specs: tuple[iso.Spec, ...]) -> None:
    """What a spec places on the device has a name of its own: torch refuses two tensors with the name of one function."""

    def both(raw: torch.Tensor) -> list[torch.Tensor]:
        return [forward(spec, raw) for spec in specs]

    raw = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
    values = torch.compile(both, fullgraph=True, backend="aot_eager")(raw)
    for value, spec in zip(values, specs, strict=True):
        torch.testing.assert_close(value, forward(spec, raw), rtol=1e-15, atol=0)
    (gradient,) = torch.autograd.grad(sum(value.sum() for value in values), raw)
    assert torch.isfinite(gradient).all()


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # torch's own, from a strict export
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "traced"])
def test_an_exported_module_can_be_trained(strict: bool) -> None:
    class Scaled(torch.nn.Module):
        x = Constrained(iso.Interval(0, 1))

        def __init__(self) -> None:
            super().__init__()
            self.x = 0.3

        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return torch.sum(self.x * a)

    exported = torch.export.export(Scaled(), (torch.ones(2),), strict=strict).module()
    exported(torch.ones(2)).backward()
    (leaf,) = exported.parameters()
    assert leaf.grad is not None
    assert leaf.grad.item() == pytest.approx(2 * 0.3 * 0.7, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # torch's own, of the mask of a where
def test_an_inverse_can_be_linearized() -> None:
    value = torch.tensor([0.2, 0.5], dtype=torch.float64)
    _, push = torch.func.linearize(lambda v: inverse(iso.UnitInterval(), v), value)
    torch.testing.assert_close(push(torch.ones(2, dtype=torch.float64)), 1 / (value * (1 - value)), rtol=1e-14, atol=0)
