"""constrain, unconstrain and log_jacobian on torch dicts."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import constrain, forward, initial, log_abs_det, log_jacobian, unconstrain

Pair = namedtuple("Pair", ["left", "right"])
CONSTRAINTS = {"mix": iso.Simplex(), "net.*.scale": iso.Positive(), "net.0.loc": iso.Interval(-1, 1)}


def tree(dtype=torch.float64):
    return {
        "net": [{"scale": torch.tensor([0.5, -2.0], dtype=dtype), "loc": torch.tensor(0.3, dtype=dtype)}],
        "mix": torch.tensor([1.0, -1.0], dtype=dtype),
        "free": torch.tensor([7.0], dtype=dtype),
        "count": torch.tensor(3),
        "label": "run",
        "pair": Pair((torch.tensor(1.0, dtype=dtype),), None),
    }


def test_structure_order_and_untouched_leaves():
    raw = tree()
    value = constrain(raw, CONSTRAINTS)
    assert list(value) == list(raw)
    assert value["free"] is raw["free"]
    assert value["count"] is raw["count"]
    assert value["label"] == "run"
    assert type(value["pair"]) is Pair
    assert value["pair"].left[0] is raw["pair"].left[0]
    assert torch.equal(value["mix"], forward(iso.Simplex(), raw["mix"]))
    assert torch.equal(value["net"][0]["scale"], forward(iso.Positive(), raw["net"][0]["scale"]))
    assert torch.equal(value["net"][0]["loc"], forward(iso.Interval(-1, 1), raw["net"][0]["loc"]))


def test_round_trip():
    raw = tree()
    back = unconstrain(constrain(raw, CONSTRAINTS), CONSTRAINTS)
    for one, other in ((raw["mix"], back["mix"]), (raw["net"][0]["scale"], back["net"][0]["scale"])):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=0)


def test_state_dict_keeps_its_type_and_dotted_keys():
    raw = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()
    value = constrain(raw, {"*.weight": iso.Positive(), "0.bias": iso.Interval(-1, 1)})
    assert type(value) is OrderedDict
    assert list(value) == list(raw)
    assert value["1.weight"].min() > 0
    assert value["1.num_batches_tracked"] is raw["1.num_batches_tracked"]


def test_log_jacobian_is_the_sum_over_constrained_leaves():
    raw = tree()
    expected = (
        log_abs_det(iso.Simplex(), raw["mix"])
        + log_abs_det(iso.Positive(), raw["net"][0]["scale"]).sum()
        + log_abs_det(iso.Interval(-1, 1), raw["net"][0]["loc"])
    )
    torch.testing.assert_close(log_jacobian(raw, CONSTRAINTS), expected, rtol=1e-15, atol=0)


def test_log_jacobian_agrees_with_autodiff():
    raw = {"a": torch.tensor([0.5, -2.0], dtype=torch.float64), "b": torch.tensor(0.3, dtype=torch.float64)}
    constraints = {"a": iso.Ordered(), "b": iso.Interval(-1, 4)}
    dense_a = torch.func.jacfwd(lambda a: constrain({**raw, "a": a}, constraints)["a"])(raw["a"])
    dense_b = torch.func.grad(lambda b: constrain({**raw, "b": b}, constraints)["b"])(raw["b"])
    expected = torch.linalg.slogdet(dense_a).logabsdet + dense_b.log()
    torch.testing.assert_close(log_jacobian(raw, constraints), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_log_jacobian_has_the_dtype_of_the_tree(dtype):
    for constraints in (CONSTRAINTS, {}):
        total = log_jacobian(tree(dtype), constraints)
        assert (total.shape, total.dtype) == ((), dtype)
    assert total.item() == 0.0
    mixed = {"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.float64)}
    assert log_jacobian(mixed, {"a": iso.Positive()}).dtype == torch.float64
    assert log_jacobian({}, {}).item() == 0.0


@pytest.mark.parametrize(
    ("constraints", "text"),
    [
        ({"mx": iso.Simplex()}, r"constraints\['mx'\] matches no parameter; did you mean 'mix'\?"),
        ({"mix": iso.Simplex(), "m*": iso.Real()}, "'mix' is matched twice"),
        ({"count": iso.Positive()}, r"count: Positive\(link='softplus'\) needs a floating tensor, got torch.int64"),
        ({"label": iso.Positive()}, "label: .* got str"),
        ({"pair.1": iso.Positive()}, r"pair\.1: .* got NoneType"),
        ({"net.0.loc": iso.Simplex()}, r"net\.0\.loc: Simplex\(axis=-1\): a raw of shape \(\) has no axis -1"),
        ({"mix": "simplex"}, r"constraints\['mix'\] must be a spec"),
        (iso.Simplex(), "constraints must be a dict"),
    ],
    ids=["unknown", "twice", "integer", "text", "None", "shape", "no spec", "no dict"],
)
@pytest.mark.parametrize("verb", [constrain, unconstrain, log_jacobian])
def test_what_cannot_be_constrained(verb, constraints, text):
    with pytest.raises(SpecError, match=text.replace("a raw of", "a (raw|value) of")):
        verb(tree(), constraints)


def test_two_leaves_of_one_name():
    with pytest.raises(SpecError, match=r"two leaves are both called 'a\.b'"):
        constrain({"a": {"b": torch.zeros(1)}, "a.b": torch.zeros(1)}, {"a.b": iso.Positive()})


def test_an_outside_value_is_named():
    with pytest.raises(DomainError, match=r"^net\.0\.loc: value 2\. is not inside"):
        unconstrain({"net": [{"loc": torch.tensor(2.0)}]}, {"net.0.loc": iso.Interval(0, 1)})


def loss(raw):
    value = constrain(raw, CONSTRAINTS)
    return (value["mix"] ** 2).sum() + value["net"][0]["scale"].sum() + value["free"].sum() + log_jacobian(raw, CONSTRAINTS)


def numeric(dtype=torch.float64):
    return {name: tree(dtype)[name] for name in ("net", "mix", "free")}


def test_func_grad_vmap_and_jvp():
    raw = numeric()
    grads = torch.func.grad(loss)(raw)
    assert grads["free"].item() == 1.0
    assert torch.all(grads["mix"] != 0)
    rows = torch.stack([raw["mix"], 2 * raw["mix"]])
    batched = torch.func.vmap(lambda mix: loss({**raw, "mix": mix}))(rows)
    torch.testing.assert_close(batched, torch.stack([loss({**raw, "mix": mix}) for mix in rows]), rtol=1e-14, atol=0)
    _, tangent = torch.func.jvp(lambda mix: loss({**raw, "mix": mix}), (raw["mix"],), (torch.ones(2, dtype=torch.float64),))
    torch.testing.assert_close(tangent, grads["mix"].sum(), rtol=1e-13, atol=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it loads the compiler
@pytest.mark.parametrize("container", [dict, OrderedDict])
def test_compiled_without_a_graph_break(container):
    raw = container(numeric())
    compiled = torch.compile(lambda raw: constrain(raw, CONSTRAINTS), fullgraph=True, backend="eager")(raw)
    assert type(compiled) is container
    assert torch.equal(compiled["mix"], constrain(raw, CONSTRAINTS)["mix"])
    torch.testing.assert_close(torch.compile(loss, fullgraph=True, backend="eager")(raw), loss(raw), rtol=1e-14, atol=0)


def test_initial_of_a_nested_dict():
    specs = {"net": {"scale": iso.Positive(), "mix": iso.Simplex()}, "free": iso.Real()}
    shapes = {"net": {"scale": (2,), "mix": (3,)}, "free": ()}
    raw = initial(specs, shapes, np.random.default_rng(1), torch.float64)
    drawn = np.random.default_rng(1)
    for one, shape in ((raw["net"]["scale"], (2,)), (raw["net"]["mix"], (2,)), (raw["free"], ())):
        np.testing.assert_array_equal(one, drawn.standard_normal(shape))
    value = constrain(raw, {"net.scale": iso.Positive(), "net.mix": iso.Simplex()})
    assert value["net"]["mix"].sum().item() == pytest.approx(1.0, rel=1e-15)
