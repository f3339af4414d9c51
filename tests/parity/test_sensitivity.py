"""sensitivity: a chaotic trajectory is told from a loss that differs, in either backend."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.parity import compare, sensitivity

SGD = iso.SGD(lr=1.0)


def circling(np_like, factor=1.0):
    """Gradient descent with lr=1 takes y to y + 5 sin(y), which magnifies a difference at most steps."""
    return lambda values, batch: 5 * factor * np_like.cos(values["y"])


def problem(fault):
    loss = {"torch": circling(torch), "jax": circling(jnp, 1 + fault)}
    return iso.Problem(name="circling", constraints={}, init={"y": 0.5}, loss=loss)


def last(report):
    return next(row for row in report.rows if (row.stage, row.step) == ("training", report.steps))


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_chaotic_trajectory_explains_what_compare_finds(backend):
    row = last(compare(problem(0.0), steps=20, optimizer=SGD))
    found = sensitivity(problem(0.0), backend, steps=20, optimizer=SGD)
    assert found.of(row) > 1e-13
    assert found.ratio(row) < 10


def test_a_fault_is_far_more_than_the_trajectory_explains():
    report = compare(problem(1e-9), steps=10, optimizer=SGD)
    found = sensitivity(problem(1e-9), "torch", steps=10, optimizer=SGD)
    assert found.ratio(last(report)) > 1e4
    assert found.ratio(report.rows[-1]) > 1e4
    assert report.rows[-1].stage == "history"


def test_a_start_is_moved_by_the_last_place_up_and_down():
    still = iso.Problem(
        name="still",
        constraints={"x": iso.Positive()},
        init={"x": 0.7, "y": np.array([3.0, 0.0])},
        loss=lambda v, batch: v["x"] * 0,
    )
    found = sensitivity(still, "torch", steps=1, optimizer=iso.SGD(lr=0.1), directions=2)
    assert found.parameters[1, "x", "raw"] == 2.0**-52  # a last place of 1, over 1
    assert found.parameters[1, "y", "raw"] == pytest.approx(2.0**-51 / 3, rel=1e-12)


def test_directions_are_counted():
    with pytest.raises(SpecError, match="directions=0"):
        sensitivity(problem(0.0), "torch", steps=1, optimizer=SGD, directions=0)
