"""Traps: no value is a view made inside of an autograd Function, which torch lets nobody change, or differentiate forwards."""

import pytest
import torch
from torch.autograd import forward_ad

from isoparam.torch import forward
from samples import MAPS, Sample

each_map = pytest.mark.parametrize("sample", MAPS, ids=lambda sample: sample.name)


def raw_of(sample: Sample) -> torch.Tensor:
    count = max(1, torch.Size(sample.core).numel())
    return torch.linspace(-0.7, 0.9, count, dtype=torch.float64).reshape(sample.core).requires_grad_()


@each_map
def test_a_value_may_be_changed_in_place(sample: Sample) -> None:
    value = forward(sample.spec, raw_of(sample))
    value.mul_(2.0)
    assert value.grad_fn is not None


@each_map
def test_reverse_mode_is_differentiated_forwards(sample: Sample) -> None:
    raw = raw_of(sample)
    along = torch.linspace(1.0, -0.5, raw.numel(), dtype=torch.float64).reshape(raw.shape)
    with forward_ad.dual_level():
        value = forward(sample.spec, forward_ad.make_dual(raw, along))
        (gradient,) = torch.autograd.grad(torch.sin(value).sum(), raw, create_graph=True)
        moved = forward_ad.unpack_dual(gradient).tangent
    expected = torch.func.jvp(torch.func.grad(lambda x: torch.sin(forward(sample.spec, x)).sum()), (raw,), (along,))[1]
    torch.testing.assert_close(torch.zeros_like(raw) if moved is None else moved, expected, rtol=1e-9, atol=1e-12)
