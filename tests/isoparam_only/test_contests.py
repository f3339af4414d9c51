"""The cases of the smooth map against projection: their smallest losses by numpy alone, and how a winner is found."""

from dataclasses import replace

import numpy as np
import pytest

from isoparam.pitfalls import CONTESTS, Lap, winner
from isoparam.pitfalls.contests import GRID, METHODS, OPTIMIZERS
from isoparam.pitfalls.text import contest_table

BY_NAME = {contest.name: contest for contest in CONTESTS}
LAP = Lap("scalar", "Adam", "transform", 0.1, {"1e-03": 10, "1e-06": 20}, finite=True)


def test_least_squares_over_the_positive_numbers_obeys_its_optimality_conditions():
    data = BY_NAME["nnls"].data()
    inside = [0, 1, 2, 4]
    x = np.zeros(6)
    x[inside] = np.linalg.lstsq(data["A"][:, inside], data["y"], rcond=None)[0]
    residual = data["A"] @ x - data["y"]
    gradient = data["A"].T @ residual
    assert (x[inside] > 0).all()
    assert (gradient[[3, 5]] > 0.1).all()
    np.testing.assert_allclose(gradient[inside], 0, atol=1e-13)
    assert BY_NAME["nnls"].best == pytest.approx(np.mean(residual**2), rel=1e-14)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("weights", [0, 0.0027993987003743573, 0.35879380567595137, 0, 0, 0, 0, 0.6384067956236725, 0, 0]),
        ("two weights", [0.36083686072120263, 0.6391631392787982]),
    ],
)
def test_weights_of_a_mixture_obey_their_optimality_conditions(name, weight):
    weight = np.array(weight)
    density = BY_NAME[name].data()["density"]
    slope = np.mean(density / (density @ weight)[:, None], axis=0)  # 1 for a weight in use, less for one at 0
    np.testing.assert_allclose(slope[weight > 0], 1, rtol=1e-12)
    assert (slope[weight == 0] < 1).all()
    assert BY_NAME[name].best == pytest.approx(-np.mean(np.log(density @ weight)), rel=1e-14)


@pytest.mark.parametrize("name", ["sd from above", "sd from below"])
def test_the_deviation_is_the_root_of_the_mean_square(name):
    z = BY_NAME[name].data()["z"]
    assert BY_NAME[name].best == pytest.approx(np.log(np.sqrt(np.mean(z**2))) + 0.5, rel=1e-14)


@pytest.mark.parametrize("contest", CONTESTS, ids=lambda contest: contest.name)
def test_every_optimizer_and_method_has_an_lr_of_the_grid(contest):
    assert set(contest.lrs) == {(optimizer, method) for optimizer in OPTIMIZERS for method in METHODS}
    assert set(contest.lrs.values()) <= set(GRID)


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [((20, 30), (10, 10), "transform"), ((None, 30), (1, 10), "projected"), ((None, None), (5, 9), "transform"),
     ((20, 20), (10, 10), None), ((None, None), (None, None), None)],
    ids=["narrow", "only one arrives", "wide", "equal", "neither"],
)  # fmt: skip
def test_the_winner_is_first_within_the_narrow_tolerance_then_within_the_wide_one(narrow, wide, expected):
    pair = zip(METHODS, wide, narrow, strict=True)
    assert winner([replace(LAP, method=m, steps={"1e-03": w, "1e-06": n}) for m, w, n in pair]) == expected


def test_the_table_fits_80_columns():
    laps = [
        Lap(contest.name, *key, lr, {"1e-03": 1000, "1e-06": None}, finite=True)
        for contest in CONTESTS
        for key, lr in contest.lrs.items()
    ]
    lines = list(contest_table("torch 2.13.0+cpu", laps))
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(f"{contest.name} ") for line in lines) for contest in CONTESTS)
