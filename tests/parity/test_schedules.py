"""Every schedule gives the rates of torch.optim.lr_scheduler, at every step and past its end."""

from inspect import signature
from itertools import islice

import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.schedules import SCHEDULES, timetable
from torch_impl.optim import optimizer

STEPS = 300
WARM = iso.LinearLR(start_factor=0.1, total_iters=10)
ROWS = {
    "lambda": iso.LambdaLR(lambda k: 0.97**k),
    "step": iso.StepLR(7, gamma=0.7),
    "multi-step": iso.MultiStepLR((0, 3, 30, 30, 200), gamma=0.3),
    "constant": iso.ConstantLR(factor=0.3, total_iters=12),
    "linear": iso.LinearLR(start_factor=0.3, end_factor=0.8, total_iters=50),
    "linear-falling": iso.LinearLR(start_factor=1.0, end_factor=0.01, total_iters=299),
    "exponential": iso.ExponentialLR(0.97),
    "polynomial": iso.PolynomialLR(total_iters=100, power=2.5),
    "cosine": iso.CosineAnnealingLR(T_max=37, eta_min=1e-4),
    "cosine-to-zero": iso.CosineAnnealingLR(T_max=250),
    "restarts": iso.CosineAnnealingWarmRestarts(13, T_mult=2, eta_min=1e-3),
    "restarts-even": iso.CosineAnnealingWarmRestarts(17),
    "one-cycle": iso.OneCycleLR(0.5, total_steps=STEPS),
    "one-cycle-linear": iso.OneCycleLR(0.5, epochs=30, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.41),
    "one-cycle-three": iso.OneCycleLR(0.5, total_steps=STEPS, three_phase=True, cycle_momentum=False),
    "cyclic": iso.CyclicLR(1e-3, 0.2, step_size_up=11, step_size_down=23),
    "cyclic-halving": iso.CyclicLR(1e-3, 0.2, step_size_up=11, mode="triangular2", cycle_momentum=False),
    "cyclic-decaying": iso.CyclicLR(1e-3, 0.2, step_size_up=40, mode="exp_range", gamma=0.99),
    "warm-cosine": iso.SequentialLR((WARM, iso.CosineAnnealingLR(T_max=100)), milestones=(10,)),
    "four-in-a-row": iso.SequentialLR(
        (iso.ConstantLR(0.5, 3), iso.ExponentialLR(0.9), iso.CosineAnnealingWarmRestarts(9), iso.MultiStepLR((0, 20), 0.5)),
        milestones=(5, 40, 90),
    ),
    "from-the-second": iso.SequentialLR((WARM, iso.PolynomialLR(20), iso.LambdaLR(lambda k: 1 / (k + 1))), milestones=(0, 60)),
    "sequence-of-cycles": iso.SequentialLR((iso.CyclicLR(1e-3, 0.2, step_size_up=5), iso.StepLR(10)), milestones=(50,)),
    "chained": iso.ChainedScheduler((iso.ConstantLR(0.1, 4), iso.ExponentialLR(0.98), iso.CosineAnnealingLR(60, 1e-3))),
    "two-cycles": iso.SequentialLR((iso.OneCycleLR(0.5, total_steps=90), iso.OneCycleLR(0.2, total_steps=250)), (50,)),
    "chain-first": iso.SequentialLR(
        (iso.ChainedScheduler((iso.ConstantLR(0.5, 3), iso.ExponentialLR(0.9), iso.StepLR(4))), iso.CosineAnnealingLR(10)),
        milestones=(40,),
    ),
    "sequence-first": iso.SequentialLR(
        (iso.SequentialLR((WARM, iso.CosineAnnealingWarmRestarts(7)), (10,)), iso.PolynomialLR(60)), (40,)
    ),
    "three-deep": iso.SequentialLR(
        (iso.SequentialLR((iso.ChainedScheduler((WARM, iso.StepLR(3), iso.ConstantLR(0.5, 8))), iso.StepLR(5)), (9,)), WARM),
        milestones=(20,),
    ),
    "chained-cycle": iso.ChainedScheduler((iso.ExponentialLR(0.99), iso.CyclicLR(1e-3, 0.2, step_size_up=5))),
    "chained-sequence": iso.ChainedScheduler((iso.SequentialLR((WARM, iso.ExponentialLR(0.99)), (10,)), iso.StepLR(50))),
}  # fmt: skip
OPTIMIZERS = {"momentum": iso.SGD(lr=0.3, momentum=0.9), "betas": iso.Adam(lr=0.3)}


