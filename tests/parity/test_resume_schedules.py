"""A run with a schedule goes on at the rate where it stopped, in either backend."""

import json

import numpy as np
import pytest

import isoparam as iso
from isoparam.checkpoints.data import decode, encode
from isoparam.checkpoints.store import Writer, read
from isoparam.errors import CheckpointError, SpecError
from isoparam.schedules import SCHEDULES
from parity.test_resume import BACKENDS, same_bits, train
from parity.test_schedules import ROWS
from parity.training import mixed, relative

WITHOUT_FUNCTIONS = {name: row for name, row in ROWS.items() if "lambda" not in repr(row)}
OPTIMIZERS = {
    "cyclic-halving": iso.AdamW(lr=0.01),  # cycles the first beta
    "one-cycle": iso.SGD(lr=0.01, momentum=0.9),  # cycles the momentum
    "warm-cosine": iso.Adam(lr=0.01),
    "chained-sequence": iso.Adagrad(lr=0.05),
    "restarts": iso.NAdam(lr=0.01),
    "through-0": iso.SGD(lr=0.01, momentum=0.9),
    "from-0": iso.SGD(lr=0.01),
}
SMALL = {
    "one-cycle": iso.OneCycleLR(0.02, total_steps=40),
    "cyclic-halving": iso.CyclicLR(1e-4, 0.02, 7, mode="triangular2"),
    "through-0": iso.CyclicLR(1e-4, 0.01, 3, base_momentum=0.0),
    "from-0": iso.CyclicLR(1e-4, 0.01, 20, base_momentum=0.9, max_momentum=0.0),
}


@pytest.mark.parametrize("name", WITHOUT_FUNCTIONS)
def test_a_schedule_is_itself_after_json(name):
    assert decode(json.loads(json.dumps(encode("schedule", ROWS[name])))) == ROWS[name]


def test_every_schedule_that_train_follows_has_a_row():
    assert {type(row) for row in ROWS.values()} == set(SCHEDULES) - {iso.ReduceLROnPlateau}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_k_steps_and_the_rest_are_all_steps(name, tmp_path):
    problem, steps = mixed(), 40
    settings = {"optimizer": OPTIMIZERS[name], "schedule": SMALL.get(name) or ROWS[name]}
    whole = {backend: train(problem, backend, steps, **settings) for backend in BACKENDS}
    constant = train(problem, "torch", steps, optimizer=OPTIMIZERS[name])
    assert any(np.any(constant.raw[key] != value) for key, value in whole["torch"].raw.items())
    rng = np.random.default_rng(5)
    for first, second in (BACKENDS, BACKENDS[::-1]):
        k = int(rng.integers(1, steps))
        train(problem, first, k, **settings).save(tmp_path / first)
        same_bits(iso.resume(tmp_path / first, first, steps - k, problem), whole[first])
        other = iso.resume(tmp_path / first, second, steps - k, problem)
        for wanted in whole.values():
            for tree in ("raw", "values", "history"):
                for key, value in getattr(wanted, tree).items():
                    assert relative(getattr(other, tree)[key], value) < 1e-13, (tree, key)


@pytest.mark.parametrize("chained", [False, True], ids=["alone", "chained"])
def test_a_function_is_given_again(chained, tmp_path):
    own = iso.LambdaLR(lambda k: 1 / (1 + k))
    schedule = iso.ChainedScheduler((iso.ExponentialLR(0.9), own)) if chained else own
    train(mixed(), "torch", 9, schedule=schedule, checkpoint_dir=tmp_path)
    with pytest.raises(SpecError, match=r"LambdaLR, whose function no checkpoint holds; give its schedule again: resume\("):
        iso.resume(tmp_path, "jax", 3, mixed())
    with pytest.raises(SpecError, match=r"schedule=StepLR\(.* is not that of the saved run"):
        iso.resume(tmp_path, "jax", 3, mixed(), schedule=iso.StepLR(3))
    same_bits(iso.resume(tmp_path, "torch", 3, mixed(), schedule=schedule), train(mixed(), "torch", 12, schedule=schedule))


def test_another_schedule_is_refused(tmp_path):
    train(mixed(), "torch", 9, schedule=iso.StepLR(3)).save(tmp_path)
    runs = [iso.resume(tmp_path, "torch", 1, mixed(), schedule=schedule) for schedule in (iso.StepLR(3), None)]
    same_bits(*runs)
    with pytest.raises(SpecError, match=r"schedule=StepLR\(step_size=4.* is not that of the saved run"):
        iso.resume(tmp_path, "torch", 3, mixed(), schedule=iso.StepLR(4))


def test_no_steps_beyond_the_end_of_a_schedule(tmp_path):
    train(mixed(), "torch", 5, schedule=iso.OneCycleLR(0.02, total_steps=10), optimizer=iso.SGD(lr=0.1, momentum=0.9)).save(
        tmp_path
    )
    assert iso.resume(tmp_path, "torch", 6, mixed()).steps == 11  # torch too has one rate more
    with pytest.raises(SpecError, match="has 11 rates"):
        iso.resume(tmp_path, "torch", 7, mixed())


def test_what_is_no_schedule_is_refused(tmp_path):
    train(mixed(), "torch", 3).save(tmp_path)
    stored = read(tmp_path)
    for name, wrong in {"adam": iso.Adam(), "number": 3}.items():
        settings = stored.settings | {"asked": stored.settings["asked"] | {"schedule": encode("schedule", wrong)}}
        Writer(tmp_path / name).write(settings, stored.state, stored.history)
        with pytest.raises(CheckpointError, match="a schedule that is none"):
            iso.resume(tmp_path / name, "torch", 3, mixed())


def test_the_momentum_that_a_schedule_brings_goes_with_the_run(tmp_path):
    """The optimizer has none by itself, and still a buffer from the first update on."""
    settings = {"optimizer": iso.SGD(lr=0.01), "schedule": iso.OneCycleLR(0.02, total_steps=40)}
    whole = train(mixed(), "torch", 40, **settings)
    train(mixed(), "torch", 17, **settings).save(tmp_path)
    same_bits(iso.resume(tmp_path, "torch", 23, mixed()), whole)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", [iso.Muon(), iso.Adafactor()], ids=["muon", "adafactor"])
def test_an_optimizer_of_matrices_trains_beside_a_constant(backend, optimizer):
    problem = iso.Problem(
        name="beside", constraints={"f": iso.Fixed(2.0)}, init={"w": np.ones((2, 3)), "f": 2.0},
        loss=lambda values, batch: ((values["w"] - values["f"]) ** 2).sum(),
    )  # fmt: skip
    run = iso.train(problem, backend, optimizer, steps=3)
    assert run.values["f"] == 2.0
    assert np.all(run.values["w"] != 1.0)
