"""Faults while training: steps that are not finite, full disks, Ctrl-C. Both backends do the same, and nothing is lost."""

import errno
import os
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.checkpoints.store import read
from isoparam.errors import CheckpointError, CheckpointWarning, Interrupted, NonFiniteError, NonFiniteWarning, SpecError
from parity.test_resume import same_bits
from parity.training import falling, relative

BACKENDS = {"torch": torch, "jax": jnp}
ROWS, BATCH = 20, 1
ADAM = iso.Adam(lr=0.01)


def holed(bad, **changes):
    """A mean of the data, some rows of which are infinite where they should not be."""
    weight = np.ones(ROWS)
    weight[list(bad)] = 0.0
    data = {"y": np.random.default_rng(8).normal(2, 1, ROWS), "weight": weight}

    def loss(sqrt):
        return lambda values, batch: ((values["m"] - batch["y"]) ** 2 / sqrt(batch["weight"])).mean()

    losses = {"torch": loss(torch.sqrt), "jax": loss(jnp.sqrt)}
    settings = {"name": "holed", "constraints": {"m": iso.Positive()}, "init": {"m": 1.0}, "data": data, "loss": losses}
    return iso.Problem(**(settings | {"batch_size": BATCH} | changes))


def bad_steps(bad, steps, seed=0):
    from isoparam.batches import data_order

    rows = data_order(seed, ROWS, BATCH).indices(0, steps)[:, 0]
    return [k for k in range(steps) if rows[k] in bad]


def train(problem, backend, steps=100, **settings):
    return iso.train(problem, backend, **({"optimizer": ADAM} | settings), steps=steps)


