"""Training in JAX alone."""

import doctest
import re
import sys
import warnings
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import isoparam as iso
from isoparam.backends import load
from jax_impl.optim import optimizer

BACKEND = "jax"


def problem(loss, **changes):
    settings = {"name": "p", "constraints": {"x": iso.Interval(0, 1)}, "init": {"x": 0.5}, "loss": loss}
    return iso.Problem(**(settings | changes))


def squared(values, batch):
    return ((values["x"] - 0.9) ** 2).sum()


def numbers(*shape):
    return jnp.ones(shape)


def test_first_rows_and_updates_are_those_of_a_hand_written_loop():
    run = iso.train(problem(squared), backend=BACKEND, optimizer=iso.Adam(lr=0.1), steps=3)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer
        raw, adam = jnp.zeros(()), optax.adam(0.1)
        state = adam.init(raw)
        for k in range(3):
            loss, grad = jax.value_and_grad(lambda raw: (jax.nn.sigmoid(raw) - 0.9) ** 2)(raw)
            assert run.history["x"][k] == pytest.approx(float(jax.nn.sigmoid(raw)), rel=1e-15)
            assert run.history["loss"][k] == pytest.approx(float(loss), rel=1e-14)
            assert run.history["grad_norm"][k] == pytest.approx(abs(float(grad)), rel=1e-14)
            updates, state = adam.update(grad, state)
            raw = optax.apply_updates(raw, updates)
        assert run.raw["x"] == pytest.approx(float(raw), rel=1e-14)
        assert run.values["x"] == pytest.approx(float(jax.nn.sigmoid(raw)), rel=1e-14)
    assert (run.steps, run.stopped, run.history["step"].tolist()) == (3, "steps", [0, 1, 2])


@pytest.mark.parametrize("shape", [(1,), (2, 2)], ids=str)
def test_a_loss_that_is_no_scalar_is_named_with_its_shape(shape):
    with pytest.raises(iso.errors.SpecError, match=re.escape(f"the loss has shape {shape}; it must be a scalar")):
        iso.train(problem(lambda v, b: v["x"] * numbers(*shape)), backend=BACKEND, optimizer=iso.SGD(), steps=1)


def test_a_loss_that_is_no_array_is_named():
    with pytest.raises(iso.errors.SpecError, match=r"the loss is 1.0; it must be a JAX array"):
        iso.train(problem(lambda v, b: 1.0), backend=BACKEND, optimizer=iso.SGD(), steps=1)


@pytest.mark.parametrize("value", [0.0, 1.0, 1.5])
def test_a_start_on_or_beyond_the_border_is_named(value):
    with pytest.raises(iso.errors.DomainError, match=r"init\['x'\] in float64: value .* is not inside"):
        iso.train(problem(squared, init={"x": value}), backend=BACKEND, optimizer=iso.SGD(), steps=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0 must be a whole number, at least 1"),
        ({}, "the problem has no recipe; give steps=1000"),
        ({"steps": 1, "optimizer": None}, "problem 'p' has no recipe; give optimizer="),
        ({"steps": 1, "optimizer": "adam"}, "optimizer='adam' is no optimizer of isoparam"),
        ({"steps": 1, "dtype": "float16"}, "unknown dtype='float16'"),
        ({"steps": 1, "record": ("y",)}, "record='y' matches no parameter"),
        ({"steps": 1, "record_every": 0}, "record_every=0 must be a whole number"),
        ({"steps": 1, "seed": -1}, "seed=-1 must be a whole number, at least 0"),
        ({"steps": 1, "tol_grad": -1.0}, "tol_grad=-1.0 must be a finite number"),
    ],
    ids=lambda case: str(case) if isinstance(case, dict) else "",
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(iso.errors.SpecError, match=re.escape(message)):
        iso.train(problem(squared), backend=BACKEND, **({"optimizer": iso.SGD()} | settings))


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="the error of a machine without a GPU")
def test_a_missing_device_is_named():
    with pytest.raises(iso.errors.BackendError, match="device='cuda': this jax sees no GPU"):
        iso.train(problem(squared), backend=BACKEND, optimizer=iso.SGD(), steps=1, device="cuda")


def test_a_loss_that_is_bad_from_the_start_leaves_the_start():
    with pytest.raises(iso.errors.NonFiniteError, match=r"at step 0, .*; nothing was updated") as caught:
        iso.train(problem(lambda v, b: v["x"] * float("nan")), backend=BACKEND, optimizer=iso.SGD(), steps=9)
    assert (caught.value.step, caught.value.run.steps, len(caught.value.run.history["loss"])) == (0, 0, 0)
    assert caught.value.run.values["x"] == 0.5


def test_the_last_good_state_may_lie_in_the_chunk_before(monkeypatch):
    monkeypatch.setattr(sys.modules["isoparam.fit"], "CHUNK_SECONDS", 0.0)  # chunks: 16 steps, then one by one
    sinking = problem(lambda v, b: -v["x"] + 0 * (17.5 - v["x"]) ** 0.5, constraints={}, init={"x": 0.0})
    with pytest.raises(iso.errors.NonFiniteError) as caught:
        iso.train(sinking, backend=BACKEND, optimizer=iso.SGD(lr=1.0), steps=99)
    assert (caught.value.step, caught.value.parameter) == (18, "x")
    assert (caught.value.run.steps, caught.value.run.values["x"]) == (17, 17.0)


