"""Schedules in training: both backends take the rates of torch's scheduler, and the steps that they lead to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import isoparam as iso
from isoparam.errors import SpecError
from jax_impl import optim
from jax_impl.optim import optimizer as jax_optimizer
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
    # Where the momentum is 0, torch leaves the buffer as it is; SGD makes it at its first use.
    "sgd-through-0": (iso.SGD(momentum=0.9), iso.CyclicLR(1e-3, 0.02, step_size_up=3, base_momentum=0.0)),
    "sgd-from-0": (
        iso.SGD(dampening=0.3, weight_decay=0.1),
        iso.CyclicLR(1e-3, 0.02, step_size_up=3, base_momentum=0.9, max_momentum=0.0),
    ),
    "nesterov-through-0": (
        iso.SGD(momentum=0.9, nesterov=True),
        iso.CyclicLR(1e-3, 0.02, step_size_up=4, base_momentum=0.0),
    ),
    "rmsprop-through-0": (iso.RMSprop(momentum=0.9), iso.CyclicLR(1e-4, 1e-3, step_size_up=3, base_momentum=0.0)),
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


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_optax_form_takes_the_same_steps(name, dtype):
    spec, schedule = ROWS[name]
    expected = by_hand(spec, schedule, 80, getattr(torch, dtype))
    with jax.enable_x64(dtype == "float64"):
        transform, params = jax_optimizer(spec, schedule=schedule), jnp.asarray([[0.5, -1.0], [2.0, 0.1]], dtype)
        assert isinstance(transform, optax.GradientTransformation)

        def once(carry, _):
            params, state = carry
            updates, state = transform.update(4 * (params - 0.3) ** 3, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.jit(lambda carry: jax.lax.scan(once, carry, length=80))((params, transform.init(params)))
    assert params.dtype == dtype
    assert relative(params, expected) < {"float64": 1e-13, "float32": 2e-6}[dtype]


def test_past_its_table_the_optax_form_asks_the_host(monkeypatch):
    monkeypatch.setattr(optim, "TABLE", 5)
    transform, params = jax_optimizer(iso.SGD(lr=1.0), schedule=iso.StepLR(4, gamma=0.5)), jnp.zeros(())
    state, update, path = transform.init(params), jax.jit(transform.update), []
    for _ in range(10):
        change, state = update(jnp.ones(()), state, params)
        path.append(-float(change))
    assert path == iso.StepLR(4, gamma=0.5).rates(1.0, 10).tolist()


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_past_the_end_of_a_schedule_the_optax_form_says_so_every_time(compiled):
    schedule = iso.ChainedScheduler((iso.OneCycleLR(0.1, total_steps=3),))
    transform, params = jax_optimizer(iso.SGD(momentum=0.9), schedule=schedule), jnp.zeros(2)
    state, update = transform.init(params), jax.jit(transform.update) if compiled else transform.update
    for _ in range(4):
        _, state = update(jnp.ones(2), state, params)
    kinds = (jax.errors.JaxRuntimeError, ValueError) if compiled else iso.errors.SpecError  # JAX wraps what its host says
    for _ in range(2):
        with pytest.raises(kinds, match="ends after 3 updates"):
            jax.block_until_ready(update(jnp.ones(2), state, params))


def test_lbfgs_with_a_schedule_as_a_transformation():
    spec, schedule = iso.LBFGS(lr=0.5, max_iter=1), iso.StepLR(1, gamma=0.5)
    transform, params = jax_optimizer(spec, schedule=schedule), jnp.array([0.5, 2.0])
    state = transform.init(params)
    for _ in range(3):
        updates, state = jax.jit(transform.update)(4 * (params - 0.3) ** 3, state, params)
        params = optax.apply_updates(params, updates)
    leaf = torch.tensor([0.5, 2.0], requires_grad=True)
    made, scheduler = optimizer(spec, [leaf], schedule)

    def closure():
        made.zero_grad()
        loss = ((leaf - 0.3) ** 4).sum()
        loss.backward()
        return loss

    for _ in range(3):
        made.step(closure)
        scheduler.step()
    assert relative(params, leaf.detach().numpy()) < 1e-5


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
    with pytest.raises(iso.errors.SpecError, match="is no schedule of isoparam; write one such as"):
        iso.train(quartic(), "torch", optimizer=iso.SGD(), schedule="cosine", steps=3)
    with pytest.raises(iso.errors.SpecError, match=r"steps=20, but OneCycleLR\(.*\) has 11 rates"):
        iso.train(quartic(), "torch", optimizer=iso.SGD(), schedule=iso.OneCycleLR(0.1, total_steps=10), steps=20)
    late = iso.CyclicLR(1e-3, 0.1, step_size_up=3, base_momentum=0.9, max_momentum=0.0)
    for backend in ("torch", "jax"):
        with pytest.raises(iso.errors.SpecError, match="begins with a momentum of 0, and RMSprop makes no buffer later"):
            iso.train(quartic(), backend, optimizer=iso.RMSprop(momentum=0.9), schedule=late, steps=5)
    with pytest.raises(iso.errors.SpecError, match="write cycle_momentum=False"):
        iso.train(quartic(), "torch", optimizer=iso.Adagrad(), schedule=iso.OneCycleLR(0.1, total_steps=10), steps=5)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_what_a_schedule_cannot_give_is_refused_by_name(backend):
    problem, adam = iso.problems.get("linkage"), iso.Adam()
    with pytest.raises(SpecError, match=r"steps=10, but ConstantLR\(factor=0.0, total_iters=3\) has 3 rates"):
        iso.train(problem, backend, adam, iso.ConstantLR(0.0, 3), steps=10)
    with pytest.raises(SpecError, match=r"LambdaLR: lr_lambda\(4\) gives None; it must give a number"):
        iso.train(problem, backend, adam, iso.LambdaLR(lambda k: None if k == 4 else 1.0), steps=10)
