"""Losses of the built-in problems, and what stands in front of them: start, values and gradients at one point."""

from typing import Any

import numpy as np
import pytest

import isoparam as iso
from isoparam.backends import load
from parity.training import mixed, relative

PROBLEMS = [*(iso.problems.get(name) for name in iso.problems.names()), mixed()]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_start_and_evaluation_agree(problem):
    torch, jax = load("torch").train, load("jax").train
    raw = torch.start(problem)
    for name, value in jax.start(problem).items():
        assert relative(value, raw[name]) < 1e-15
    a, b = torch.evaluate(problem, raw), jax.evaluate(problem, raw)
    assert list(a.values) == list(b.values) == list(problem.shapes)
    assert relative(b.loss, a.loss) < 1e-14
    for name in raw:
        assert a.grads[name].shape == b.grads[name].shape == raw[name].shape
        assert relative(b.values[name], a.values[name]) < 1e-15
        assert relative(b.grads[name], a.grads[name]) < 1e-13


def test_losses_have_equal_names():
    assert set(load("torch").problems.LOSSES) == set(load("jax").problems.LOSSES) == set(iso.problems.names())


def test_published_values_are_stationary():
    """The derivative of the likelihood at (15 + sqrt 53809)/394, by hand: 125/(2 + t) - 38/(1 - t) + 34/t."""
    t = iso.problems.get("linkage").published["t"]
    assert abs(125 / (2 + t) - 38 / (1 - t) + 34 / t) < 1e-12


def test_evaluate_takes_a_batch_of_its_own():
    problem = mixed()
    batch = {name: array[:5] for name, array in problem.data.items()}
    raw = load("torch").train.start(problem)
    whole, part = (load("jax").train.evaluate(problem, raw, rows) for rows in (None, batch))
    assert whole.loss != part.loss
    assert np.array_equal(whole.values["weights"], part.values["weights"])


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_evaluate_refuses_other_parameters(backend):
    with pytest.raises(iso.errors.SpecError, match=r"raw has shapes .*; problem 'scalar' has"):
        load(backend).train.evaluate(iso.problems.get("scalar"), {"x": np.zeros(2)})


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_constraint_that_neither_init_nor_the_loss_knows_is_refused(backend: str) -> None:
    loss = {"torch": lambda values, batch: values["x"] ** 2, "jax": lambda values, batch: values["x"] ** 2}
    problem = iso.Problem(name="p", constraints={"yy": iso.Positive()}, init={"x": 0.5}, loss=loss)
    with pytest.raises(iso.errors.SpecError, match=r"constraints\['yy'\] names no parameter.*did you mean 'x'"):
        iso.train(problem, backend, optimizer=iso.SGD(lr=0.1), steps=1)


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize(
    "read", [lambda v: v["x"] * v["y"], lambda v: sum({**v}.values()), lambda v: (lambda x, y: x * y)(**v)]
)
def test_a_constrained_name_that_only_the_loss_knows_starts_at_raw_zero(backend: str, read: Any) -> None:
    loss = {"torch": lambda values, batch: read(values), "jax": lambda values, batch: read(values)}
    problem = iso.Problem(name="p", constraints={"y": iso.Interval(0, 2)}, init={"x": 0.5}, loss=loss)
    run = iso.train(problem, backend, optimizer=iso.SGD(lr=0.1), steps=1)
    assert run.history["y"][0] == 1.0
