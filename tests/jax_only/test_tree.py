"""constrain, unconstrain and log_jacobian on every kind of JAX pytree."""

from collections import namedtuple
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from flax.core import FrozenDict

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.jax import constrain, forward, initial, log_abs_det, log_jacobian, unconstrain

Pair = namedtuple("Pair", ["left", "right"])
CONSTRAINTS = {"mix": iso.Simplex(), "net.*.scale": iso.Positive(), "net.0.loc": iso.Interval(-1, 1)}


@jax.tree_util.register_dataclass
@dataclass
class Scale:
    """A registered dataclass, as Equinox modules are."""

    scale: jax.Array
    inner: dict
    nothing: None = None


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def tree(dtype="float64"):
    return {
        "net": [{"scale": jnp.asarray([0.5, -2.0], dtype), "loc": jnp.asarray(0.3, dtype)}],
        "mix": jnp.asarray([1.0, -1.0], dtype),
        "free": jnp.asarray([7.0], dtype),
        "count": jnp.asarray(3),
        "key": jax.random.key(0),
        "label": "run",
        "pair": Pair((jnp.asarray(1.0, dtype),), None),
    }


def test_structure_and_untouched_leaves():
    raw = tree()
    value = constrain(raw, CONSTRAINTS)
    assert jax.tree.structure(value) == jax.tree.structure(raw)
    assert value["free"] is raw["free"]
    assert value["count"] is raw["count"]
    assert value["key"] is raw["key"]
    assert value["label"] == "run"
    np.testing.assert_array_equal(value["mix"], forward(iso.Simplex(), raw["mix"]))
    np.testing.assert_array_equal(value["net"][0]["scale"], forward(iso.Positive(), raw["net"][0]["scale"]))
    np.testing.assert_array_equal(value["net"][0]["loc"], forward(iso.Interval(-1, 1), raw["net"][0]["loc"]))


def test_round_trip():
    raw = tree()
    back = unconstrain(constrain(raw, CONSTRAINTS), CONSTRAINTS)
    np.testing.assert_allclose(back["mix"], raw["mix"], rtol=1e-14)
    np.testing.assert_allclose(back["net"][0]["scale"], raw["net"][0]["scale"], rtol=1e-14)


@pytest.mark.parametrize("freeze", [dict, FrozenDict], ids=["dict", "FrozenDict"])
def test_linen_params(freeze):
    variables = freeze(linen.Dense(3, param_dtype=jnp.float64).init(jax.random.key(0), jnp.ones((1, 2))))
    value = constrain(variables, {"params.kernel": iso.Positive()})
    assert jax.tree.structure(value) == jax.tree.structure(variables)
    np.testing.assert_array_equal(value["params"]["kernel"], forward(iso.Positive(), variables["params"]["kernel"]))
    np.testing.assert_array_equal(value["params"]["bias"], variables["params"]["bias"])


def test_nnx_state_keeps_types_and_metadata_and_shares_nothing():
    layer = nnx.Dict(scale=nnx.Param(jnp.asarray([0.5, -1.0]), note="kept"), mean=nnx.BatchStat(jnp.zeros(2)))
    graphdef, raw = nnx.split(layer)
    value = constrain(raw, {"scale": iso.Positive()})
    assert jax.tree.structure(value) == jax.tree.structure(raw)
    assert type(value["scale"]) is nnx.Param
    assert type(value["mean"]) is nnx.BatchStat
    assert value["scale"].get_metadata()["note"] == "kept"
    np.testing.assert_array_equal(value["scale"][...], forward(iso.Positive(), raw["scale"][...]))
    merged = nnx.merge(graphdef, value)
    merged.mean[...] = jnp.ones(2)
    assert raw["mean"][...].tolist() == [0.0, 0.0]


def test_nnx_module_as_a_tree():
    module = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Param(jnp.zeros(2))])
    value = constrain(module, {"*.kernel": iso.Positive(), "1": iso.Simplex()})
    assert type(value) is nnx.List
    assert value[0].kernel[...].min() > 0
    assert value[1][...].tolist() == pytest.approx([1 / 3] * 3)
    assert module[1][...].tolist() == [0.0, 0.0]


def test_registered_dataclass():
    raw = Scale(jnp.asarray(0.5), {"a": jnp.zeros(2)})
    value = constrain(raw, {"scale": iso.Positive(), "inner.a": iso.Simplex()})
    assert type(value) is Scale
    assert value.nothing is None
    assert value.scale == forward(iso.Positive(), raw.scale)
    assert value.inner["a"].shape == (3,)


def test_log_jacobian_is_the_sum_over_constrained_leaves():
    raw = tree()
    expected = (
        log_abs_det(iso.Simplex(), raw["mix"])
        + log_abs_det(iso.Positive(), raw["net"][0]["scale"]).sum()
        + log_abs_det(iso.Interval(-1, 1), raw["net"][0]["loc"])
    )
    np.testing.assert_allclose(log_jacobian(raw, CONSTRAINTS), expected, rtol=1e-15)
    state = nnx.state(nnx.List([nnx.Param(raw["mix"])]))
    assert log_jacobian(state, {"0": iso.Simplex()}) == log_abs_det(iso.Simplex(), raw["mix"])


