"""Specs are data: they refuse what cannot be right, compare by content, and know their shapes."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import IsoparamError, SpecError
from samples import SAMPLES, SCALARS, VECTORS, Sample

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
each_scalar = pytest.mark.parametrize("sample", SCALARS, ids=lambda sample: sample.name)
each_vector = pytest.mark.parametrize("sample", VECTORS, ids=lambda sample: sample.name)


@each_sample
def test_equal_specs_are_one_key(sample: Sample) -> None:
    twin = pickle.loads(pickle.dumps(sample.spec))
    assert twin == sample.spec
    assert hash(twin) == hash(sample.spec)
    assert deepcopy(sample.spec) == sample.spec
    assert {sample.spec: 1}[twin] == 1


@each_sample
def test_a_map_with_a_log_determinant_says_whether_raw_is_unique(sample: Sample) -> None:
    """Bridges to other libraries must not offer as a bijection what is none."""
    assert "log_abs_det" in sample.spec.absent or sample.spec.unique == sample.unique


def test_no_two_samples_are_equal() -> None:
    assert len({sample.spec for sample in SAMPLES}) == len(SAMPLES)


def test_array_bounds_compare_by_content() -> None:
    low = np.array([0.0, 1.0])
    spec = iso.Interval(low, 2)
    assert spec == iso.Interval([0, 1], 2.0)
    assert hash(spec) == hash(iso.Interval([0, 1], 2.0))
    assert spec != iso.Interval([0.0, 1.5], 2)
    assert spec != iso.Interval([[0.0, 1.0]], 2)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_box_names_the_entries_of_each_kind() -> None:
    parts = iso.Box([-1.5, 2.0, -np.inf, -np.inf], [4.0, np.inf, -3.0, np.inf]).parts
    assert [type(part.spec) for part in parts] == [iso.Real, iso.GreaterThan, iso.LessThan, iso.Interval]
    assert [np.flatnonzero(part.here).tolist() for part in parts] == [[3], [1], [2], [0]]
    assert [part.spec for part in iso.Box(0, [1, 2]).parts] == [iso.Interval(0, [1, 2])]
    assert [part.spec for part in iso.Box(-np.inf, np.inf).parts] == [iso.Real()]


def test_a_unit_vector_starts_at_the_first_basis_vector() -> None:
    assert iso.UnitVector(axis=0).start((2, 3)).tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    assert iso.Simplex().start((2, 3)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_negative_zero_bounds_are_zero_bounds() -> None:
    assert iso.GreaterThan([-0.0]) == iso.GreaterThan([0.0])
    assert hash(iso.GreaterThan([-0.0])) == hash(iso.GreaterThan([0.0]))


def test_a_spec_keeps_its_own_copy_of_the_bounds() -> None:
    low = np.array([0.0, 1.0])
    spec = iso.GreaterThan(low)
    low[0] = 5.0
    assert spec == iso.GreaterThan([0.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        spec.bound.data[0] = 5.0


@each_sample
def test_specs_are_frozen(sample: Sample) -> None:
    for name in [entry.name for entry in fields(sample.spec)]:
        with pytest.raises(FrozenInstanceError):
            setattr(sample.spec, name, None)


@each_sample
def test_every_fact_is_stated(sample: Sample) -> None:
    facts = sample.spec.facts
    assert all(getattr(facts, entry.name).strip() for entry in fields(facts))


@each_scalar
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3)], ids=str)
def test_scalar_raw_has_the_shape_of_the_value(sample: Sample, shape: tuple[int, ...]) -> None:
    shape = (*shape, *sample.core)
    assert sample.spec.raw_shape(shape) == shape
    assert sample.spec.value_shape(shape) == shape


@each_vector
@pytest.mark.parametrize("shape", [(1,), (4,), (0, 2), (3, 2, 5)], ids=str)
def test_vector_shapes_go_there_and_back(sample: Sample, shape: tuple[int, ...]) -> None:
    shape = sample.sized(shape)
    assert sample.spec.value_shape(sample.spec.raw_shape(shape)) == shape


@pytest.mark.parametrize("axis", [0, 1, -2, -3])
def test_the_axis_moves_the_size(axis: int) -> None:
    raw = list(iso.Simplex(axis=axis).raw_shape((3, 4, 5)))
    assert raw[axis] == (3, 4, 5)[axis] - 1
    raw[axis] += 1
    assert raw == [3, 4, 5]
    assert iso.Ordered(axis=axis).raw_shape((3, 4, 5)) == (3, 4, 5)


WRONG = {
    "swapped bounds": (lambda: iso.Interval(1, 0), "Interval(low=1, high=0): low must be below high; swap them"),
    "equal bounds": (lambda: iso.Interval(1, 1), "low must be below high; every entry needs room"),
    "one entry swapped": (lambda: iso.Interval([0, 2], [1, 1]), "every entry needs room between its bounds"),
    "nan low": (lambda: iso.Interval(np.nan, 1), "low=nan must be finite"),
    "infinite high": (lambda: iso.Interval(0, np.inf), "high=inf must be finite; for a side without a bound use GreaterThan"),
    "nan bound": (lambda: iso.GreaterThan(np.nan), "GreaterThan: bound=nan must be finite"),
    "infinite bound": (lambda: iso.LessThan(-np.inf), "LessThan: bound=-inf must be finite"),
    "nan among bounds": (lambda: iso.GreaterThan([0.0, np.nan]), "must be finite"),
    "text bound": (lambda: iso.GreaterThan("0"), "bound='0' must be a real number"),
    "complex bound": (lambda: iso.LessThan(1j), "must be a real number"),
    "boolean bound": (lambda: iso.Interval(False, True), "low=False must be a real number"),
    "no bound": (lambda: iso.Interval(None, 1), "low=None must be a real number"),
    "ragged bounds": (lambda: iso.GreaterThan([[0.0], [1.0, 2.0]]), "must be a real number"),
    "empty bounds": (lambda: iso.GreaterThan([]), "bound is an empty array"),
    "shapes apart": (lambda: iso.Interval([0, 0], [1, 1, 1]), "shapes of low and high do not broadcast"),
    "unknown link of Positive": (
        lambda: iso.Positive(link="log"),
        "Positive: unknown link='log'; choose one of 'softplus', 'exp'",
    ),
    "unknown link of GreaterThan": (lambda: iso.GreaterThan(0, link="sigmoid"), "unknown link='sigmoid'"),
    "unknown link of LessThan": (lambda: iso.LessThan(0, link=""), "unknown link=''"),
    "unknown link of Interval": (lambda: iso.Interval(0, 1, link="exp"), "choose one of 'sigmoid', 'tanh'"),
    "unknown link of Ordered": (lambda: iso.Ordered(link="square"), "Ordered: unknown link='square'"),
    "axis by name": (lambda: iso.Simplex(axis="last"), "Simplex: axis='last' must be an int, such as axis=-1"),
    "boolean axis": (lambda: iso.Ordered(axis=True), "axis=True must be an int"),
    "bounds too long": (
        lambda: iso.GreaterThan([0.0, 1.0]).raw_shape((3,)),
        "bounds of shape (2,) do not broadcast into a value",
    ),
    "bounds with more axes": (lambda: iso.GreaterThan([0.0, 1.0]).value_shape(()), "do not broadcast into a raw of shape ()"),
    "bounds that would grow raw": (
        lambda: iso.GreaterThan([0.0, 1.0]).value_shape((1,)),
        "do not broadcast into a raw of shape (1,)",
    ),
    "simplex of nothing": (lambda: iso.Simplex().raw_shape((0,)), "a value of shape (0,) is empty along axis -1"),
    "ordered of nothing": (lambda: iso.Ordered().raw_shape((3, 0)), "a value of shape (3, 0) is empty along axis -1"),
    "ordered raw of nothing": (lambda: iso.Ordered().value_shape((0,)), "a raw of shape (0,) is empty"),
    "simplex of a number": (lambda: iso.Simplex().raw_shape(()), "a value of shape () has no axis -1"),
    "axis not there": (lambda: iso.Simplex(axis=2).raw_shape((3, 4)), "a value of shape (3, 4) has no axis 2"),
    "scale 0": (lambda: iso.Affine(1, 0), "Affine(loc=1, scale=0): scale must be above 0"),
    "negative scale": (lambda: iso.Affine(0, [1.0, -2.0]), "for a negative one write Affine(loc, -scale)"),
    "infinite loc": (lambda: iso.Affine(np.inf, 1), "loc=inf must be finite"),
    "shapes of an affine map apart": (lambda: iso.Affine([0, 0], [1, 1, 1]), "shapes of loc and scale do not broadcast"),
    "scale that float32 lacks": (lambda: iso.Affine(0, 1e-60).numbers(np.float32), "scale=1e-60 underflows in float32"),
    "nan in a box": (lambda: iso.Box(np.nan, 1), "low=nan must not be nan"),
    "box inside out": (lambda: iso.Box([0, 2], 1), "low must be below high in every entry"),
    "box above inf": (lambda: iso.Box(-np.inf, -np.inf), "low must be below high"),
    "unknown link of PositiveOrdered": (lambda: iso.PositiveOrdered(link="log"), "PositiveOrdered: unknown link='log'"),
    "overflow in float32": (lambda: iso.Interval(0, 1e300).numbers(np.float32), "overflows in float32"),
    "bounds one number in float32": (
        lambda: iso.Interval(1, 1 + 1e-12).numbers(np.float32),
        "number in float32; use a wider dtype",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_right_is_refused_by_name(make, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert message in str(caught.value)


def test_a_spec_error_is_a_value_error() -> None:
    assert issubclass(SpecError, ValueError)
    assert issubclass(SpecError, IsoparamError)


def test_the_catalogue_is_every_public_spec() -> None:
    public = {entry for name in iso.__all__ if isinstance(entry := getattr(iso, name), type) and issubclass(entry, iso.Spec)}
    assert public - {iso.Spec} == set(iso.catalogue())
    assert len(iso.catalogue()) == len(set(iso.catalogue()))


def test_every_spec_class_is_in_the_catalogue() -> None:
    """A spec class defined in isoparam.specs and forgotten in CATALOGUE would have no docs, no rules and no tests."""

    def below(spec: type) -> set[type]:
        return {spec}.union(*map(below, spec.__subclasses__()))

    ours = {spec for spec in below(iso.Spec) if spec.__module__.startswith("isoparam.specs") and not spec.__abstractmethods__}
    families = {spec for spec in ours if spec.__module__ == "isoparam.specs.base"}
    assert ours - families == set(iso.catalogue())


@pytest.mark.parametrize(
    ("spec", "value", "cure"),
    [
        (iso.Simplex(), [0.5, 0.25, 0.5], "its sum is 1.25: write value / value.sum()"),
        (iso.Simplex(), [1.5, -0.5], "start from project(spec, value)"),
        (iso.SumToZero(), [0.5, 0.5], "its sum is 1: write value - value.mean()"),
        (iso.UnitVector(), [3.0, 4.0], "its length is 5: divide by it"),
        (iso.UnitVector(), [0.0, 0.0], "it has no direction"),
        (iso.Positive(), -1.0, "start from project(spec, value)"),
        (iso.Positive(), np.nan, "give finite numbers"),
    ],
    ids=["sum", "sign", "sum-to-zero", "length", "no length", "scalar", "nan"],
)
def test_a_refused_value_comes_with_a_cure_that_helps(spec, value, cure):
    text = spec.refusal(np.asarray(value), np.asarray(False))
    assert text.startswith("value ")
    assert text.endswith(cure) or cure in text.rpartition("; ")[2]
