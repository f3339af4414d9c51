"""Checkpoints of other libraries read into JAX, and values written into nnx modules."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import isoparam as iso
from isoparam.errors import CheckpointError, DomainError, SpecError
from isoparam.jax import Constrained, attach, import_state, load_values, values
from jax_impl import importers

RAW = np.array([[0.3, -1.0, 2.0]])


@pytest.mark.parametrize("given", [jax.nn.sigmoid, iso.UnitInterval()], ids=["function", "spec"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_parametrized_entry_by_a_map(given, dtype: str) -> None:
    found = import_state({"parametrizations.w.original": RAW.astype(dtype), "b": np.zeros(1)}, {"w": given})
    assert found["w"].dtype == dtype  # also where x64 is off
    np.testing.assert_allclose(found["w"], 1 / (1 + np.exp(-RAW)), rtol=1e-6 if dtype == "float32" else 1e-15)
    assert found["b"].tolist() == [0.0]


def test_weight_norm_and_constraints_of_gpytorch_need_no_map() -> None:
    state = {
        "a.parametrizations.w.original0": np.array([[2.0], [3.0]]),
        "a.parametrizations.w.original1": np.array([[3.0, 4.0], [0.0, 1.0]]),
        "k.raw_scale": np.array([0.0, 30.0]),
        "k.raw_scale_constraint.lower_bound": np.array(1.0),
        "k.raw_scale_constraint.upper_bound": np.array(np.inf),
    }
    found = import_state(state)
    np.testing.assert_allclose(found["a.w"], [[1.2, 1.6], [0.0, 3.0]], rtol=1e-15)
    np.testing.assert_allclose(found["k.scale"], [1 + np.log(2), 31.0], rtol=1e-15)


WRONG = {
    "no map": ({"parametrizations.w.original": RAW}, {}, "'w' is computed from"),
    "no function": ({"w": RAW}, {"w": "exp"}, "must be a function or a spec"),
    "buffers": ({"parametrizations.w.original": RAW, "parametrizations.w.0.base": RAW}, {"w": jnp.exp}, "by isoparam.torch.im"),
    "a param store": ({"params": {}, "constraints": {}}, {}, "read it by isoparam.torch.import_state"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_missing_or_left_over_is_named(case: str) -> None:
    state, maps, message = WRONG[case]
    with pytest.raises((CheckpointError, SpecError), match=message):
        import_state(state, maps)


class Model(nnx.Module):
    share = Constrained(iso.UnitInterval())

    def __init__(self) -> None:
        self.share = np.array([0.25, 0.5])
        self.loc = nnx.Param(jnp.zeros(2))
        self.count = nnx.BatchStat(jnp.asarray(3))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))


def numbers(**changes) -> dict:
    return {"share": np.array([0.1, 0.9]), "loc": np.array([1.0, 2.0])} | changes


def test_values_of_a_module_load_back() -> None:
    model, other = Model(), Model()
    leaf = model.share_raw
    load_values(model, numbers())
    assert model.share_raw is leaf
    np.testing.assert_allclose(model.share, [0.1, 0.9], rtol=1e-6)
    load_values(other, values(model, include="all"))
    np.testing.assert_allclose(other.share_raw[...], leaf[...], rtol=1e-6)  # by way of the value, which is rounded
    load_values(other, {"share": jnp.array([0.5, 0.5])}, include="constrained")
    assert other.share_raw[...].tolist() == [0.0, 0.0]
    assert other.loc[...].tolist() == [1.0, 2.0]
    load_values(other, numbers(count=7))
    assert other.count[...] == 7


NOT_LOADED = {
    "unknown": (numbers(scale=1.0), CheckpointError, "'scale' is nothing to load in Model"),
    "missing": ({"share": np.ones(2) / 2}, CheckpointError, "Model has no value for 'loc'; give all of them"),
    "a shape": (numbers(loc=np.ones(3)), CheckpointError, r"'loc' has the shape \(3,\), but the module takes \(2,\)"),
    "a constrained shape": (numbers(share=np.ones(3) / 3), CheckpointError, r"'share' has the shape \(3,\)"),
    "outside": (numbers(share=np.array([0.5, 1.5])), DomainError, 'share: value 1.5 at .*start="project" begins'),
    "saturated": (numbers(share=np.array([0.5, 1.0])), DomainError, 'share: value 1. at .*start="project" begins'),
}


@pytest.mark.parametrize("case", NOT_LOADED)
def test_nothing_is_written_unless_all_fits(case: str) -> None:
    given, error, message = NOT_LOADED[case]
    model = Model()
    before = [np.asarray(leaf[...]) for leaf in (model.share_raw, model.loc, model.count)]
    with pytest.raises(error, match=message):
        load_values(model, given)
    for leaf, kept in zip((model.share_raw, model.loc, model.count), before, strict=True):
        np.testing.assert_array_equal(leaf[...], kept)


def test_a_saturated_value_starts_inside_when_asked() -> None:
    model = Model()
    load_values(model, numbers(share=np.array([0.5, 1.0])), start="project")
    np.testing.assert_allclose(model.share, [0.5, 0.995], rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"include": "some"}, {"start": "raw"}, {"module": 3.0}], ids=["include", "start", "no module"]
)
def test_other_arguments_are_refused(wrong: dict) -> None:
    with pytest.raises(SpecError, match=r"must be|expected"):
        load_values(**({"module": Model(), "values": numbers()} | wrong))


class Shared(nnx.Module):
    def __init__(self) -> None:
        self.one = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.two = nnx.Linear(2, 2, rngs=nnx.Rngs(1))
        self.two.kernel = self.one.kernel


def test_a_shared_parameter_has_one_value() -> None:
    net = Shared()
    attach(net, "one.kernel", iso.Positive(), start=1.0)
    state = {"one.kernel": np.full((2, 2), 2.0), "one.bias": np.zeros(2), "two.bias": np.zeros(2)}
    load_values(net, state)
    load_values(net, state | {"two.kernel": np.full((2, 2), 2.0)})
    np.testing.assert_allclose(net.two.kernel[...], 2.0, rtol=1e-6)
    with pytest.raises(CheckpointError, match=r"'one.kernel' and 'two.kernel' are one parameter"):
        load_values(net, state | {"two.kernel": np.ones((2, 2))})


class Halves(nnx.Module):
    one = Constrained(iso.Positive())
    two = Constrained(iso.Tied("one", transpose=True))

    def __init__(self) -> None:
        self.one = np.ones((2, 3))


def test_a_tied_name_may_be_given_or_left_out() -> None:
    model, one = Halves(), np.arange(1.0, 7.0).reshape(2, 3)
    for given in ({"one": one}, {"one": one, "two": one.T}):
        load_values(model, given)
        np.testing.assert_allclose(model.two, one.T, rtol=1e-6)
    with pytest.raises(CheckpointError, match=r"'two' is tied to 'one'"):
        load_values(model, {"one": one, "two": 2 * one.T})


def test_examples() -> None:
    found = doctest.testmod(importers)
    assert found.attempted
    assert not found.failed
