"""What the verbs refuse in PyTorch: values outside, borders, what is no floating tensor, shapes, what is no spec."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import contains, forward, inverse, log_abs_det, project
from samples import SAMPLES, SCALARS, Sample

OUTSIDE = [(sample, value) for sample in SAMPLES for value in (*sample.outside, *sample.borders)]


@pytest.mark.parametrize(("sample", "value"), OUTSIDE, ids=[f"{sample.name}:{value}" for sample, value in OUTSIDE])
def test_outside_and_border_values_are_refused(sample: Sample, value) -> None:
    value = torch.tensor(value, dtype=torch.float64)
    assert not contains(sample.spec, value).all()
    with pytest.raises(DomainError) as caught:
        inverse(sample.spec, value)
    assert sample.spec.facts.domain in str(caught.value)
    if not sample.only_checked:
        assert not torch.isfinite(inverse(sample.spec, value, check=False)).all()


BORDERS = [(sample, value) for sample in SCALARS for value in sample.borders]


@pytest.mark.parametrize(("sample", "value"), BORDERS, ids=[f"{sample.name}:{value}" for sample, value in BORDERS])
def test_unchecked_a_border_gives_an_infinity(sample: Sample, value: float) -> None:
    assert torch.isinf(inverse(sample.spec, torch.tensor(value, dtype=torch.float64), check=False)).all()


STRICTLY = [(sample, value) for sample in SCALARS for value in sample.outside if np.isfinite(value).all()]


@pytest.mark.parametrize(("sample", "value"), STRICTLY, ids=[f"{sample.name}:{value}" for sample, value in STRICTLY])
def test_under_transforms_an_outside_value_gives_nan(sample: Sample, value: float) -> None:
    values = torch.tensor([value, value], dtype=torch.float64)
    assert torch.isnan(torch.func.vmap(lambda v: inverse(sample.spec, v))(values)).all()
    assert torch.isnan(torch.func.vmap(torch.func.grad_and_value(lambda v: inverse(sample.spec, v).sum()))(values)[1]).all()


def test_the_first_outside_entry_is_named() -> None:
    value = torch.full((2, 3), 0.5, dtype=torch.float64)
    value[1, 2] = 1.25
    with pytest.raises(DomainError, match=r"value 1\.25 at \(1, 2\) is not inside \(0, 1\) of UnitInterval\(\)"):
        inverse(iso.UnitInterval(), value)


NOT_ARRAYS = {
    "a float": (0.5, "raw must be a torch tensor, got float: use torch.as_tensor(raw)"),
    "a list": ([0.5], "raw must be a torch tensor, got list"),
    "a numpy array": (np.zeros(3), "raw must be a torch tensor, got ndarray"),
    "nothing": (None, "raw must be a torch tensor, got NoneType"),
    "integers": (torch.arange(3), "raw must be floating, got torch.int64; write 1.0 for 1, or raw.double()"),
    "booleans": (torch.ones(3, dtype=torch.bool), "raw must be floating, got torch.bool"),
    "complex numbers": (torch.ones(3, dtype=torch.complex64), "raw must be floating, got torch.complex64"),
}


@pytest.mark.parametrize(("raw", "message"), NOT_ARRAYS.values(), ids=NOT_ARRAYS.keys())
@pytest.mark.parametrize("spec", [iso.UnitInterval(), iso.Simplex()], ids=str)
def test_what_is_no_floating_tensor_is_refused(spec: iso.Spec, raw, message: str) -> None:
    for verb in (forward, log_abs_det):
        with pytest.raises(SpecError) as caught:
            verb(spec, raw)
        assert message in str(caught.value)
    for verb in (inverse, project, contains):
        with pytest.raises(SpecError) as caught:
            verb(spec, raw)
        assert message.replace("raw", "value") in str(caught.value)


@pytest.mark.parametrize("verb", [forward, inverse, log_abs_det, project, contains], ids=lambda verb: verb.__name__)
def test_what_is_no_dense_tensor_of_16_bits_or_more_is_refused(verb) -> None:
    matrix = torch.full((2, 2), 0.5)
    with pytest.raises(SpecError, match=r"must be dense, got torch\.sparse_coo: use (raw|value)\.to_dense\(\)"):
        verb(iso.UnitInterval(), matrix.to_sparse())
    with pytest.raises(SpecError, match=r"(raw|value) is torch\.float8_e5m2, .* use (raw|value)\.bfloat16\(\)"):
        verb(iso.UnitInterval(), matrix.to(torch.float8_e5m2))


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (iso.GreaterThan([0.0, 1.0]), (3,), "bounds of shape (2,) do not broadcast into a raw of shape (3,)"),
        (iso.Ordered(), (2, 0), "a raw of shape (2, 0) is empty along axis -1"),
        (iso.Simplex(), (), "a raw of shape () has no axis -1"),
        (iso.Ordered(axis=1), (3,), "a raw of shape (3,) has no axis 1"),
    ],
    ids=str,
)
def test_a_wrong_shape_is_refused(spec: iso.Spec, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        forward(spec, torch.zeros(shape))
    assert message in str(caught.value)


@pytest.mark.parametrize("spec", [iso.Interval, "positive", None, 3.0], ids=repr)
def test_what_is_no_spec_is_refused(spec) -> None:
    for verb in (forward, inverse, log_abs_det, project, contains):
        with pytest.raises(SpecError, match=r"expected a spec such as isoparam\.Interval\(0, 1\)"):
            verb(spec, torch.zeros(2))


def test_a_subclass_of_a_spec_has_no_rule() -> None:
    @dataclass(frozen=True)
    class Weight(iso.Positive):
        """Stands for a third party's spec."""

    with pytest.raises(SpecError, match="the torch backend has no rule for Weight"):
        forward(Weight(), torch.zeros(2))
