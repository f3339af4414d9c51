"""Whatever `train` accepts can be saved and goes on: settings in the types of numpy and of the command line too."""

from enum import StrEnum

import numpy as np
import pytest
from typer.testing import CliRunner

import isoparam as iso
from isoparam import cli
from isoparam.checkpoints.data import decode, encode
from isoparam.checkpoints.store import read
from isoparam.errors import SpecError
from isoparam.schedules import Schedule
from parity.test_resume import same_bits
from parity.training import mixed


class Kind(StrEnum):
    FLOAT32 = "float32"
    PROJECTED = "projected"
    CPU = "cpu"


OPTIONS = {
    "--dtype": cli.Dtype,
    "--method": cli.Method,
    "--optimizer": cli.Algorithm,
    "--device": (cli.Device.CPU,),
    "--numerics": (cli.Numerics.FAST,),  # exact: see test_exact
}
CHOICES = [(option, str(choice)) for option, choices in OPTIONS.items() for choice in choices]
CHOICES.remove(("--optimizer", "muon"))  # it trains matrices, and the built-in problems have none
BESIDE = {"projected": ["--optimizer", "adam"]}  # the recipe has LBFGS, which takes no part in it


@pytest.mark.parametrize(("option", "choice"), CHOICES, ids=[" ".join(choice) for choice in CHOICES])
def test_every_choice_of_the_command_line_is_saved_and_goes_on(option, choice, tmp_path):
    folder = str(tmp_path / "run")
    command = ["train", "linkage", "--backend", "torch", "--steps", "1", option, choice, *BESIDE.get(choice, [])]
    saved = CliRunner().invoke(cli.app, [*command, "--checkpoint", folder], catch_exceptions=False)
    assert saved.exit_code == 0, saved.output
    again = CliRunner().invoke(cli.app, ["resume", folder, "--backend", "torch", "--steps", "1"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert read(tmp_path / "run").settings["step"] == 2


SETTINGS = {
    "clip-inf": {"clip": iso.ClipByNorm(0.5, float("inf"))},
    "groups": {"groups": {np.str_("scale"): {"lr": np.float64(0.1), "betas": np.array([0.5, 0.75])}}},
    "lr": {"optimizer": iso.Adam(lr=np.float32(0.25))},
    "accumulate": {"accumulate": np.int64(2)},
    "dtype": {"dtype": np.str_("float32")},
    "enumeration": {"dtype": Kind.FLOAT32, "method": Kind.PROJECTED, "device": Kind.CPU},
    "record": {"record": (np.str_("w*"),), "record_every": np.int64(2)},
    "record-array": {"record": np.array(["w*", "small"])},
    "decay": {"optimizer": iso.AdamW(weight_decay=0.1), "decay": {np.str_("scale"): np.str_("none")}},
    "frozen": {"frozen": {np.str_("scale")}},
    "goal": {"seed": np.int64(5), "tol_grad": np.float32(1e-9), "skip_nonfinite": np.int32(3)},
    "narrow": {"dtype": "float32", "compute_dtype": np.str_("bfloat16")},
    "step-size": {"schedule": iso.StepLR(np.int64(3), gamma=np.float64(0.5))},
    "text": {"schedule": iso.CyclicLR(0.01, 0.1, step_size_up=2, mode=np.str_("triangular2"))},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_train_takes_is_saved_and_goes_on(name, tmp_path):
    settings = {"optimizer": iso.Adam(lr=0.01), "steps": np.int64(6)} | SETTINGS[name]
    problem = mixed(batch_size=np.int64(4))
    iso.train(problem, "torch", **settings).save(tmp_path / "saved")
    run = iso.train(problem, "torch", **settings, checkpoint_dir=tmp_path / "kept", checkpoint_every=np.int64(2))
    whole = iso.train(mixed(batch_size=4), "torch", **(settings | {"steps": 10}))
    same_bits(iso.resume(tmp_path / "saved", "torch", np.int64(4), problem), whole)
    same_bits(iso.resume(tmp_path / "kept", "torch", 4, problem), whole)
    assert run.checkpoint.settings["saving"] == {"on": True, "every": 2}


def test_a_recipe_of_numpy_is_saved_and_goes_on(tmp_path):
    recipe = iso.Recipe(iso.Adam(), np.int64(4), tol_grad=np.float32(0), dtype=np.str_("float32"))
    problem = mixed(name=np.str_("mixed"), recipe=recipe)
    iso.train(problem, "torch").save(tmp_path)
    assert iso.resume(tmp_path, "torch", 3, mixed(recipe=recipe)).steps == 7


class Own(Schedule):
    """A schedule of a user, whose class no checkpoint may name."""

    def settings(self, optimizer):
        while True:
            yield {"lr": optimizer.lr}


def test_what_no_checkpoint_holds_is_told_before_the_work():
    rows = []
    with pytest.raises(SpecError, match=r"schedule: .*Own\(\) cannot be saved: a checkpoint holds numbers"):
        iso.train(iso.problems.get("linkage"), "torch", iso.Adam(), Own(), steps=5, callbacks=(rows.append,))
    assert rows == []


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), (1.0, float("inf"))], ids=str)
def test_infinity_comes_back(value):
    assert decode(encode("x", value)) == value


def test_nan_is_no_setting():
    with pytest.raises(SpecError, match="x: nan cannot be saved"):
        encode("x", float("nan"))
