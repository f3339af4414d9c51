"""A run that is saved and goes on is the run that was never interrupted: here by its bits, in the other backend closely."""

import doctest
import json
from importlib import import_module

import numpy as np
import pytest

import isoparam as iso
import isoparam.torch
from isoparam.backends import load
from isoparam.checkpoints.store import Writer, read
from isoparam.errors import BackendError, CheckpointError, SpecError
from isoparam.optimizers import OPTIMIZERS as ALL
from isoparam.optimizers import Muon
from isoparam.settings import plan_for
from isoparam.slots import joined, split, table
from parity.test_variables import running
from parity.training import mixed, relative

BACKENDS = ("torch", "jax")
OPTIMIZERS = {
    "sgd": iso.SGD(lr=0.01, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "adam": iso.Adam(lr=0.01, amsgrad=True),
    "adamw": iso.AdamW(lr=0.01, weight_decay=0.1),
    "nadam": iso.NAdam(lr=0.01),
    "asgd": iso.ASGD(lr=0.01),
    "rprop": iso.Rprop(lr=0.001),
    "adafactor": iso.Adafactor(lr=0.01),
    "lbfgs": iso.LBFGS(history_size=4, max_iter=2, line_search_fn="strong_wolfe"),
}
STEPS = 60
# Where batches differ from step to step, or the loss has no minimum, differences of gradients are mostly noise, and
# so are signs: LBFGS and Rprop take all of the data of a problem that has one.
PROBLEMS = dict.fromkeys(("lbfgs", "rprop"), iso.problems.get("faithful"))
LENGTHS = {"lbfgs": 10, "rprop": 20}
# Largest distance over the largest entry, float64: both backends round alike but for the last places; the direction of LBFGS
# is a quotient of differences, which multiplies them.
CLOSE = dict.fromkeys(OPTIMIZERS, 1e-13) | {"lbfgs": 1e-8}


def train(problem, backend, steps, **settings):
    return iso.train(problem, backend, **({"optimizer": OPTIMIZERS["adam"], "seed": 3} | settings), steps=steps)


def same_bits(ours, theirs):
    for tree in ("raw", "values", "variables", "history"):
        a, b = getattr(ours, tree), getattr(theirs, tree)
        assert list(a) == list(b)
        for name in a:
            assert a[name].dtype == b[name].dtype, (tree, name)
            assert a[name].tobytes() == b[name].tobytes(), (tree, name)
    for name, array in ours.checkpoint.state.items():
        assert array.tobytes() == theirs.checkpoint.state[name].tobytes(), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_k_steps_and_the_rest_are_all_steps(name, tmp_path):
    problem, optimizer, steps = PROBLEMS.get(name, mixed()), OPTIMIZERS[name], LENGTHS.get(name, STEPS)
    whole = {backend: train(problem, backend, steps, optimizer=optimizer) for backend in BACKENDS}
    rng = np.random.default_rng(11)
    for first in BACKENDS:
        k = int(rng.integers(1, steps))
        folder = tmp_path / first
        train(problem, first, k, optimizer=optimizer).save(folder)
        same_bits(iso.resume(folder, first, steps=steps - k, problem=problem), whole[first])
        other = iso.resume(folder, BACKENDS[first == "torch"], steps=steps - k, problem=problem)
        assert (other.steps, other.backend) == (steps, BACKENDS[first == "torch"])
        for wanted in whole.values():
            for tree in ("raw", "values", "history"):
                for key, value in getattr(wanted, tree).items():
                    assert relative(getattr(other, tree)[key], value) < CLOSE[name], (tree, key)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "settings",
    [{"dtype": "float32"}, {"dtype": "bfloat16"}, {"method": "projected"}, {"record_every": 7}, {"record": ("w*", "small")}],
    ids=str,
)
def test_every_setting_goes_with_the_run(backend, settings, tmp_path):
    problem = mixed()
    train(problem, backend, 23, **settings).save(tmp_path)
    same_bits(iso.resume(tmp_path, backend, 18, problem), train(problem, backend, 41, **settings))


@pytest.mark.parametrize("first", BACKENDS)
def test_the_variables_of_a_module_go_over(first, tmp_path):
    whole = {backend: train(running(), backend, 40) for backend in BACKENDS}
    train(running(), first, 17).save(tmp_path)
    for second in BACKENDS:
        run = iso.resume(tmp_path, second, 23, running())
        assert run.variables["calls"] == 40
        assert relative(run.variables["mean"], whole[second].variables["mean"]) < 1e-14
        if first == second:
            same_bits(run, whole[second])


