"""Contexts that a training loop may stand in: autocast, a default device, batched cotangents; and compiled composite specs."""

import pytest
import torch

import isoparam as iso
from isoparam.torch import contains, forward, inverse
from samples import MAPS, SAMPLES, Sample

each_map = pytest.mark.parametrize("sample", MAPS, ids=lambda sample: sample.name)


def raw_of(sample: Sample) -> torch.Tensor:
    return torch.linspace(-0.7, 0.9, 2 * max(1, torch.Size(sample.core).numel())).reshape(2, *sample.core)


@each_map
def test_autocast_does_not_lower_the_digits_of_a_value_or_its_gradient(sample: Sample) -> None:
    plain, lowered = raw_of(sample).requires_grad_(), raw_of(sample).requires_grad_()
    value = forward(sample.spec, plain)
    value.square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        again = forward(sample.spec, lowered)
    again.square().sum().backward()  # outside, as torch asks
    assert torch.equal(again, value)
    assert torch.equal(lowered.grad, plain.grad)


def test_autocast_leaves_a_member_a_member() -> None:
    spec = iso.Orthogonal()
    with torch.autocast("cpu", torch.bfloat16):
        value = forward(spec, torch.linspace(-1.0, 1.0, 190))
        assert contains(spec, value)
        assert torch.isfinite(inverse(spec, value)).all()


@each_map
def test_a_default_device_does_not_move_what_a_rule_computes(sample: Sample) -> None:
    raw = raw_of(sample)
    before = forward(sample.spec, raw)
    with torch.device("meta"):
        within = forward(sample.spec, raw)
    assert within.device.type == "cpu"
    assert torch.equal(within, before)


@each_map
def test_batched_cotangents_give_the_jacobian(sample: Sample) -> None:
    raw = raw_of(sample)[0].requires_grad_()
    value = forward(sample.spec, raw).reshape(-1)
    rows = torch.eye(value.numel())
    (together,) = torch.autograd.grad(value, raw, rows, is_grads_batched=True, retain_graph=True)
    alone = torch.stack([torch.autograd.grad(value, raw, row, retain_graph=True)[0] for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.like], ids=lambda sample: sample.name)
def test_specs_that_share_a_map_compile_too(sample: Sample) -> None:
    raw = raw_of(sample)
    torch._dynamo.reset()  # each sample is a function of its own
    compiled = torch.compile(lambda x: forward(sample.spec, x), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(raw), forward(sample.spec, raw), rtol=1e-5, atol=1e-6)


def test_an_exported_program_with_array_bounds_takes_any_batch() -> None:
    class Bounded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(iso.Interval([0.0, -1.0], [1.0, 2.0]), x)

    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Bounded(), (torch.zeros(4, 2),), dynamic_shapes=({0: batch},)).module()
    assert program(torch.zeros(7, 2)).tolist() == [[0.5, 0.5]] * 7
