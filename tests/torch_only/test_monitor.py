"""Monitor in a torch loop: what it reads, that it disturbs nothing, and that it cannot go stale."""

import copy
import doctest

import numpy as np
import pytest
import torch
from torch import nn

import isoparam as iso
from isoparam.errors import SpecError, StaleGraphError
from isoparam.sinks import Memory
from isoparam.torch import Constrained, Monitor, constrain, values
from torch_impl import monitor as monitor_module

CONSTRAINTS = {"net.x": iso.UnitInterval(), "w": iso.Simplex()}


class Model(nn.Module):
    x = Constrained(iso.Interval(0, 2))
    w = Constrained(iso.Simplex())

    def __init__(self):
        super().__init__()
        self.x = torch.tensor(0.5, dtype=torch.float64)
        self.w = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
        self.linear = nn.Linear(2, 1, dtype=torch.float64)

    def loss(self):
        return (self.x - 1.5) ** 2 + ((self.w - 1 / 3) ** 2).sum() + self.linear.weight.sum() ** 2


def leaves(requires_grad=True):
    return {
        "net": {"x": torch.tensor([0.0, 50.0], requires_grad=requires_grad)},
        "w": torch.zeros(2, requires_grad=requires_grad),
        "free": torch.ones(3, requires_grad=requires_grad),
        "count": torch.tensor(7),
    }


def loss_of(raw):
    present = constrain(raw, CONSTRAINTS)
    return present["net"]["x"].sum() + present["w"][0] + (raw["free"] ** 2).sum()


def test_a_row_holds_value_border_and_gradient():
    model = Model()
    loss = model.loss()
    loss.backward()
    row = Monitor(model).record(loss=loss, step=12)
    assert list(row) == [
        *("step", "loss", "grad_norm"),
        *("x", "x.distance", "x.saturation", "x.grad_norm"),
        *("w", "w.distance", "w.saturation", "w.grad_norm"),
    ]
    assert all(isinstance(number, np.ndarray) for number in row.values())
    present = values(model)
    assert row["step"] == 12
    assert row["loss"] == loss.item()
    np.testing.assert_array_equal(row["x"], present["x"].numpy())
    np.testing.assert_array_equal(row["w"], present["w"].numpy())
    assert row["x.distance"] == present["x"].item()
    assert row["w.distance"] == present["w"].min().item()
    assert row["x.saturation"] == row["w.saturation"] == 0.0
    assert row["x.grad_norm"] == abs(model.x_raw.grad.item())
    assert row["w.grad_norm"] == pytest.approx(model.w_raw.grad.norm().item(), rel=1e-15)
    whole = torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters() if parameter.grad is not None])
    assert row["grad_norm"] == pytest.approx(whole.norm().item(), rel=1e-15)


def test_there_is_no_gradient_before_backward():
    row = Monitor(Model()).record()
    assert np.isnan([row["loss"], row["grad_norm"], row["x.grad_norm"], row["w.grad_norm"]]).all()


def test_a_tree_is_read_by_the_names_of_constrain():
    raw = leaves()
    monitor = Monitor(raw, CONSTRAINTS)
    loss = loss_of(raw)
    loss.backward()
    row = monitor.record(loss=loss)
    assert [name for name in row if "." not in name] == ["step", "loss", "grad_norm", "w"]
    np.testing.assert_array_equal(row["net.x"], [0.5, 1.0])
    assert row["net.x.distance"] == 0.0
    assert row["net.x.saturation"] == 0.5
    assert row["net.x.grad_norm"] == 0.25
    assert row["grad_norm"] > np.sqrt(12)  # that of free alone


def test_every_row_follows_the_training():
    model, memory = Model(), Memory()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    monitor = Monitor(model, sinks=(memory,))
    seen = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model.loss()
        loss.backward()
        monitor.record(loss=loss)
        seen.append(values(model)["x"].item())
        optimizer.step()
    assert memory.history["x"].tolist() == seen
    assert len(set(seen)) == 20
    assert memory.history["step"].tolist() == list(range(20))


@pytest.mark.parametrize("fused", [False, True], ids=["for-loop", "fused"])
def test_monitoring_changes_no_bit_of_the_training(fused):
    plain, watched = Model(), Model()
    watched.load_state_dict(plain.state_dict())
    monitor = Monitor(watched)
    for model in (plain, watched):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=fused)
        for _ in range(10):
            optimizer.zero_grad()
            loss = model.loss()
            if model is watched:
                monitor.record(loss=loss)
            loss.backward()
            if model is watched:
                monitor.record(loss=loss)
            optimizer.step()
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
    assert watched.x_raw.grad_fn is None


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
    linear = nn.Linear(100, 1)
    row = Monitor(linear, {"weight": iso.Positive()}).record()
    value = nn.functional.softplus(linear.weight.detach()).numpy()
    assert [name for name in row if name.startswith("weight")] == [
        f"weight.{what}" for what in ("min", "mean", "max", "distance", "saturation", "grad_norm")
    ]
    np.testing.assert_allclose([row["weight.min"], row["weight.max"]], [value.min(), value.max()], rtol=1e-6)
    assert row["weight.distance"] == row["weight.min"]