@pytest.mark.parametrize("backend", BACKENDS)
def test_there_and_back_and_there_again(backend, tmp_path):
    problem = iso.problems.get("linkage")
    optimizer = iso.Adam(lr=0.01)
    whole = iso.train(problem, backend, optimizer, steps=90)
    iso.train(problem, "torch", optimizer, steps=30).save(tmp_path)
    for second in ("jax", "torch"):
        iso.resume(tmp_path, second, steps=20).save(tmp_path)
    run = iso.resume(tmp_path, "jax", steps=20)
    assert relative(run.raw["t"], whole.raw["t"]) < 1e-13
    legs = [(leg["backend"], leg["first"], leg["last"]) for leg in run.checkpoint.settings["legs"]]
    assert legs == [("torch", 0, 30), ("jax", 30, 50), ("torch", 50, 70), ("jax", 70, 90)]


def test_without_steps_it_goes_on_to_where_it_was_to_end(tmp_path):
    problem = iso.problems.get("linkage")
    whole = iso.train(problem, "torch")
    stopped = iso.train(problem, "torch", callbacks=(lambda row: row["step"] == 5,), checkpoint_dir=tmp_path)
    assert (stopped.steps, stopped.stopped, whole.stopped) == (5, "callback", "tol_grad")
    again = iso.resume(tmp_path, "torch")
    same_bits(again, whole)
    assert again.stopped == "tol_grad"
    assert iso.resume(tmp_path, "torch").steps == whole.steps  # nothing is left to do


@pytest.mark.parametrize("backend", BACKENDS)
def test_saving_on_the_way_changes_nothing(backend, tmp_path):
    problem = mixed()
    whole = train(problem, backend, 50)
    same_bits(train(problem, backend, 50, checkpoint_dir=tmp_path, checkpoint_every=9), whole)
    stored = read(tmp_path)
    assert (stored.settings["step"], stored.settings["stopped"]) == (50, "steps")
    before = read(tmp_path / "previous.json")
    assert (before.settings["step"], before.settings["stopped"]) == (45, "running")
    same_bits(iso.resume(tmp_path / "previous.json", backend, problem=problem), whole)


def test_a_resumed_run_goes_on_being_saved_where_it_was(tmp_path):
    train(mixed(), "torch", 20, checkpoint_dir=tmp_path, checkpoint_every=5)
    iso.resume(tmp_path, "torch", 20, mixed())
    assert read(tmp_path).settings["step"] == 40
    other = tmp_path / "other"
    iso.resume(tmp_path, "torch", 20, mixed(), checkpoint_dir=other)
    assert (read(tmp_path).settings["step"], read(other).settings["step"]) == (40, 60)
    run = train(mixed(), "torch", 20)
    run.save(tmp_path / "quiet")
    iso.resume(tmp_path / "quiet", "torch", 20, mixed())
    assert read(tmp_path / "quiet").settings["step"] == 20


def test_a_new_run_does_not_replace_a_saved_one(tmp_path):
    run = train(mixed(), "torch", 3, checkpoint_dir=tmp_path)
    with pytest.raises(CheckpointError, match=r"holds a checkpoint already, which a new run would replace; .*isoparam.resume"):
        train(mixed(), "torch", 3, checkpoint_dir=tmp_path)
    run.save(tmp_path)
    with pytest.raises(CheckpointError, match="holds the checkpoint of another problem"):
        iso.train(iso.problems.get("scalar"), "torch", steps=1).save(tmp_path)


OTHERS = {
    "constraint": ({"constraints": dict(mixed().constraints) | {"scale": iso.Positive(link="exp")}}, "'scale' was Positive"),
    "shape": ({"init": dict(mixed().init) | {"small": np.full(4, 0.4)}}, r"'small' was .* of shape \[2, 2\], and is"),
    "parameter": ({"constraints": {}, "init": {"a": 1.0}}, "its parameters are 'levels', 'offset'.*; here they are 'a'"),
    "data": ({"data": {n: np.array(a) * 2 for n, a in mixed().data.items()}}, r"data\['x'\] holds other numbers"),
    "batch": ({"batch_size": 9}, "its batch_size is 8, here it is 9"),
}