# torch steps a combined schedule that stands first while it is made, and warns of that itself
@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step:UserWarning")
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_rate_and_momentum_of_every_update_are_those_of_torch(name, kind):
    """Bit for bit: the recursions are the same."""
    spec, schedule = OPTIMIZERS[kind], ROWS[name]
    made, scheduler = optimizer(spec, [torch.zeros(1, requires_grad=True)], schedule)
    assert type(scheduler) is getattr(torch.optim.lr_scheduler, type(schedule).__name__)
    ours = islice(schedule.settings(spec), STEPS)
    for k, settings in enumerate(ours):
        group = made.param_groups[0]
        assert {key: group[key] for key in settings} == settings, k
        made.step()
        scheduler.step()


@pytest.mark.parametrize("name", ROWS)
def test_rates_and_at_are_the_same_numbers(name):
    spec = OPTIMIZERS["momentum"]
    expected = [settings["lr"] for settings in islice(ROWS[name].settings(spec), 60)]
    assert ROWS[name].rates(0.3, 60).tolist() == expected
    assert ROWS[name].at(59, 0.3) == expected[59]


@pytest.mark.parametrize("name", ROWS)
def test_a_table_is_the_same_wherever_it_is_read_and_keeps_little(name, monkeypatch):
    for constant, value in {"BLOCK": 7, "RECENT": 2, "STARTS": 3}.items():
        monkeypatch.setattr(timetable, constant, value)
    schedule, drawn = ROWS[name], np.random.default_rng(3)
    for spec in OPTIMIZERS.values():
        every = [[s["lr"], s["betas"][0] if "betas" in s else s["momentum"]] for s in islice(schedule.settings(spec), 200)]
        wanted = np.array(every)[:, : 2 if schedule.cycles_momentum else 1]
        table = timetable.Timetable(spec, schedule)
        for first in (150, 0, *drawn.integers(0, 200, 30).tolist()):
            count = int(drawn.integers(0, 201 - first))
            assert np.array_equal(table.rows(first, count), wanted[first : first + count]), (first, count)
        assert len(table._starts) <= 3
        assert len(table._recent) <= 2


def test_what_follows_from_the_number_of_an_update_is_asked_there_alone():
    asked = []
    schedule = iso.SequentialLR((WARM, iso.LambdaLR(lambda k: asked.append(k) or 1 / (1 + k))), milestones=(10,))
    rate = timetable.Timetable(iso.SGD(lr=0.5), schedule).rows(1_000_000, 1)[0, 0]
    assert rate == 0.5 / 999_991
    assert len(asked) <= 2 * timetable.BLOCK
    assert schedule.at(1_000_000, 0.5) == rate