def test_saturation_is_warned_about_once_and_names_the_way_out():
    falling = problem(lambda v, b: v["x"].sum(), init={"x": np.array([0.5, 1e-3])})
    with pytest.warns(iso.errors.SaturationWarning, match=r"parameter 'x' is saturated: raw = -.* at \(0,\)") as caught:
        run = iso.train(falling, backend=BACKEND, optimizer=iso.Adam(lr=200.0), steps=40)
    assert len(caught) == 1
    assert run.values["x"][0] == 0.0


def test_a_large_raw_without_saturation_is_silent():
    far = problem(lambda v, b: (v["x"] - 50.0) ** 2, constraints={"x": iso.Positive()}, init={"x": 49.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        iso.train(far, backend=BACKEND, optimizer=iso.SGD(lr=0.1), steps=40)


def test_what_the_loss_does_not_use_keeps_still():
    run = iso.train(problem(squared, init={"x": 0.5, "y": 2.0}), backend=BACKEND, optimizer=iso.SGD(lr=1.0), steps=5)
    assert run.values["y"] == 2.0
    assert run.values["x"] > 0.5


def test_integer_data_stay_integers_and_floats_take_the_dtype_of_the_run():
    seen = {}

    def loss(values, batch):
        seen.update({name: array.dtype for name, array in batch.items()})
        return values["x"] * 1.0

    data = {"label": np.arange(4), "x": np.ones(4)}
    iso.train(problem(loss, data=data, batch_size=2), backend=BACKEND, optimizer=iso.SGD(), steps=2, dtype="float32")
    assert seen == {"label": jnp.int32, "x": jnp.float32}


def test_a_state_can_be_taken_up_again():
    from isoparam.settings import plan_for

    data = problem(squared, data={"a": np.arange(7.0)}, batch_size=3)
    plan = plan_for(data, iso.Adam(), 0, "float64", "cpu", None, 1)
    loop = load(BACKEND).train.Loop(data, plan)
    loop.advance(5)
    state = loop.state()
    first = loop.advance(4)
    loop.load(state)
    again = loop.advance(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert state["step"] == 5


def test_the_progress_bar_shows_loss_and_values(capsys):
    iso.train(problem(squared), backend=BACKEND, optimizer=iso.SGD(), steps=20, progress=True)
    shown = capsys.readouterr().out
    assert "loss" in shown
    assert "x 0.5" in shown


def test_a_summary_tells_what_happened():
    run = iso.train(problem(squared), backend=BACKEND, optimizer=iso.SGD(), steps=2)
    assert "p on jax, float64: 2 steps of SGD" in run.summary()
    assert repr(run).startswith("Run('p', 'jax', steps=2, stopped='steps', x=0.50")
    assert set(run.versions) >= {"jax", "jaxlib", "optax"}


def test_one_program_serves_every_chunk_and_replay(caplog):
    task = problem(lambda v, b: ((v["x"] - b["y"]) ** 2).mean(), data={"y": np.asarray([0.2, 0.4])})
    with jax.log_compiles(True):  # a program that reads data on a device returns arrays that are bound to it
        iso.train(task, backend=BACKEND, optimizer=iso.SGD(lr=1.0), steps=40, tol_grad=1e-3)
    compiled = [record.getMessage() for record in caplog.records if "Finished XLA compilation of" in record.getMessage()]
    assert len([message for message in compiled if "_chunk" in message]) == 1, compiled


def test_nothing_global_changes():
    iso.train(problem(squared), backend=BACKEND, optimizer=iso.SGD(), steps=2)
    assert jnp.ones(1).dtype == jnp.float32


def test_a_float32_loss_meets_no_float64():
    def loss(values, batch):
        assert jnp.ones(2).dtype == jnp.float32
        return (values["x"] * jnp.asarray(np.ones(2))).sum()

    iso.train(problem(loss), backend=BACKEND, optimizer=iso.Adam(), steps=2, dtype="float32")


def test_a_constant_that_a_loss_closes_over_is_read_again_by_the_next_run():
    target = 0.1
    pulled = problem(lambda values, batch: (values["x"] - target) ** 2)
    low = iso.train(pulled, backend=BACKEND, optimizer=iso.SGD(lr=1.0), steps=5).values["x"]
    target = 0.9
    assert iso.train(pulled, backend=BACKEND, optimizer=iso.SGD(lr=1.0), steps=5).values["x"] > 0.5 > low


def test_optimizer_is_the_frameworks_own():
    made = optimizer(iso.Adam(lr=0.1))
    assert isinstance(made, optax.GradientTransformation)
    chained = optax.chain(optax.clip(1.0), made)
    params = {"a": jnp.ones(2), "b": (jnp.zeros(()), None)}
    updates, _ = chained.update(params, chained.init(params), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_weight_decay_needs_parameters():
    made = optimizer(iso.SGD(weight_decay=0.1))
    with pytest.raises(iso.errors.SpecError, match=r"write update\(grads, state, params\)"):
        made.update(jnp.ones(2), made.init(jnp.ones(2)))


@pytest.mark.parametrize("name", ["jax_impl.optim", "jax_impl.handover"])
def test_examples_of(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed


def test_an_overflow_of_the_last_update_is_found():
    steep = problem(lambda v, b: 1e300 * v["x"] ** 2, constraints={}, init={"x": 0.5})
    with pytest.raises(iso.errors.NonFiniteError, match="at step 1") as caught:
        iso.train(steep, backend=BACKEND, optimizer=iso.SGD(lr=1e300), steps=1)
    assert (caught.value.run.steps, caught.value.run.values["x"], len(caught.value.run.history["loss"])) == (0, 0.5, 1)
