"""A start that cannot be one is refused by name, at the latest before the first step, and by both backends in one voice."""

import numpy as np
import pytest
import torch

import isoparam as iso
import isoparam.jax as jax_side
import isoparam.torch as torch_side
from isoparam.errors import DomainError, SpecError

REFUSED = {
    "outside": (iso.Interval(0, 1), 2.0, r"init\['x'\] in float32: value 2\. is not inside \(low, high\)"),
    "on the border": (iso.Interval(0, 1), 1.0, r"init\['x'\] in float32: value 1\. is not inside"),
    "rounded to the border": (iso.Positive(), 1e-300, r"init\['x'\] in float32: value 0\. is not inside"),
    "a sum": (iso.Simplex(), np.array([0.5, 0.6]), r"value \[0\.5 0\.6\] is not inside .*; its sum is 1\.1"),
    "an order": (iso.Ordered(), np.array([2.0, 1.0]), r"is not inside {v : v_1 < v_2"),
    "columns": (iso.Orthogonal(), np.ones((2, 2)), r"max \|Q\^T Q - I\| is 2"),
    "out of reach": (iso.Orthogonal(), -np.eye(2), r"no raw of Orthogonal\(map='cayley'\) leads there: .* spec\.at\(value\)"),
    "a constant": (iso.Fixed(1.0), 2.0, r"misses the constant by 1: give the constant; .*write Fixed\(that value\)"),
    "overflow": (iso.Real(), np.array([1.0, -1e300]), r"init\['x'\] has the entry -1e\+300, which overflows in float32"),
}


def refusal(spec, start, backend, method="transform"):
    problem = iso.Problem(
        name="bad",
        constraints={"x": spec},
        init={"x": start, "free": 1.0},
        loss=lambda values, batch: (values["x"] ** 2).sum() + values["free"],
    )
    with pytest.raises(DomainError) as caught:
        iso.train(problem, backend, iso.Adam(), steps=1, dtype="float32", method=method)
    return str(caught.value)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_both_backends_refuse_a_start_in_the_same_words(case):
    spec, start, message = case
    said = refusal(spec, start, "torch")
    assert refusal(spec, start, "jax") == said
    with pytest.raises(DomainError, match=message):
        raise DomainError(said)


@pytest.mark.parametrize("case", [REFUSED["a sum"], REFUSED["overflow"]], ids=["a sum", "overflow"])
def test_projected_training_refuses_in_the_same_words(case):
    spec, start, _ = case
    assert refusal(spec, start, "jax", "projected") == refusal(spec, start, "torch", "projected")


def test_a_start_that_requires_grad_says_what_to_write():
    with pytest.raises(SpecError, match=r"it requires grad: write \.detach\(\)"):
        iso.Problem(name="bad", constraints={}, init={"x": torch.nn.Parameter(torch.ones(2))}, loss=lambda values, batch: 0.0)


def torch_module():
    class Model(torch.nn.Module):
        x = torch_side.Constrained(iso.Fixed(1.5))

    return Model()


def jax_module():
    from flax import nnx

    class Model(nnx.Module):
        x = jax_side.Constrained(iso.Fixed(1.5))

    return Model()


@pytest.mark.parametrize("make", [torch_module, jax_module], ids=["torch", "jax"])
def test_a_fixed_attribute_says_what_to_assign(make):
    module = make()
    with pytest.raises(SpecError, match=r"assign plain numbers first: self\.x = 1\.5"):
        _ = module.x
    module.x = 1.5
    with pytest.raises(DomainError, match=r"Model\.x: .* give the constant; where this spec is declared write Fixed\("):
        module.x = 2.0
    assert float(module.x) == 1.5
