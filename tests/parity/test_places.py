"""Where a run is saved: paths that are none, other runs that are there already, and Ctrl-C while it is saved."""

import errno
import warnings

import pytest
import torch

import isoparam as iso
import isoparam.torch
from isoparam.checkpoints import disk
from isoparam.checkpoints.keeper import Keeper
from isoparam.checkpoints.store import read
from isoparam.errors import CheckpointError, CheckpointWarning, Interrupted, SaturationWarning, SpecError
from torch_impl.exact import equal_steps

LINKAGE, ADAM = iso.problems.get("linkage"), iso.Adam(lr=0.01)
LONG = "x" * 300


def trained(steps=3, optimizer=ADAM, **settings):
    return iso.train(LINKAGE, "torch", optimizer, steps=steps, **settings)


@pytest.fixture(scope="module")
def run():
    return trained()


@pytest.mark.parametrize("folder", ["", None, 3, "a\0b", b"a"], ids=repr)
@pytest.mark.parametrize("call", ["save", "resume", "checkpoint_dir", "export"])
def test_what_is_no_path_is_named(call, folder, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = {
        "save": lambda: run.save(folder),
        "resume": lambda: iso.resume(folder, "torch"),
        "checkpoint_dir": lambda: trained(checkpoint_dir=folder, checkpoint_every=1),
        "export": lambda: run.export(folder, "npz"),
    }
    name = {"save": "save: folder", "resume": "resume: folder", "export": "export: path"}.get(call, call)
    with pytest.raises(SpecError, match=rf"^{name}=.* must be a|checkpoint_every=1 needs checkpoint_dir"):
        calls[call]()
    assert list(tmp_path.iterdir()) == []


def test_a_home_is_not_made_here(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"save: folder='~/runs': only a shell reads ~ as your home; write Path\('~/runs'\)"):
        run.save("~/runs")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_disk_has_is_told(run, tmp_path):
    with pytest.raises(CheckpointError, match="File name too long; name another directory"):
        run.save(tmp_path / LONG)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        iso.resume(tmp_path / LONG, "torch")
    with pytest.raises(CheckpointError, match=r"cannot write .*File name too long"):
        run.export(tmp_path / LONG, "npz")


@pytest.mark.parametrize("name", ["file", "file/within"])
def test_a_file_is_no_directory(name, run, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match=r"cannot save in .*: (File exists|Not a directory); name another directory$"):
        run.save(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("form", ["torch", "npz"])
def test_an_export_is_a_file(form, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", "..", tmp_path):
        with pytest.raises(CheckpointError, match="it is a directory; name a file in it"):
            run.export(path, form)


OTHERS = {
    "optimizer": (lambda: trained(optimizer=iso.SGD(lr=1e-3)), r"another run, whose optimizer is .*Adam.*, not .*SGD.*"),
    "seed": (lambda: trained(seed=1), "another run, whose seed is 0, not 1"),
    "shorter": (lambda: trained(2), "a run of 3 steps, and this one has 2"),
    "problem": (lambda: iso.train(iso.problems.get("scalar"), "torch", ADAM, steps=3), "another problem, 'linkage'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_replaced_on_request_alone(name, run, tmp_path):
    run.save(tmp_path)
    before = (tmp_path / "checkpoint.json").read_bytes()
    make, message = OTHERS[name]
    other = make()
    with pytest.raises(CheckpointError, match=rf"holds the checkpoint of {message}; .*run.save\(.*, overwrite=True\)"):
        other.save(tmp_path)
    assert (tmp_path / "checkpoint.json").read_bytes() == before
    other.save(tmp_path, overwrite=True)
    assert read(tmp_path).settings["step"] == other.steps
    assert (tmp_path / "previous.json").read_bytes() == before


def test_the_same_run_is_saved_again_and_further(run, tmp_path):
    run.save(tmp_path)
    run.save(tmp_path)
    trained(5).save(tmp_path)
    iso.resume(tmp_path, "jax", 2).save(tmp_path)
    assert read(tmp_path).settings["step"] == 7


def pressed_while_saving(monkeypatch, times):
    """Ctrl-C, so many times, in the saves after the first one, which is at the begin."""
    real, calls = Keeper.save, iter(range(100))

    def save(self, *rest):
        if 1 <= next(calls) <= times:
            raise KeyboardInterrupt
        real(self, *rest)

    monkeypatch.setattr(Keeper, "save", save)


def test_ctrl_c_in_the_last_save_loses_nothing(run, tmp_path, monkeypatch):
    pressed_while_saving(monkeypatch, 1)
    with pytest.raises(Interrupted, match="interrupted after step 3 of 3; saved in") as caught:
        trained(checkpoint_dir=tmp_path)
    assert caught.value.run.values == run.values
    assert (caught.value.run.stopped, read(tmp_path).settings["step"]) == ("steps", 3)


def test_ctrl_c_again_and_again_keeps_the_run(run, tmp_path, monkeypatch):
    pressed_while_saving(monkeypatch, 2)
    with pytest.raises(Interrupted, match=r"interrupted after step 3 of 3; error.run holds it") as caught:
        trained(checkpoint_dir=tmp_path)
    monkeypatch.undo()
    caught.value.run.save(tmp_path)
    assert iso.resume(tmp_path, "torch", 1).steps == 4
    assert caught.value.run.values == run.values


def test_a_run_that_is_not_saved_at_its_end_does_not_go_on(tmp_path, monkeypatch):
    real, calls = disk.replace, iter(range(1000))

    def replace(path, content):
        if next(calls) >= 3:  # the first save has three files
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(disk, "replace", replace)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(checkpoint_dir=tmp_path)
    messages = [str(warning.message) for warning in told if warning.category is CheckpointWarning]
    assert len(messages) == 1
    assert "Make room, or name another directory. The run is at its end, and is not saved; save it elsewhere" in messages[0]


def test_a_program_without_a_name_may_train():
    """Warnings look for the line of the caller, whose globals need not have a __name__."""
    program = "run = iso.train(problem, 'torch', iso.SGD(lr=1e6), steps=40)"
    space = {"iso": iso, "problem": iso.problems.get("scalar")}
    with pytest.warns(SaturationWarning, match="is saturated"):
        exec(program, space)
    assert space["run"].steps == 40


class Mine(iso.Adam):
    pass


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_class_of_its_own_is_no_optimizer(backend):
    with pytest.raises(SpecError, match="Mine is a class of its own, whose step no backend knows; the specs are final"):
        iso.train(LINKAGE, backend, Mine(), steps=1)


@pytest.mark.parametrize("params", [torch.nn.Linear(2, 2), torch.nn.Sequential(), 3], ids=lambda params: type(params).__name__)
def test_a_module_is_no_list_of_parameters(params):
    with pytest.raises(SpecError, match=r"must be tensors, .*; of a module write optimizer\(spec, module.parameters\(\)\)"):
        iso.torch.optimizer(ADAM, params)


def test_exact_steps_leave_the_threads_alone(monkeypatch):
    """Below the smallest grain of torch no other thread takes part; above it they are back after the block."""
    told = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    with equal_steps(2047):
        assert told == []
    with equal_steps(2048):
        assert told == [1]
    assert told == [1, 4]