def test_log_jacobian_agrees_with_autodiff():
    raw = {"a": jnp.asarray([0.5, -2.0]), "b": jnp.asarray(0.3)}
    constraints = {"a": iso.Ordered(), "b": iso.Interval(-1, 4)}
    dense = jax.jacfwd(lambda raw: constrain(raw, constraints))(raw)
    expected = jnp.linalg.slogdet(dense["a"]["a"])[1] + jnp.log(dense["b"]["b"])
    np.testing.assert_allclose(log_jacobian(raw, constraints), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_log_jacobian_has_the_dtype_of_the_tree(dtype):
    for constraints in (CONSTRAINTS, {}):
        total = log_jacobian(tree(dtype), constraints)
        assert (total.shape, total.dtype) == ((), dtype)
    assert total.item() == 0.0
    mixed = {"a": jnp.zeros(2, "float32"), "b": jnp.zeros(2)}
    assert log_jacobian(mixed, {"a": iso.Positive()}).dtype == "float64"
    assert log_jacobian({}, {}).item() == 0.0


def test_float64_outside_of_x64():
    raw = tree()
    with jax.enable_x64(False):
        assert constrain(raw, CONSTRAINTS)["mix"].dtype == "float64"
        assert log_jacobian(raw, CONSTRAINTS).dtype == "float64"
        assert log_jacobian(raw, {}).dtype == "float64"
        assert log_jacobian({}, {}).dtype == "float32"


@pytest.mark.parametrize(
    ("constraints", "text"),
    [
        ({"mx": iso.Simplex()}, r"constraints\['mx'\] matches no parameter; did you mean 'mix'\?"),
        ({"mix": iso.Simplex(), "m*": iso.Real()}, "'mix' is matched twice"),
        ({"count": iso.Positive()}, r"count: Positive\(link='softplus'\) needs a floating array, got int64"),
        ({"key": iso.Positive()}, r"key: .* got key<fry>"),
        ({"label": iso.Positive()}, "label: .* got str"),
        ({"pair.right": iso.Positive()}, r"constraints\['pair.right'\] matches no parameter"),
        ({"net.0.loc": iso.Simplex()}, r"net\.0\.loc: Simplex\(axis=-1\): a (raw|value) of shape \(\) has no axis -1"),
        ({"mix": "simplex"}, r"constraints\['mix'\] must be a spec"),
        (iso.Simplex(), "constraints must be a dict"),
    ],
    ids=["unknown", "twice", "integer", "random key", "text", "None", "shape", "no spec", "no dict"],
)
@pytest.mark.parametrize("verb", [constrain, unconstrain, log_jacobian])
def test_what_cannot_be_constrained(verb, constraints, text):
    with pytest.raises(SpecError, match=text):
        verb(tree(), constraints)


def test_two_leaves_of_one_name():
    with pytest.raises(SpecError, match=r"two leaves are both called 'a\.b'"):
        constrain({"a": {"b": jnp.zeros(1)}, "a.b": jnp.zeros(1)}, {"a.b": iso.Positive()})


def test_an_outside_value_is_named_and_nan_under_jit():
    outside = {"net": [{"loc": jnp.asarray(2.0)}]}
    constraints = {"net.0.loc": iso.Interval(0, 1)}
    with pytest.raises(DomainError, match=r"^net\.0\.loc: value 2\. is not inside"):
        unconstrain(outside, constraints)
    assert jnp.isnan(jax.jit(lambda values: unconstrain(values, constraints))(outside)["net"][0]["loc"])


def loss(raw):
    value = constrain(raw, CONSTRAINTS)
    return (value["mix"] ** 2).sum() + value["net"][0]["scale"].sum() + value["free"].sum() + log_jacobian(raw, CONSTRAINTS)


def test_jit_grad_vmap_and_jvp():
    raw = {name: tree()[name] for name in ("net", "mix", "free")}
    grads = jax.grad(loss)(raw)
    assert grads["free"].item() == 1.0
    assert jnp.all(grads["mix"] != 0)
    np.testing.assert_allclose(jax.jit(loss)(raw), loss(raw), rtol=1e-14)
    rows = jnp.stack([raw["mix"], 2 * raw["mix"]])
    batched = jax.vmap(lambda mix: loss({**raw, "mix": mix}))(rows)
    np.testing.assert_allclose(batched, [loss({**raw, "mix": mix}) for mix in rows], rtol=1e-14)
    _, tangent = jax.jvp(lambda mix: loss({**raw, "mix": mix}), (raw["mix"],), (jnp.ones(2),))
    np.testing.assert_allclose(tangent, grads["mix"].sum(), rtol=1e-13)


def test_initial_of_a_nested_dict():
    specs = {"net": {"scale": iso.Positive(), "mix": iso.Simplex()}, "free": iso.Real()}
    shapes = {"net": {"scale": (2,), "mix": (3,)}, "free": ()}
    raw = initial(specs, shapes, np.random.default_rng(1), "float64")
    drawn = np.random.default_rng(1)
    for one, shape in ((raw["net"]["scale"], (2,)), (raw["net"]["mix"], (2,)), (raw["free"], ())):
        np.testing.assert_array_equal(one, drawn.standard_normal(shape))
    value = constrain(raw, {"net.scale": iso.Positive(), "net.mix": iso.Simplex()})
    assert value["net"]["mix"].sum().item() == pytest.approx(1.0, rel=1e-15)
