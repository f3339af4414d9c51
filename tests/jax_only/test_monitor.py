"""Monitor in a JAX loop: what it reads, that it disturbs nothing, and that it cannot go stale."""

import doctest

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import isoparam as iso
from isoparam.errors import SpecError, StaleGraphError
from isoparam.jax import Constrained, Monitor, constrain, values
from isoparam.sinks import Memory
from jax_impl import monitor as monitor_module

CONSTRAINTS = {"net.x": iso.UnitInterval(), "w": iso.Simplex()}


class Model(nnx.Module):
    x = Constrained(iso.Interval(0, 2))
    w = Constrained(iso.Simplex())

    def __init__(self):
        self.x = 0.5
        self.w = jnp.asarray([0.5, 0.3, 0.2])
        self.linear = nnx.Linear(2, 1, rngs=nnx.Rngs(0))

    def loss(self):
        return (self.x - 1.5) ** 2 + ((self.w - 1 / 3) ** 2).sum() + self.linear.kernel[...].sum() ** 2


def tree():
    return {"net": {"x": jnp.asarray([0.0, 50.0])}, "w": jnp.zeros(2), "free": jnp.ones(3)}


def loss_of(raw):
    present = constrain(raw, CONSTRAINTS)
    return present["net"]["x"].sum() + present["w"][0] + (raw["free"] ** 2).sum()


def test_a_row_holds_value_border_and_gradient():
    model = Model()
    loss, grads = nnx.value_and_grad(Model.loss)(model)
    row = Monitor(model).record(grads=grads, loss=loss, step=12)
    assert list(row) == [
        *("step", "loss", "grad_norm"),
        *("w", "w.distance", "w.saturation", "w.grad_norm"),
        *("x", "x.distance", "x.saturation", "x.grad_norm"),
    ]
    assert all(isinstance(number, np.ndarray) for number in row.values())
    present = values(model)
    assert row["step"] == 12
    assert row["loss"] == loss
    np.testing.assert_array_equal(row["x"], present["x"])
    np.testing.assert_array_equal(row["w"], present["w"])
    assert row["x.distance"] == present["x"]
    assert row["w.distance"] == present["w"].min()
    assert row["x.saturation"] == row["w.saturation"] == 0.0
    assert row["x.grad_norm"] == abs(float(grads["x_raw"][...]))
    assert row["w.grad_norm"] == pytest.approx(float(jnp.linalg.norm(grads["w_raw"][...])), rel=1e-6)
    assert row["grad_norm"] == pytest.approx(float(optax.tree.norm(jax.tree.leaves(grads))), rel=1e-6)


def test_there_is_no_gradient_unless_it_is_given():
    row = Monitor(Model()).record()
    assert np.isnan([row["loss"], row["grad_norm"], row["x.grad_norm"], row["w.grad_norm"]]).all()


def test_a_tree_is_read_by_the_names_of_constrain():
    raw = tree()
    loss, grads = jax.value_and_grad(loss_of)(raw)
    row = Monitor(raw, CONSTRAINTS).record(raw, grads, loss)
    assert [name for name in row if "." not in name] == ["step", "loss", "grad_norm", "w"]
    np.testing.assert_array_equal(row["net.x"], [0.5, 1.0])
    assert row["net.x.distance"] == 0.0
    assert row["net.x.saturation"] == 0.5
    assert row["net.x.grad_norm"] == 0.25
    assert row["grad_norm"] > np.sqrt(12)  # that of free alone


def test_every_row_follows_the_training_of_a_module():
    model, memory = Model(), Memory()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.5), wrt=nnx.Param)
    monitor = Monitor(model, sinks=(memory,))
    seen = []

    @nnx.jit
    def gradients(model):
        return nnx.value_and_grad(Model.loss)(model)

    for _ in range(20):
        loss, grads = gradients(model)
        monitor.record(grads=grads, loss=loss)
        seen.append(values(model)["x"].item())
        optimizer.update(model, grads)
    assert memory.history["x"].tolist() == seen
    assert len(set(seen)) == 20
    assert memory.history["step"].tolist() == list(range(20))


def test_linen_params_are_a_tree():
    class Scaled(nn.Module):
        @nn.compact
        def __call__(self, y):
            return self.param("scale", nn.initializers.zeros, ()) * nn.Dense(2)(y)

    params = Scaled().init(jax.random.key(0), jnp.ones(3))
    row = Monitor(params, {"params.scale": iso.Positive()}).record(params)
    assert row["params.scale"] == pytest.approx(np.log(2), rel=1e-6)


def test_every_leaves_steps_out_without_looking_at_anything():
    model, memory = Model(), Memory()
    monitor = Monitor(model, sinks=(memory,), every=3)
    kept = [monitor.record(loss=None if step % 3 == 0 else "never looked at") is not None for step in range(7)]
    assert kept == [True, False, False, True, False, False, True]
    assert memory.history["step"].tolist() == [0, 3, 6]
    assert monitor.record(step=9)["step"] == 9
    assert monitor.record() is None
    assert monitor.record(step=12)["step"] == 12


def test_a_plain_module_gets_its_constraints_here():
    linear = nnx.Linear(100, 1, rngs=nnx.Rngs(0))
    row = Monitor(linear, {"kernel": iso.Positive()}).record()
    value = np.asarray(jax.nn.softplus(linear.kernel[...]))
    assert [name for name in row if name.startswith("kernel")] == [
        f"kernel.{what}" for what in ("min", "mean", "max", "distance", "saturation", "grad_norm")
    ]
    np.testing.assert_allclose([row["kernel.min"], row["kernel.max"]], [value.min(), value.max()], rtol=1e-6)
    assert row["kernel.distance"] == row["kernel.min"]


