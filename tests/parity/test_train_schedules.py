"""Schedules in training: both backends take the rates of torch's scheduler, and the steps that they lead to."""

import numpy as np
import pytest
import torch

import isoparam as iso
from parity.training import mixed, relative
from torch_impl.optim import optimizer

ROWS = {
    "warm-cosine-adamw": (
        iso.AdamW(lr=0.05),
        iso.SequentialLR((iso.LinearLR(0.1, total_iters=10), iso.CosineAnnealingLR(T_max=60)), milestones=(10,)),
    ),
    "one-cycle-sgd": (iso.SGD(), iso.OneCycleLR(0.1, total_steps=90)),
    "cyclic-adam": (iso.Adam(), iso.CyclicLR(1e-3, 0.1, step_size_up=9)),
    "step-rmsprop": (iso.RMSprop(momentum=0.5), iso.StepLR(20, gamma=0.5)),
    "polynomial-nadam": (iso.NAdam(), iso.PolynomialLR(total_iters=70, power=2)),
    "exponential-adafactor": (iso.Adafactor(), iso.ExponentialLR(0.97)),
}


def both(problem, **settings):
    return [iso.train(problem, backend=backend, **settings) for backend in ("torch", "jax")]


def by_hand(spec, schedule, steps, dtype):
    """The steps of a free vector by the genuine optimizer and scheduler."""
    leaf = torch.tensor([[0.5, -1.0], [2.0, 0.1]], dtype=dtype, requires_grad=True)
    made, scheduler = optimizer(spec, {"x": leaf}, schedule)
    for _ in range(steps):
        made.zero_grad()
        ((leaf - 0.3) ** 4).sum().backward()
        made.step()
        scheduler.step()
    return leaf.detach().numpy()


def quartic():
    return iso.Problem(name="quartic", constraints={}, init={"x": np.array([[0.5, -1.0], [2.0, 0.1]])},
                       loss=lambda values, batch: ((values["x"] - 0.3) ** 4).sum())  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_training_is_that_of_the_genuine_optimizer_and_scheduler(name):
    spec, schedule = ROWS[name]
    expected = by_hand(spec, schedule, 80, torch.float64)
    for run in both(quartic(), optimizer=spec, schedule=schedule, steps=80):
        assert relative(run.values["x"], expected) < 1e-13
    assert relative(expected, iso.train(quartic(), "torch", optimizer=spec, steps=80).values["x"]) > 1e-3


def test_rates_keep_their_digits_in_float32():
    """In a program without float64 the rate comes in two halves."""
    spec, schedule = iso.Adam(lr=0.1 + 1e-9), iso.ExponentialLR(0.99)
    expected = by_hand(spec, schedule, 80, torch.float32)
    for run in both(quartic(), optimizer=spec, schedule=schedule, steps=80, dtype="float32"):
        assert relative(run.values["x"], expected) < 4e-7


def test_a_replayed_chunk_takes_its_rates_again():
    spec, schedule = iso.Adam(), iso.OneCycleLR(0.1, total_steps=200)
    runs = both(mixed(), optimizer=spec, schedule=schedule, steps=150, callbacks=[lambda row: row["step"] == 33])
    whole = iso.train(mixed(), "torch", optimizer=spec, schedule=schedule, steps=33)
    for name, value in whole.raw.items():
        assert np.array_equal(runs[0].raw[name], value), name
        assert relative(runs[1].raw[name], value) < 1e-13, name


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_lbfgs_takes_the_rate_too(backend):
    spec, schedule = iso.LBFGS(lr=0.5, max_iter=2), iso.StepLR(1, gamma=0.5)
    runs = [iso.train(quartic(), backend, optimizer=spec, schedule=s, steps=4) for s in (schedule, None)]
    assert not np.allclose(runs[0].values["x"], runs[1].values["x"], rtol=1e-6)


def test_a_recipe_brings_its_schedule_with_its_optimizer():
    recipe = iso.problem.Recipe(optimizer=iso.SGD(lr=0.05), steps=20, schedule=iso.StepLR(5))
    problem = iso.Problem(name="quartic", constraints={}, init={"x": 2.0}, recipe=recipe, loss=lambda v, b: v["x"] ** 4)
    asked = iso.train(problem, "torch", optimizer=iso.SGD(lr=0.05), schedule=iso.StepLR(5), steps=20)
    assert iso.train(problem, "torch").values["x"] == asked.values["x"]
    assert iso.train(problem, "torch", optimizer=iso.SGD(lr=0.05), steps=20).values["x"] != asked.values["x"]


def test_what_train_cannot_follow_is_refused():
    with pytest.raises(iso.errors.SpecError, match="train cannot follow it yet"):
        iso.train(quartic(), "torch", optimizer=iso.SGD(), schedule=iso.ReduceLROnPlateau(), steps=3)
    with pytest.raises(iso.errors.SpecError, match="is no schedule of isoparam; write one such as"):
        iso.train(quartic(), "torch", optimizer=iso.SGD(), schedule="cosine", steps=3)
    with pytest.raises(iso.errors.SpecError, match=r"steps=20, but OneCycleLR\(.*\) has 11 rates"):
        iso.train(quartic(), "torch", optimizer=iso.SGD(), schedule=iso.OneCycleLR(0.1, total_steps=10), steps=20)
    with pytest.raises(iso.errors.SpecError, match="write cycle_momentum=False"):
        iso.train(quartic(), "torch", optimizer=iso.Adagrad(), schedule=iso.OneCycleLR(0.1, total_steps=10), steps=5)
