"""Monitoring in both backends: the same rows from Monitor, the same files from train, one picture of both."""

import csv
import doctest
import json
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import isoparam as iso
import isoparam.jax
import isoparam.torch
from isoparam import cli

CONSTRAINTS = {"x": iso.Interval(0, 2), "w": iso.Simplex(), "s": iso.Positive(), "large": iso.Positive(link="exp")}
SHARES = iso.Problem(
    name="shares",
    constraints={"w": iso.Simplex(), "s": iso.Positive()},
    init={"w": np.array([0.25, 0.25, 0.5]), "s": 0.5},
    loss=lambda values, batch: (values["w"][0] - 0.5) ** 2 + (values["s"] - 2.0) ** 2,
    recipe=iso.Recipe(optimizer=iso.Adam(lr=0.05), steps=60),
)


def raw():
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=()), "w": rng.normal(size=(2, 3)), "s": np.array([-800.0, 0.0]), "large": rng.normal(size=70)}


def loss(values):
    return values["x"] + (values["w"][0] ** 2).sum() + (values["s"] * values["s"]).sum() + values["large"].sum()


def torch_row():
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in raw().items()}
    total = loss(iso.torch.constrain(leaves, CONSTRAINTS))
    total.backward()
    return iso.torch.Monitor(leaves, CONSTRAINTS).record(loss=total)


def jax_row():
    with jax.enable_x64(True):
        arrays = {name: jnp.asarray(array) for name, array in raw().items()}
        total, grads = jax.value_and_grad(lambda arrays: loss(iso.jax.constrain(arrays, CONSTRAINTS)))(arrays)
    # JAX sorts the keys of a dict; the rows are compared by name.
    return iso.jax.Monitor(arrays, CONSTRAINTS).record(arrays, grads, total)


def test_rows_agree():
    left, right = torch_row(), jax_row()
    assert set(left) == set(right)
    assert left["s.saturation"] == right["s.saturation"] == 0.5
    assert left["s.distance"] == right["s.distance"] == 0.0
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_allclose(left[name], right[name], rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_what_train_writes_is_its_history(tmp_path, backend):
    memory = iso.sinks.Memory()
    with iso.sinks.TensorBoard(tmp_path / "events") as events:
        sinks = (iso.sinks.CSV(tmp_path / "run.csv"), iso.sinks.JSONL(tmp_path / "run.jsonl"), memory, events)
        run = iso.train(SHARES, backend=backend, callbacks=sinks)
    assert run.steps == 60
    assert run.stopped == "steps"
    with (tmp_path / "run.csv").open(newline="") as file:
        names, *lines = csv.reader(file)
    assert names == ["step", "loss", "grad_norm", "w[0]", "w[1]", "w[2]", "s"]
    table = np.array([[float(cell) for cell in line] for line in lines])
    expected = np.column_stack([run.history[name] for name in ("step", "loss", "grad_norm", "w", "s")])
    np.testing.assert_array_equal(table, expected)
    read = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    for name, column in run.history.items():
        np.testing.assert_array_equal([row[name] for row in read], column)
        np.testing.assert_array_equal(memory.history[name], column)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(tmp_path / "events"), size_guidance={"scalars": 0}).Reload()
    np.testing.assert_array_equal([event.value for event in reader.Scalars("w/1")], run.history["w"][:, 1].astype(np.float32))


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_watched_rows_agree_with_a_monitor_of_the_same_values(backend):
    memory = iso.sinks.Memory()
    run = iso.train(SHARES, backend=backend, steps=10, callbacks=(iso.sinks.Watched(SHARES, memory),))
    np.testing.assert_array_equal(memory.history["w.distance"], run.history["w"].min(axis=1))
    np.testing.assert_array_equal(memory.history["s.distance"], run.history["s"])
    assert not memory.history["w.saturation"].any()


def test_the_picture_holds_both_histories():
    runs = [iso.train(SHARES, backend=backend) for backend in ("torch", "jax")]
    figure = runs[0].plot(runs[1], published={"s": 2.0})
    assert [axes.get_ylabel() for axes in figure.axes] == [*("loss", "gradient norm", "w", "s", "largest relative difference")]
    wide, narrow, published = figure.axes[3].lines
    np.testing.assert_array_equal(wide.get_ydata(), runs[0].history["s"])
    np.testing.assert_array_equal(narrow.get_ydata(), runs[1].history["s"])
    assert published.get_ydata()[0] == 2.0


def test_the_command_draws_both_backends(tmp_path):
    path = tmp_path / "run.png"
    done = CliRunner().invoke(cli.app, ["train", "scalar", "--backend", "both", "--steps", "20", "--plot", str(path)])
    assert done.exit_code == 0, done.output
    from matplotlib.image import imread

    picture = imread(path)
    assert picture.shape[0] > 500
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.05  # something is drawn


@pytest.mark.parametrize(
    ("file", "message"), [("run.txt", "its ending is no picture"), ("no/run.png", "its folder does not exist")]
)
def test_the_command_refuses_a_picture_before_it_trains(tmp_path, file, message):
    done = CliRunner().invoke(cli.app, ["train", "scalar", "--backend", "torch", "--plot", str(tmp_path / file)])
    assert message in str(done.exception)
    assert done.output == ""


@pytest.mark.parametrize(
    "name", ["isoparam.run", *(f"isoparam.sinks.{part}" for part in ("base", "files", "tensorboard", "watched"))]
)
def test_the_examples_run(name):
    found = doctest.testmod(import_module(name))
    assert found.failed == 0
    assert found.attempted > 0
