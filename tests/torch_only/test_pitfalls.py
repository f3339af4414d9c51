"""The cases of the pitfall in torch do what their table says: what raises, what moves, and what a monitor shows."""

import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam import pitfalls
from torch_impl.pitfalls import observe
from torch_impl.verbs import forward

STEPS = 600


def rows(case):
    return pitfalls.run("torch", case, STEPS)


def test_static_derivation_raises_the_verbatim_error_at_the_second_step():
    for row in rows("static"):
        assert row.raised.startswith("RuntimeError: Trying to backward through the graph a second time (or directly")
        assert (row.updates, row.moved, row.value) == (1, False, 0.5)


@pytest.mark.parametrize("case", ["silent", "retain_graph"])
def test_stale_values_that_never_raise_never_move(case):
    for row in rows(case):
        assert (row.raised, row.updates, row.moved, row.value, row.shown) == (None, STEPS, False, 0.5, 0.5)
        assert set(row.steps.values()) == {None}


def test_a_monitor_of_a_stale_raw_shows_what_never_happened():
    for row in rows("wrong_monitor"):
        assert (row.moved, row.value) == (False, 0.5)
        assert row.shown > 0.999


@pytest.mark.parametrize("case", ["constrained", "constrain", "right_monitor"])
def test_the_cure_arrives_at_a_feasible_target_and_its_monitor_shows_it(case):
    inside, border, outside = rows(case)
    assert inside.steps["1e-06"] < STEPS
    assert border.steps["1e-06"] is None  # a sigmoid only nears its border
    assert outside.steps["1e-06"] is None
    for row in (inside, border, outside):
        assert row.moved
        assert row.shown == row.value < 1


def test_clamp_inside_the_forward_dies_on_a_feasible_target():
    inside, border, outside = rows("clamp")
    assert (inside.value, inside.steps["1e-03"]) == (1.0, None)
    assert border.value == outside.value == 1.0


def test_the_gradient_of_a_clamp_is_zero_outside_and_that_of_the_cure_is_not():
    outside = torch.tensor(1.2, requires_grad=True)
    ((outside.clamp(0, 1) - 0.9) ** 2).backward()
    assert outside.grad == 0
    ((forward(iso.UnitInterval(), outside := outside.detach().requires_grad_()) - 0.9) ** 2).backward()
    assert outside.grad != 0


def test_projection_arrives_everywhere_and_exactly_on_the_border():
    inside, border, outside = rows("projection")
    assert inside.steps["1e-06"] < STEPS
    assert border.value == outside.value == 1.0


def test_every_step_of_the_cure_is_that_of_a_loop_by_hand():
    observed = observe("constrained", (0.9,), iso.Adam(lr=0.05), 50)
    raw = torch.zeros((), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([raw], lr=0.05)
    seen = []
    for _ in range(50):
        adam.zero_grad()
        x = torch.sigmoid(raw)
        seen.append(x.item())
        ((x - 0.9) ** 2).backward()
        adam.step()
    np.testing.assert_allclose(observed.values[:, 0], [*seen, torch.sigmoid(raw).item()], rtol=1e-14)