def test_attributes_and_constraints_add_up():
    assert [name for name in Monitor(Model(), {"linear.bias": iso.Positive()}).record() if "." not in name] == [
        *("step", "loss", "grad_norm", "x", "w")
    ]
    assert "linear.bias.distance" in Monitor(Model(), {"linear.bias": iso.Positive()}).record()


def test_a_shared_module_has_its_gradient_under_its_first_name():
    inner = Model()
    outer = nn.ModuleDict({"a": inner, "b": inner})
    inner.loss().backward()
    row = Monitor(outer).record()
    assert row["a.x.grad_norm"] == abs(inner.x_raw.grad.item())
    assert "b.x" not in row


def test_a_loop_without_tensors_in_place_passes_its_own():
    raw = leaves(requires_grad=False)
    del raw["count"]
    monitor = Monitor(raw, CONSTRAINTS)
    grads = torch.func.grad(loss_of)(raw)
    with pytest.raises(StaleGraphError, match=r"net.x given to Monitor does not require grad.*monitor\.record\(params=raw"):
        monitor.record(grads=grads)
    first = monitor.record(params=raw, grads=grads)
    moved = {"net": {"x": raw["net"]["x"] - 1.0}, "w": raw["w"], "free": raw["free"]}
    second = monitor.record(params=moved, grads=grads)
    assert first["net.x"][0] == 0.5
    assert second["net.x"][0] == pytest.approx(1 / (1 + np.e))
    assert first["net.x.grad_norm"] == 0.25


def test_a_computed_tensor_is_refused():
    raw = leaves()
    raw["w"] = raw["w"] * 2.0
    with pytest.raises(StaleGraphError, match=r"^w was computed from another tensor and would not follow the training"):
        Monitor(raw, CONSTRAINTS)


def test_there_are_no_numbers_inside_func_and_compile():
    raw = leaves(requires_grad=False)
    del raw["count"]
    monitor = Monitor(raw, CONSTRAINTS)

    def watched(raw):
        monitor.record(params=raw)
        return loss_of(raw)

    for inside in (torch.func.grad(watched), torch.compile(watched, backend="eager")):
        with pytest.raises(SpecError, match=r"Monitor.record needs numbers, and inside torch.compile or torch.func"):
            inside(raw)


def test_reading_is_the_same_under_inference_mode_and_deepcopy():
    model = Model()
    monitor = Monitor(model)
    expected = monitor.record(step=0)
    with torch.inference_mode():
        inside = monitor.record(step=0)
    copied = Monitor(copy.deepcopy(model)).record(step=0)
    for name, number in expected.items():
        np.testing.assert_array_equal(inside[name], number)
        np.testing.assert_array_equal(copied[name], number)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_dtype_is_read(dtype):
    raw = {"x": torch.zeros(2, dtype=dtype, requires_grad=True)}
    (constrain(raw, {"x": iso.UnitInterval()})["x"].sum()).backward()
    row = Monitor(raw, {"x": iso.UnitInterval()}).record()
    assert row["x"].tolist() == [0.5, 0.5]
    assert row["x"].dtype == (np.float64 if dtype == torch.float64 else np.float32)
    assert row["x.grad_norm"] == pytest.approx(np.sqrt(2) / 4, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Monitor(nn.Linear(2, 2)), r"Monitor: nothing here is constrained; give constraints="),
        (lambda: Monitor(Model(), {"bias": iso.Positive()}), r"constraints\['bias'\] matches no parameter; there are"),
        (lambda: Monitor(leaves(), {"count": iso.Positive()}), r"count: Positive\(link='softplus'\) needs a floating tensor"),
        (lambda: Monitor(Model(), sinks=print), r"Monitor: sinks=<built-in function print> must be a tuple of sinks"),
        (lambda: Monitor(Model(), every=0), r"Monitor: every=0 must be a whole number from 1 on"),
        (lambda: Monitor(Model()).record(step=-1), r"Monitor.record: step=-1 must be a whole number from 0 on"),
        (lambda: Monitor(Model()).record(loss=torch.ones(2)), r"Monitor.record: loss has shape \(2,\); it must be one number"),
        (lambda: Monitor(Model()).record(grads={"x": torch.ones(())}), r"grads has 'x'; it needs .* such as 'x_raw'"),
        (lambda: Monitor({"loss": leaves()["w"]}, {"loss": iso.Simplex()}), r"would both be called 'loss'; rename"),
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