@pytest.mark.parametrize(("changes", "message"), OTHERS.values(), ids=OTHERS)
def test_another_problem_is_refused(changes, message, tmp_path):
    train(mixed(), "torch", 3).save(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        iso.resume(tmp_path, "torch", problem=mixed(**changes))


def test_arguments_that_cannot_be_right(tmp_path):
    train(mixed(), "torch", 3).save(tmp_path)
    with pytest.raises(SpecError, match=r"is of 'mixed', which is not built in; resume\(\.\.\., problem=problem\)"):
        iso.resume(tmp_path, "torch")
    with pytest.raises(SpecError, match="problem='mixed' must be an isoparam"):
        iso.resume(tmp_path, "torch", problem="mixed")
    with pytest.raises(SpecError, match="steps=0 must be a whole number"):
        iso.resume(tmp_path, "torch", 0, mixed())
    with pytest.raises(BackendError, match="unknown backend 'tensorflow'"):
        iso.resume(tmp_path, "tensorflow", problem=mixed())
    with pytest.raises(BackendError, match="unknown device='tpu'"):
        iso.resume(tmp_path, "torch", problem=mixed(), device="tpu")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        iso.resume(tmp_path / "no", "torch", problem=mixed())
    with pytest.raises(SpecError, match="folder=3 must be a directory"):
        iso.resume(3, "torch")
    with pytest.raises(SpecError, match="checkpoint_every=5 needs checkpoint_dir"):
        train(mixed(), "torch", 3, checkpoint_every=5)


NULL = object()


def changed(path, *keys, value):
    """A checkpoint that was sealed with another setting or array."""

    def change(stored):
        part = stored
        for key in keys[:-1]:
            part = part[key]
        if value is None:
            del part[keys[-1]]
        elif value is NULL:
            part[keys[-1]] = None
        else:
            part[keys[-1]] = value

    return change


FOREIGN = {
    "optimizer": (("settings", "asked", "optimizer", "of"), "Popen", "names 'Popen', which is none of SGD, Adam"),
    "arguments": (("settings", "asked", "optimizer", "entries"), {"lr": 1.0}, "gives Adam the arguments lr"),
    "range": (("settings", "asked", "optimizer", "entries", "lr"), -1.0, "holds a Adam that cannot be"),
    "no-optimizer": (("settings", "asked", "optimizer"), 3, "holds settings that no run has: optimizer=3"),
    "dtype": (("settings", "asked", "dtype"), "float16", "settings that no run has: unknown dtype"),
    "seed": (("settings", "asked", "seed"), "x", "settings that no run has: seed='x'"),
    "record": (("settings", "asked", "record"), ["nowhere"], "settings that no run has: record='nowhere' matches"),
    "step": (("settings", "step"), -1, "are not those of a run"),
    "float-step": (("settings", "step"), 1.5, "are not those of a run"),
    "updates": (("settings", "updates"), 99, "are not those of a run"),
    "goal": (("settings", "goal", "steps"), "many", "settings that no run has: steps='many'"),
    "no-goal": (("settings", "goal"), [], "are not those of a run"),
    "more": (("settings", "more"), 1, "are not those of a run"),
    "legs": (("settings", "legs"), 1, "are not those of a run"),
    "no-legs": (("settings", "legs"), [], "are not those of a run: legs"),
    "junk-leg": (("settings", "legs", 0), {"backend": "torch"}, "are not those of a run: legs"),
    "leg-backend": (("settings", "legs", 0, "backend"), [1], "are not those of a run: legs"),
    "leg-versions": (("settings", "legs", 0, "versions"), {"torch": 2}, "are not those of a run: legs"),
    "leg-first": (("settings", "legs", 0, "first"), 1, "are not those of a run: legs"),
    "leg-last": (("settings", "legs", 0, "last"), 2, "are not those of a run: legs"),
    "null-optimizer": (("settings", "asked", "optimizer"), NULL, "settings that no run has: optimizer=None is no optimizer"),
    "null-dtype": (("settings", "asked", "dtype"), NULL, "settings that no run has: dtype=None"),
    "device": (("settings", "asked", "device"), "tpu", "settings that no run has: device=tpu"),
    "method": (("settings", "asked", "method"), 3, "settings that no run has: method=3"),
    "numerics": (("settings", "asked", "numerics"), NULL, "settings that no run has: numerics=None"),
    "record-kind": (("settings", "asked", "record"), 7, "settings that no run has: record=7"),
    "policy": (("settings", "asked", "policy"), NULL, "settings that no run has: policy=None"),
    "policy-entry": (("settings", "asked", "policy", "entries", "clip"), None, "settings that no run has: policy"),
    "few-updates": (("settings", "updates"), 1, "are not those of a run: updates is 1 after 3 steps, of which 0"),
    "data": (("settings", "data"), {}, "are not those of a run: data"),
    "data-rows": (("settings", "data", "rows"), 5, "are not those of a run: data"),
    "stopped": (("settings", "stopped"), ["steps"], "are not those of a run: stopped"),
    "constrained": (("settings", "constrained"), ["x"], "are not those of a run: constrained"),
    "every": (("settings", "saving"), {"on": True, "every": 0}, "are not those of a run: saving"),
    "every-text": (("settings", "saving"), {"on": True, "every": "5"}, "are not those of a run: saving"),
    "no-problem": (("settings", "problem"), 3, "are not those of a run: problem"),
    "no-name": (("settings", "problem", "name"), NULL, "are not those of a run: problem"),
    "tolerance": (("settings", "goal", "tol_grad"), "small", "settings that no run has: tol_grad='small'"),
    "skips": (("settings", "goal", "skip_nonfinite"), -1, "settings that no run has: skip_nonfinite=-1"),
    "fingerprint": (("settings", "problem"), {"name": "mixed"}, "does not say what it is of"),
    "missing-raw": (("state", "raw/scale"), None, "the checkpoint has nothing for 'raw/scale', where the run needs float64"),
    "shape-raw": (("state", "raw/scale"), np.zeros(1), r"has float64 of shape \(1,\) for 'raw/scale'"),
    "dtype-raw": (("state", "raw/scale"), np.zeros((), np.float32), "has float32 of shape .* for 'raw/scale'"),
    "nan-raw": (("state", "raw/scale"), np.array(np.nan), "the raw parameters of the checkpoint are not finite"),
    "other-raw": (("state", "raw/scale"), np.array(3.0), "the raw of 'scale' in the checkpoint means another value here"),
    "moment": (("state", "optimizer/exp_avg/scale"), None, "has nothing for 'optimizer/exp_avg/scale'"),
    "left-over": (("state", "optimizer/exp_inf/scale"), np.zeros(()), "'optimizer/exp_inf/scale', where the run needs nothing"),
    "variable": (("state", "variable/mean"), np.zeros(()), "carries nothing for the variable 'mean' here"),
    "column": (("history", "loss"), None, "the history of the checkpoint has the columns"),
    "rows": (("history", "step"), np.array([0, 1, 1]), "does not have the rows of its steps"),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "value", "message"), FOREIGN.values(), ids=FOREIGN)
