"""Problems and plans are checked where they are made, without a framework."""

import copy
import doctest
import pickle
import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import isoparam as iso
from isoparam.batches import DataOrder
from isoparam.errors import BackendError, SpecError
from isoparam.layout import layout
from isoparam.plan import columns, history


def loss(values, batch):
    return values["x"]


def problem(**changes):
    return iso.Problem(**({"name": "p", "constraints": {"x": iso.Positive()}, "init": {"x": 1.0}, "loss": loss} | changes))


BAD = {
    "integer start": ({"init": {"x": 1}}, "init['x']=1 is of dtype int64, and parameters are floating; write 1.0"),
    "integer array": ({"init": {"x": np.array([1, 2])}}, "write it with .astype(float)"),
    "boolean start": ({"init": {"x": True}}, "parameters are floating; write 1.0"),
    "text start": ({"init": {"x": "a"}}, "init['x']='a' must be a float or an array of floats"),
    "nan start": ({"init": {"x": np.array([1.0, np.nan])}}, "init['x'] is nan at (1,); give a finite start"),
    "infinite start": ({"init": {"x": np.inf}}, "init['x'] is inf"),
    "empty start": ({"init": {"x": np.empty((0, 2))}}, "init['x'] is an empty array of shape (0, 2)"),
    "no parameters": ({"init": {}, "constraints": {}}, "Problem 'p' has no parameters"),
    "reserved name": ({"init": {"x": 1.0, "loss": 1.0}}, "no parameter may be called 'loss'"),
    "misspelt constraint": ({"constraints": {"y*": iso.Positive()}}, "constraints['y*'] matches no parameter"),
    "resembling constraint": (
        {"constraints": {"sgima": iso.Positive()}, "init": {"sigma": 1.0}},
        "constraints['sgima'] matches no name in init; did you mean 'sigma'?",
    ),
    "no spec": ({"constraints": {"x": "positive"}}, "constraints['x'] must be a spec"),
    "wrong shape": ({"constraints": {"x": iso.Simplex()}}, "init['x']: Simplex(axis=-1): a value of shape () has no axis -1"),
    "bounds of another shape": (
        {"constraints": {"x": iso.Interval([0.0, 0.0], 1)}, "init": {"x": np.ones(3) / 2}},
        "init['x']: Interval",
    ),
    "vector without start": ({"constraints": {"x": iso.Simplex()}, "init": None}, "init['x'] is missing, and Simplex(axis=-1)"),
    "free without start": ({"init": {"x": None}, "constraints": {}}, "an unconstrained parameter has no shape by itself"),
    "nan in data": ({"data": {"a": np.array([[1.0], [np.nan]])}}, "data['a'] is nan at (1, 0); drop or fill such rows"),
    "no data": ({"data": {}}, "data={} holds no array"),
    "empty data": ({"data": {"a": np.empty(0)}}, "data['a'] of shape (0,) is empty"),
    "scalar data": ({"data": {"a": 1.0}}, "data['a'] of shape () is empty or has no first axis"),
    "text data": ({"data": {"a": np.array(["b"])}}, "data['a'] has dtype <U1"),
    "uneven data": ({"data": {"a": np.ones(2), "b": np.ones(3)}}, "different lengths along their first axis: {'a': 2, 'b': 3}"),
    "large batch": ({"data": {"a": np.ones(3)}, "batch_size": 4}, "batch_size=4 is larger than the data, which has 3 rows"),
    "batch of nothing": ({"data": {"a": np.ones(3)}, "batch_size": 0}, "batch_size=0 must be a whole number, at least 1"),
    "batch without data": ({"batch_size": 2}, "batch_size=2 without data"),
    "no loss": ({"loss": 3}, "loss=3 must be a callable loss(values, batch)"),
    "no loss inside": ({"loss": {"torch": 3}}, "must hold a callable for each backend"),
    "no recipe": ({"recipe": 10}, "recipe=10 must be an isoparam.Recipe"),
    "no name": ({"name": ""}, "name='' must be a text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, message = BAD[case]
    with pytest.raises(SpecError, match=re.escape(message)):
        problem(**changes)


def test_unknown_backend_of_a_loss():
    with pytest.raises(BackendError, match="loss: unknown backend 'tensorflow'"):
        problem(loss={"tensorflow": loss})


def test_missing_loss_is_a_backend_error():
    assert problem(loss={"torch": loss}).backends == ("torch",)
    with pytest.raises(BackendError, match="problem 'p' has no loss for 'jax', only for 'torch'"):
        problem(loss={"torch": loss}).loss_for("jax")


def test_one_callable_serves_both():
    assert problem().backends == ("torch", "jax")
    assert problem().loss_for("jax") is loss


def test_left_out_scalars_take_the_shape_of_their_bounds():
    made = problem(init=None, constraints={"x": iso.Positive(), "y": iso.Interval([0, 0], 1)})
    assert made.shapes == {"x": (), "y": (2,)}


@pytest.mark.parametrize(
    "arguments",
    [{"steps": 0}, {"steps": 1.5}, {"tol_grad": -1}, {"tol_grad": float("nan")}, {"dtype": "float16"}, {"schedule": "cosine"},
     {"optimizer": "adam"}],
    ids=str,
)  # fmt: skip
def test_recipe_refuses(arguments):
    with pytest.raises(SpecError, match=next(iter(arguments))):
        iso.Recipe(**({"optimizer": iso.Adam(), "steps": 10} | arguments))


def test_inputs_are_kept_apart_from_the_callers_arrays():
    start = np.array([1.0, 2.0])
    made = problem(init={"x": start})
    start[0] = 9.0
    assert made.init["x"][0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        made.init["x"][0] = 9.0


def test_names_and_get():
    assert iso.problems.names()[:6] == ("scalar", "linkage", "faithful", "garch", "hmm", "abo")
    for name in iso.problems.names():
        built_in = iso.problems.get(name)
        assert built_in.source
        assert built_in.recipe
        assert set(built_in.published) == set(built_in.shapes)
    with pytest.raises(SpecError, match="unknown problem 'linkgae'; did you mean 'linkage'"):
        iso.problems.get("linkgae")


@pytest.mark.parametrize("arguments", [
    ({"backend": "tensorflow"}, BackendError, "unknown backend 'tensorflow'"),
    ({"numerics": "exact", "dtype": "float64"}, SpecError, "numerics='exact' is for dtype='float32'"),
    ({"numerics": "exact", "optimizer": iso.LBFGS()}, SpecError, "numerics='exact': LBFGS adds up in another order"),
    ({"numerics": "exact", "device": "cuda"}, BackendError, "numerics='exact' is for an x86-64 processor; device='cuda'"),
    ({"numerics": "loose"}, SpecError, "unknown numerics='loose'"),
    ({"schedule": "cosine"}, SpecError, "schedule='cosine' is no schedule of isoparam"),
    ({"device": "tpu"}, BackendError, "unknown device='tpu'"),
], ids=lambda arguments: str(arguments[0]))  # fmt: skip
def test_train_refuses_before_it_loads_a_framework(arguments):
    changes, error, message = arguments
    with pytest.raises(error, match=message):
        iso.train(problem(), **({"backend": "nothing", "optimizer": iso.SGD(), "steps": 1} | changes))


def test_only_problems_are_trained():
    with pytest.raises(SpecError, match=r"problem='scalar' must be an isoparam\.Problem"):
        iso.train("scalar", backend="torch")


def test_data_order_sees_each_row_equally_often_and_can_be_taken_up_anywhere():
    order = DataOrder(seed=5, rows=10, batch_size=4)
    whole = order.indices(0, 25)
    assert whole.dtype == np.int32
    assert np.bincount(whole.reshape(-1)).tolist() == [10] * 10
    assert sorted(whole.reshape(-1)[:10]) == list(range(10))
    assert not np.array_equal(whole.reshape(-1)[:10], whole.reshape(-1)[10:20])
    for first in (0, 1, 7, 24):
        assert np.array_equal(DataOrder(5, 10, 4).indices(first, 25 - first), whole[first:])
    assert not np.array_equal(DataOrder(6, 10, 4).indices(0, 25), whole)


def test_elementwise_specs_share_a_group():
    shapes = {"a": (), "w": (3,), "b": (2, 2), "free": (5,), "c": (2,)}
    specs = {
        "a": iso.Positive(), "b": iso.Positive(), "w": iso.Simplex(), "c": iso.Interval([0, 1], 2),
    }  # fmt: skip
    plan = layout(shapes, specs)
    assert [[entry.name for entry in group.entries] for group in plan.groups] == [["a", "b"], ["w"], ["free"], ["c"]]
    assert plan.size == 1 + 4 + 2 + 5 + 2
    tree = {entry.name: np.random.default_rng(0).random(entry.raw_shape) for group in plan.groups for entry in group.entries}
    back = plan.unflatten(plan.flatten(tree))
    assert list(back) == list(shapes)
    assert all(np.array_equal(back[name], tree[name]) for name in tree)


def test_large_values_are_recorded_as_a_summary():
    shapes = {"a": (2,), "big": (100,), "free": ()}
    assert [column.name for column in columns(shapes, ["a", "big"], None)] == ["a", "big"]
    assert columns(shapes, ["a"], ()) == ()
    chosen = columns(shapes, ["a"], ("big", "fr*"))
    rows = history(chosen, np.arange(2), np.ones(2), np.ones(2), np.arange(8.0).reshape(2, 4))
    assert list(rows) == ["step", "loss", "grad_norm", "big.min", "big.mean", "big.max", "free"]
    assert rows["free"].tolist() == [3, 7]
    with pytest.raises(SpecError, match="record='z' matches no parameter; there are: 'a', 'big', 'free'"):
        columns(shapes, [], ("z",))
    with pytest.raises(SpecError, match=r"write record=\('a',\)"):
        columns(shapes, [], "a")


WITH_EXAMPLES = [
    *(f"isoparam.optimizers.{name}" for name in ("adam", "lbfgs", "matrices", "moments", "sgd", "signs", "squares")),
    *(f"isoparam.schedules.{name}" for name in ("combined", "cosine", "cycles", "factors", "plateau")),
    "isoparam.problem",
    "isoparam.problems",
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed


def test_a_problem_is_pickled_and_copied_by_content() -> None:
    problem = iso.problems.get("linkage")
    for again in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem)):
        assert again.name == problem.name
        assert again.specs == problem.specs
        assert (again.data["count"] == problem.data["count"]).all()
        assert again.published == problem.published


@pytest.mark.parametrize(
    ("key", "value"), [("constraints", None), ("constraints", [iso.Positive()]), ("init", 0.5), ("data", np.ones(3))], ids=str
)
def test_a_dict_that_is_none_is_refused_by_name(key: str, value: Any) -> None:
    arguments = {"name": "p", "constraints": {"x": iso.Positive()}, "init": {"x": 1.0}, "loss": lambda v, b: v["x"]}
    with pytest.raises(iso.errors.SpecError, match=f"{key} must be a dict"):
        iso.Problem(**(arguments | {key: value}))


def test_the_name_of_a_problem_is_no_problem():
    with pytest.raises(SpecError, match=r"problem='scalar' must be an isoparam\.Problem; write isoparam\.problems\.get"):
        iso.parity.compare("scalar")