def test_a_combined_schedule_ends_where_a_part_of_it_ends():
    cycle = iso.OneCycleLR(0.1, total_steps=20)
    assert iso.ChainedScheduler((iso.StepLR(3), cycle)).longest == 21
    assert iso.SequentialLR((iso.StepLR(3), cycle), milestones=(5,)).longest == 26
    assert iso.SequentialLR((cycle, iso.StepLR(3)), milestones=(15,)).longest is None


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_lowers_the_rate_as_in_torch(mode, threshold_mode):
    spec = iso.ReduceLROnPlateau(
        mode=mode, factor=0.5, patience=3, threshold=0.02, threshold_mode=threshold_mode, cooldown=4, min_lr=1e-3
    )
    made, scheduler = optimizer(iso.SGD(lr=0.3), [torch.zeros(1, requires_grad=True)], spec)
    losses = np.exp(-np.arange(400) / 50) + np.random.default_rng(0).uniform(0, 0.1, 400)
    for loss, rate in zip(losses, spec.rates_for(0.3, losses), strict=True):
        assert made.param_groups[0]["lr"] == rate
        scheduler.step(loss)
    assert rate == 1e-3


@pytest.mark.parametrize("kind", SCHEDULES, ids=lambda kind: kind.__name__)
def test_arguments_and_defaults_are_those_of_torch(kind):
    theirs = signature(getattr(torch.optim.lr_scheduler, kind.__name__)).parameters
    own = {"optimizer", "last_epoch", "scale_fn", "scale_mode"}
    ours = signature(kind).parameters
    assert {name: entry.default for name, entry in theirs.items() if name not in own} == {
        name: entry.default for name, entry in ours.items()
    }
    assert {type(schedule) for schedule in ROWS.values()} == set(SCHEDULES) - {iso.ReduceLROnPlateau}


REFUSED = {
    "LambdaLR: lr_lambda=0.5 must be a function": lambda: iso.LambdaLR(0.5),
    "StepLR: step_size=0 must": lambda: iso.StepLR(0),
    "MultiStepLR: milestones=": lambda: iso.MultiStepLR((1, 2.5)),
    "ConstantLR: factor=2 must": lambda: iso.ConstantLR(factor=2),
    "LinearLR: start_factor=0.0 must": lambda: iso.LinearLR(start_factor=0),
    "ExponentialLR: gamma='x' must": lambda: iso.ExponentialLR("x"),
    "PolynomialLR: total_iters=-1 must": lambda: iso.PolynomialLR(-1),
    "CosineAnnealingLR: T_max=0 must": lambda: iso.CosineAnnealingLR(0),
    "CosineAnnealingWarmRestarts: T_mult=0 must": lambda: iso.CosineAnnealingWarmRestarts(3, T_mult=0),
    "OneCycleLR needs its length": lambda: iso.OneCycleLR(0.1),
    "OneCycleLR: pct_start=1.5 must": lambda: iso.OneCycleLR(0.1, total_steps=9, pct_start=1.5),
    "ends after 5 updates, and update 7 was asked for": lambda: iso.OneCycleLR(0.1, total_steps=5).rates(0.1, 7),
    "CyclicLR: mode='round' must": lambda: iso.CyclicLR(0, 1, mode="round"),
    "1 milestones, and there are 2": lambda: iso.SequentialLR((iso.StepLR(3), iso.StepLR(4)), (1, 2)),
    "a ChainedScheduler can only be the first of": lambda: iso.SequentialLR(
        (iso.StepLR(2), iso.ChainedScheduler((iso.StepLR(3),))), (1,)
    ),
    "a ReduceLROnPlateau cannot be one of its": lambda: iso.ChainedScheduler((iso.ReduceLROnPlateau(),)),
    "ChainedScheduler: schedulers=": lambda: iso.ChainedScheduler((0.1,)),
    "factor=1.0 must be below 1": lambda: iso.ReduceLROnPlateau(factor=1),
    "follows a loss: its rates come from rates_for": lambda: iso.ReduceLROnPlateau().rates(0.1, 3),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_right_is_refused(message):
    with pytest.raises(iso.errors.SpecError, match=message):
        REFUSED[message]()


def test_an_optimizer_without_momentum_has_none_to_cycle():
    with pytest.raises(iso.errors.SpecError, match="write cycle_momentum=False"):
        next(iso.OneCycleLR(0.1, total_steps=9).settings(iso.Adagrad()))
