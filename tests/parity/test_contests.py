"""The smooth map against projection: the backends arrive at the same steps, with the lr that the grid names."""

from dataclasses import replace

import pytest

from isoparam.backends import BACKENDS
from isoparam.pitfalls import CONTESTS, lap, search

BY_NAME = {contest.name: contest for contest in CONTESTS}


@pytest.mark.parametrize(
    ("name", "optimizer", "method"),
    [("outside", "Adam", "projected"), ("nnls", "SGD", "projected"), ("alleles", "SGD", "transform")],
)
def test_both_backends_arrive_at_the_same_steps(name, optimizer, method):
    torch, jax = (lap(backend, BY_NAME[name], optimizer, method) for backend in BACKENDS)
    assert replace(jax, steps={}) == replace(torch, steps={})
    for tolerance, step in torch.steps.items():
        assert (step is None) == (jax.steps[tolerance] is None)
        assert step is None or abs(step - jax.steps[tolerance]) <= 1  # a loss may round to either side of a tolerance


def test_the_lr_of_the_table_is_the_first_of_its_grid_to_arrive():
    assert search("jax", BY_NAME["scalar"], "SGD", "transform")[0].lr == BY_NAME["scalar"].lrs["SGD", "transform"]


def test_projection_after_adam_never_leaves_the_start_on_a_simplex():
    """Its first steps are as long in every weight, and a step along (1, 1, 1) is what projection takes back."""
    found = lap("jax", BY_NAME["alleles"], "Adam", "projected")
    assert found.steps == {"1e-03": None, "1e-06": None}
