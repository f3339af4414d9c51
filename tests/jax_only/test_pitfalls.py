"""The cases of the pitfall in JAX do what their table says: what raises, what moves, and what a monitor shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from isoparam import pitfalls
from jax_impl.pitfalls import observe
from jax_impl.verbs import forward

STEPS = 600


def rows(case):
    return pitfalls.run("jax", case, STEPS)


@pytest.mark.parametrize("case", ["static", "captured"])
def test_stale_values_never_raise_and_never_move(case):
    for row in rows(case):
        assert (row.raised, row.updates, row.moved, row.value, row.shown) == (None, STEPS, False, 0.5, 0.5)
        assert set(row.steps.values()) == {None}


def test_a_derived_value_stored_as_a_leaf_trains_by_itself_and_leaves_its_set():
    inside, border, outside = rows("leaf")
    assert inside.steps["1e-06"] < STEPS
    assert border.steps["1e-06"] < STEPS
    assert (outside.raised, outside.moved, outside.steps["1e-03"]) == (None, True, None)
    assert outside.value == pytest.approx(1.5, abs=1e-6)


def test_the_raw_behind_a_stored_leaf_gets_no_gradient():
    gradient = jax.grad(lambda params: (params["x"] - 0.9) ** 2)({"x_raw": jnp.zeros(()), "x": jnp.array(0.5)})
    assert gradient["x_raw"] == 0
    assert gradient["x"] != 0


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
    assert jax.grad(lambda raw: (jnp.clip(raw, 0, 1) - 0.9) ** 2)(1.2) == 0
    assert jax.grad(lambda raw: (forward(iso.UnitInterval(), raw) - 0.9) ** 2)(jnp.array(1.2)) != 0


def test_projection_arrives_everywhere_and_exactly_on_the_border():
    inside, border, outside = rows("projection")
    assert inside.steps["1e-06"] < STEPS
    assert border.value == outside.value == 1.0


def test_every_step_of_the_cure_is_that_of_a_loop_by_hand():
    observed = observe("constrained", (0.9,), iso.Adam(lr=0.05), 50)
    raw = first = second = 0.0
    seen = []
    for t in range(1, 52):
        x = 1 / (1 + np.exp(-raw))
        seen.append(x)
        gradient = 2 * (x - 0.9) * x * (1 - x)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        raw -= 0.05 * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(observed.values[:, 0], seen, rtol=1e-14)  # 3.3e-16 measured: another order of operations