def test_a_checkpoint_of_anything_else_is_refused_whole(keys, value, message, tmp_path):
    train(mixed(), "torch", 3).save(tmp_path)
    stored = read(tmp_path)
    content = {"settings": stored.settings, "state": stored.state, "history": stored.history}
    changed(tmp_path, *keys, value=value)(content)
    if keys[0] == "history" and value is not None:
        content["history"] = {name: column[: len(value)] for name, column in content["history"].items()}
    Writer(tmp_path).write(**content)
    with pytest.raises(CheckpointError, match=message):
        iso.resume(tmp_path, "torch", 1, mixed())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", [*(kind() for kind in ALL if kind is not Muon), *OPTIMIZERS.values()], ids=str)
def test_every_optimizer_has_its_row_and_every_entry_its_place(optimizer, backend):
    problem = mixed(init=dict(mixed().init) | {"plane": np.ones((2, 3))})
    loop = load(backend).train.Loop(problem, plan := plan_for(problem, optimizer, 0, None, "cpu", None, 1))
    fresh = loop.state()["slots"]
    rng = np.random.default_rng(3)
    slots = {name: np.asarray(rng.normal(0, 9, slot.shape)).astype(slot.dtype) for name, slot in fresh.items()}
    named = split(optimizer, slots, plan.layout)
    wanted = {name: (entry.shape, entry.dtype("float64")) for name, entry in table(optimizer, plan.layout).items()}
    assert {name: (array.shape, array.dtype) for name, array in named.items()} == wanted
    again = joined(optimizer, named, plan.layout, fresh)
    assert all(np.array_equal(again[name], slot) for name, slot in slots.items())
    assert list(again) == list(slots)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_state_has_the_names_of_torch(backend):
    import torch

    problem = mixed()
    run = train(problem, backend, 5)
    leaves = {name: torch.tensor(raw, requires_grad=True) for name, raw in run.raw.items()}
    genuine = iso.torch.optimizer(OPTIMIZERS["adam"], leaves)
    for leaf in leaves.values():
        leaf.grad = torch.ones_like(leaf)
    genuine.step()
    for name, entries in zip(leaves, genuine.state_dict()["state"].values(), strict=True):
        for entry, array in entries.items():
            if entry != "step":
                assert run.checkpoint.state[f"optimizer/{entry}/{name}"].shape == tuple(array.shape)
    assert json.dumps(run.checkpoint.data())


@pytest.mark.parametrize("name", ["resume", "slots", "handover"])
def test_examples_of(name):
    found = doctest.testmod(import_module(f"isoparam.{name}"))
    assert found.attempted
    assert not found.failed