def test_attributes_and_constraints_add_up():
    assert [name for name in Monitor(Model(), {"linear.bias": iso.Positive()}).record() if "." not in name] == [
        *("step", "loss", "grad_norm", "w", "x")
    ]
    assert "linear.bias.distance" in Monitor(Model(), {"linear.bias": iso.Positive()}).record()


def test_a_shared_module_keeps_its_first_name_and_every_name_its_place():
    """Transforms of nnx put the attributes of a module into alphabetical order, and a sink needs the same columns."""

    class Outer(nnx.Module):
        def __init__(self):
            self.c = Model()
            self.b = Model()
            self.a = self.b

    outer = Outer()
    before = Monitor(outer).record()
    grads = nnx.grad(lambda outer: outer.b.loss())(outer)
    row = Monitor(outer).record(grads=grads)
    assert list(row) == list(before)
    assert [name for name in row if name.endswith((".x", ".w"))] == ["a.w", "a.x", "c.w", "c.x"]
    assert row["a.x.grad_norm"] == abs(float(grads["a"]["x_raw"][...])) > 0
    assert row["c.x.grad_norm"] == 0


def test_arrays_that_never_change_are_passed_each_time():
    raw = tree()
    monitor = Monitor(raw, CONSTRAINTS)
    grads = jax.grad(loss_of)(raw)
    with pytest.raises(StaleGraphError, match=r"still the ones of the start; pass those of now: monitor\.record\(params"):
        monitor.record(grads=grads)
    first = monitor.record(raw, grads)
    second = monitor.record(jax.tree.map(lambda raw: raw - 1.0, raw), grads)
    assert first["net.x"][0] == 0.5
    assert second["net.x"][0] == pytest.approx(1 / (1 + np.e))
    assert first["net.x.grad_norm"] == 0.25


@pytest.mark.parametrize("transform", [jax.jit, jax.grad], ids=["jit", "grad"])
def test_there_are_no_numbers_under_a_transform(transform):
    monitor = Monitor(tree(), CONSTRAINTS)

    def watched(raw):
        monitor.record(raw)
        return loss_of(raw)

    with pytest.raises(SpecError, match=r"Monitor.record needs numbers, and under jit, grad or vmap there are none yet"):
        transform(watched)(tree())


def test_gradients_under_jit_are_refused_too():
    raw = tree()
    monitor = Monitor(raw, CONSTRAINTS)
    with pytest.raises(SpecError, match=r"Monitor.record needs numbers"):
        jax.jit(lambda grads: monitor.record(raw, grads))(raw)


def test_a_callback_gets_numbers_out_of_a_compiled_loop():
    memory = Memory()
    monitor = Monitor(tree(), CONSTRAINTS, sinks=(memory,))

    @jax.jit
    def train(raw):
        def step(raw, _):
            loss, grads = jax.value_and_grad(loss_of)(raw)
            jax.debug.callback(lambda *row: monitor.record(*row) and None, raw, grads, loss, ordered=True)
            return jax.tree.map(lambda raw, grad: raw - 0.1 * grad, raw, grads), None

        return jax.lax.scan(step, raw, length=5)[0]

    jax.block_until_ready(train(tree()))
    jax.effects_barrier()
    assert memory.history["step"].tolist() == [0, 1, 2, 3, 4]
    assert np.all(np.diff(memory.history["loss"]) < 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_every_dtype_is_read(dtype):
    with jax.enable_x64(dtype == "float64"):
        raw = {"x": jnp.zeros(2, dtype)}
        grads = jax.grad(lambda raw: constrain(raw, {"x": iso.UnitInterval()})["x"].sum())(raw)
    row = Monitor(raw, {"x": iso.UnitInterval()}).record(raw, grads)  # outside of the setting
    assert row["x"].tolist() == [0.5, 0.5]
    assert row["x"].dtype == (np.float64 if dtype == "float64" else np.float32)
    assert row["x.grad_norm"] == pytest.approx(np.sqrt(2) / 4, rel=1e-15 if dtype == "float64" else 1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Monitor(nnx.Linear(2, 2, rngs=nnx.Rngs(0))), r"Monitor: nothing here is constrained; give constraints="),
        (lambda: Monitor(Model(), {"bias": iso.Positive()}), r"constraints\['bias'\] matches no parameter; there are"),
        (lambda: Monitor({"n": jnp.asarray(7)}, {"n": iso.Positive()}), r"n: Positive\(link='softplus'\) needs a floating"),
        (lambda: Monitor(Model(), sinks=print), r"Monitor: sinks=<built-in function print> must be a tuple of sinks"),
        (lambda: Monitor(Model(), every=0), r"Monitor: every=0 must be a whole number from 1 on"),
        (lambda: Monitor(Model()).record(step=-1), r"Monitor.record: step=-1 must be a whole number from 0 on"),
        (lambda: Monitor(Model()).record(loss=jnp.ones(2)), r"Monitor.record: loss has shape \(2,\); it must be one number"),
        (lambda: Monitor(Model()).record(grads={"x": jnp.ones(())}), r"grads has 'x'; it needs .* such as 'w_raw'"),
        (lambda: Monitor({"loss": jnp.ones(2)}, {"loss": iso.Simplex()}), r"would both be called 'loss'; rename"),
    ],
    ids=["nothing", "no match", "integer", "sinks", "every", "step", "loss", "grads", "name"],
)
def test_a_fault_says_what_to_do(call, message):
    with pytest.raises(SpecError, match=message):
        call()


def test_the_examples_run():
    found = doctest.testmod(monitor_module)
    assert found.failed == 0
    assert found.attempted > 0
