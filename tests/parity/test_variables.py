"""Losses that carry state: variables go from step to step, stop where the run stops, and are the same in both backends."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.backends import load
from isoparam.errors import BackendError, SpecError
from isoparam.objective import ModuleLoss
from isoparam.parity import compare
from isoparam.settings import plan_for
from parity.training import relative

FRAMEWORKS = {"torch": (torch.tensor, torch.float32, torch.int64), "jax": (jnp.array, jnp.float32, jnp.int32)}
DATA = {"a": np.random.default_rng(3).uniform(0.5, 2.0, 20)}


class Running(ModuleLoss):
    """Pulls x to the running mean of what it has seen, plus a wave of seed and step; counts its calls."""

    def __init__(self, backend, reads=("x",)):
        array, floating, whole = FRAMEWORKS[backend]
        self.backend, self.reads = backend, reads
        self.variables = {"mean": array([0.5], dtype=floating), "calls": array(0, dtype=whole)}

    def advance(self, values, variables, batch, seed, step):
        mean = 0.9 * variables["mean"] + 0.1 * batch["a"].mean()
        wave = 0.01 * FRAMEWORKS[self.backend][0]((3 * seed + step) % 7, dtype=mean.dtype)
        loss = ((values["x"] - mean - wave) ** 2).sum() + sum(values[name] ** 2 for name in self.reads[1:])
        return loss, {"mean": mean, "calls": variables["calls"] + 1}


def running(**changes):
    settings = {"name": "running", "constraints": {"x": iso.Positive()}, "init": {"x": 1.0}, "data": DATA, "batch_size": 4}
    return iso.Problem(**(settings | {"loss": {name: Running(name) for name in FRAMEWORKS}} | changes))


def train(backend, problem=None, **settings):
    settings = {"optimizer": iso.Adam(lr=0.01), "steps": 100} | settings
    return iso.train(problem or running(), backend=backend, **settings)


def test_both_backends_carry_the_same_variables():
    ours, theirs = (train(backend, steps=1000, seed=5) for backend in FRAMEWORKS)
    assert ours.variables["calls"] == theirs.variables["calls"] == 1000
    assert relative(theirs.variables["mean"], ours.variables["mean"]) < 1e-13
    assert ours.variables["mean"].dtype == theirs.variables["mean"].dtype == np.float64
    assert relative(theirs.values["x"], ours.values["x"]) < 1e-13
    assert relative(theirs.history["loss"], ours.history["loss"]) < 1e-13


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_the_mean_is_that_of_the_batches_in_their_order(backend):
    from isoparam.batches import data_order

    run = train(backend, steps=30)
    mean = 0.5
    for rows in data_order(0, 20, 4).indices(0, 30):
        mean = 0.9 * mean + 0.1 * DATA["a"][rows].mean()
    assert run.variables["mean"] == pytest.approx(mean, rel=1e-14)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_an_early_stop_leaves_the_variables_of_that_step(backend):
    stopped = train(backend, callbacks=[lambda row: row["step"] == 37])
    whole = train(backend, steps=37)
    assert stopped.steps == stopped.variables["calls"] == 37
    assert np.array_equal(stopped.variables["mean"], whole.variables["mean"])
    assert np.array_equal(stopped.values["x"], whole.values["x"])


@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_state_taken_up_again_goes_on_bit_for_bit(backend, dtype):
    problem = running()
    plan = plan_for(problem, iso.Adam(lr=0.01), 2, dtype, "cpu", None, 1)
    loop = load(backend).train.Loop(problem, plan)
    loop.advance(5)
    state, looked = loop.state(), loop.look()
    first, after = loop.advance(4), loop.state()
    # Another program, which may round a + b * c once or twice: a place of the terms, and the loss is a 200th of them.
    assert looked.loss == pytest.approx(first.loss[0], rel={"float64": 1e-13, "float32": 1e-4, "bfloat16": 0.1}[dtype])
    other = load(backend).train.Loop(problem, plan)
    other.load(state)
    assert all(np.array_equal(a, b) for a, b in zip(first, other.advance(4), strict=True))
    assert list(after["variables"]) == ["mean", "calls"]
    for name, array in after["variables"].items():
        assert np.array_equal(other.state()["variables"][name], array)
        assert array.dtype == state["variables"][name].dtype


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_what_was_given_is_never_touched(backend):
    loss = Running(backend)
    train(backend, running(loss=loss))
    train(backend, running(loss=loss))
    assert np.asarray(loss.variables["mean"]).tolist() == [0.5]
    assert int(loss.variables["calls"]) == 0


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_seed_reaches_the_loss(backend):
    losses = [float(train(backend, running(batch_size=None), steps=3, seed=seed).history["loss"][0]) for seed in (0, 1)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_a_plain_loss_has_no_variables(backend):
    assert train(backend, iso.problems.get("scalar"), steps=2).variables == {}


def test_compare_runs_module_losses():
    report = compare(running(), steps=50, optimizer=iso.Adam(lr=0.01)).check()
    assert report.steps == 50


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_a_misspelt_constraint_is_found_through_a_module_loss(backend):
    problem = running(constraints={"x": iso.Positive(), "scale": iso.Positive()}, loss=Running(backend))
    with pytest.raises(SpecError, match=r"constraints\['scale'\] names no parameter"):
        train(backend, problem)
    assert "scale" in train(backend, running(constraints=problem.constraints, loss=Running(backend, ("x", "scale")))).values


def test_a_module_loss_under_the_other_name_is_refused():
    with pytest.raises(BackendError, match=r"loss\['jax'\] was made by isoparam.torch.as_loss"):
        running(loss={"jax": Running("torch")})


class Growing(Running):
    def advance(self, values, variables, batch, seed, step):
        loss, after = super().advance(values, variables, batch, seed, step)
        return loss, after | {"mean": after["mean"][None]}


class Renaming(Running):
    def advance(self, values, variables, batch, seed, step):
        loss, after = super().advance(values, variables, batch, seed, step)
        return loss, {"mean": after["mean"]}


@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize(
    ("loss", "message"),
    [(Growing, r"variables\['mean'\] was .* of shape \(1,\) and came back"), (Renaming, "return the same names")],
    ids=["shape", "names"],
)
def test_variables_that_change_their_kind_are_refused(backend, loss, message):
    with pytest.raises(SpecError, match=message):
        train(backend, running(loss=loss(backend)))