def test_steps_that_are_not_finite_are_skipped_alike_and_counted():
    bad = (3, 11)
    runs = []
    for backend in BACKENDS:
        with pytest.warns(NonFiniteWarning, match=r"step \d+ is skipped, since its loss inf or .*skip_nonfinite=0") as caught:
            runs.append(train(holed(bad), backend))
        assert len(caught) == 1
        assert caught[0].filename == __file__
    skipped = bad_steps(bad, 100)
    for run in runs:
        assert (run.steps, run.skipped, run.stopped) == (100, len(skipped), "steps")
        assert np.flatnonzero(~np.isfinite(run.history["loss"])).tolist() == skipped
        assert run.history["step"].tolist() == list(range(100))
        for step in skipped:
            assert step == 99 or run.history["m"][step + 1] == run.history["m"][step]
    assert relative(runs[1].raw["m"], runs[0].raw["m"]) < 1e-13
    good = np.isfinite(runs[0].history["loss"])
    assert relative(runs[1].history["loss"][good], runs[0].history["loss"][good]) < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_skipped_step_is_no_update(backend):
    """Adam by hand over the good batches only: moments and bias corrections know nothing of the others."""
    bad = (3, 11)
    with pytest.warns(NonFiniteWarning):
        run = train(holed(bad, constraints={}), backend)
    from isoparam.batches import data_order

    y, m, first, second, count = holed(bad).data["y"], 1.0, 0.0, 0.0, 0
    for k, row in enumerate(data_order(0, ROWS, BATCH).indices(0, 100)[:, 0]):
        if k in bad_steps(bad, 100):
            continue
        grad, count = 2 * (m - y[row]), count + 1
        first, second = first + 0.1 * (grad - first), 0.999 * second + 0.001 * grad * grad
        m -= 0.01 * first / (1 - 0.9**count) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)
    assert run.values["m"] == pytest.approx(m, rel=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_in_a_row_end_the_run_at_the_last_good_state(backend, tmp_path):
    bad = range(ROWS)[4:]
    steps = bad_steps(bad, 400)
    first = next(k for k in steps if {k, k + 1, k + 2} <= set(steps) and k > 0)
    with pytest.raises(NonFiniteError) as caught, pytest.warns(NonFiniteWarning):
        train(holed(bad), backend, steps=400, skip_nonfinite=2, checkpoint_dir=tmp_path)
    run = caught.value.run
    last_good = max(0, first - 1)
    assert (caught.value.step, run.steps, run.stopped) == (first, last_good, "non_finite")
    assert f"at step {first + 2}, the last of 3 in a row from step {first} on" in str(caught.value)
    assert f"saved in {str(tmp_path)!r}: isoparam.resume" in str(caught.value)
    stored = read(tmp_path)
    assert (stored.settings["step"], stored.settings["stopped"]) == (last_good, "non_finite")
    assert np.isfinite(stored.state["raw/m"])
    assert len(run.history["loss"]) == (0 if first == 0 else last_good + 1)
    assert run.skipped == len([k for k in steps if k < last_good])


@pytest.mark.parametrize("backend", BACKENDS)
def test_none_is_skipped_on_request(backend):
    first = bad_steps((3, 11), 100)[0]
    with pytest.raises(NonFiniteError, match="loss inf at step") as caught:
        train(holed((3, 11)), backend, skip_nonfinite=0)
    assert (caught.value.step, caught.value.run.skipped) == (first, 0)
    with pytest.raises(SpecError, match="skip_nonfinite=-1 must be a whole number"):
        train(holed(()), backend, skip_nonfinite=-1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_that_would_come_back_the_same_is_not_tried_again(backend):
    with pytest.raises(NonFiniteError) as caught:
        iso.train(falling(), backend, optimizer=iso.SGD(lr=0.1), steps=100)
    assert "in a row" not in str(caught.value)
    assert caught.value.run.skipped == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_with_skipped_steps_goes_on_bit_for_bit(backend, tmp_path):
    bad = (3, 11)
    with pytest.warns(NonFiniteWarning):
        whole = train(holed(bad), backend)
    with pytest.warns(NonFiniteWarning):
        train(holed(bad), backend, steps=60).save(tmp_path)
    with pytest.warns(NonFiniteWarning):
        again = iso.resume(tmp_path, backend, 40, holed(bad))
    same_bits(again, whole)
    assert again.skipped == whole.skipped


def test_callbacks_see_the_rows_of_skipped_steps():
    seen = []
    with pytest.warns(NonFiniteWarning):
        train(holed((3,)), "torch", 40, callbacks=(lambda row: seen.append(int(row["step"])),))
    assert seen == list(range(40))
    first = bad_steps((3,), 40)[0]
    assert train(holed((3,)), "torch", 40, callbacks=(lambda row: row["step"] == first,)).steps == first


def full_after(monkeypatch, saves):
    """A disk that is full after so many files."""
    real, calls = os.fsync, iter(range(10**6))

    def fsync(handle):
        if next(calls) >= saves:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_disk_that_fills_up_loses_nothing(backend, tmp_path, monkeypatch):
    whole = train(holed(()), backend, 50)
    with monkeypatch.context() as patch:
        full_after(patch, 20)
        with (
            pytest.warns(CheckpointWarning, match=r"No space left on device; .*The run is at its end, and is not saved"),
            pytest.warns(CheckpointWarning, match=r"No space left on device; .* is as it was.*The run goes on"),
        ):
            run = train(holed(()), backend, 50, checkpoint_dir=tmp_path, checkpoint_every=5)
    same_bits(run, whole)
    assert 0 < read(tmp_path).settings["step"] < 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.save(tmp_path)  # there is room again
    assert read(tmp_path).settings["step"] == 50


def test_a_directory_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys.modules["isoparam.train"], "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(CheckpointError, match="Not a directory"):
        train(holed(()), "torch", checkpoint_dir=tmp_path / "file" / "runs")


def pressing(step):
    """A callback that presses Ctrl-C."""

    def press(row):
        if row["step"] == step:
            raise KeyboardInterrupt

    return press


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_saves_and_says_how_to_go_on(backend, tmp_path):
    whole = train(holed(()), backend, 60)
    with pytest.raises(Interrupted) as caught:
        train(holed(()), backend, 60, checkpoint_dir=tmp_path, callbacks=(pressing(30),))
    run = caught.value.run
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (run.steps, run.stopped, len(run.history["loss"])) == (16, "interrupted", 16)  # the first chunk has 16
    message = f"interrupted after step 16 of 60; saved in {str(tmp_path)!r}: isoparam.resume({str(tmp_path)!r}, backend="
    assert str(caught.value).startswith(message)
    assert f"isoparam resume {tmp_path} --backend {backend}, goes on" in str(caught.value)
    same_bits(iso.resume(tmp_path, backend, problem=holed(())), whole)


def test_ctrl_c_without_a_directory_keeps_the_run(tmp_path):
    with pytest.raises(Interrupted, match=r"error.run holds it, and error.run.save\('a/directory'\) keeps it") as caught:
        train(holed(()), "torch", 60, callbacks=(pressing(30),))
    caught.value.run.save(tmp_path)
    same_bits(iso.resume(tmp_path, "torch", problem=holed(())), train(holed(()), "torch", 60))


def test_ctrl_c_in_the_midst_of_an_update_keeps_the_last_whole_state(monkeypatch):
    """Half of an update is done: raw is new, the moments are old."""
    from torch_impl import train as engine

    real, calls = engine.updated, iter(range(1000))

    def update(optimizer, raw, *rest):
        if next(calls) == 25:
            raw.add_(100.0)
            raise KeyboardInterrupt
        return real(optimizer, raw, *rest)

    monkeypatch.setattr(engine, "updated", update)
    with pytest.raises(Interrupted) as caught:
        train(holed(()), "torch", 60)
    monkeypatch.undo()
    assert caught.value.run.steps == 16
    same_bits(caught.value.run, train(holed(()), "torch", 16))
