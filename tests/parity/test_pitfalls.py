"""The tables of the pitfall agree where the cases are twins, and each backend has the cases that the table lists."""

from dataclasses import replace

import pytest

from isoparam import pitfalls
from isoparam.backends import BACKENDS, load

STEPS = 600
ROUNDING = 1e-14  # one ULP of a value in (0, 1), which Adam neither grows nor shrinks here: measured 1.1e-16


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_has_the_cases_of_its_table_and_no_other(backend):
    assert list(load(backend).pitfalls._CASES) == [case.name for case in pitfalls.cases(backend)]


@pytest.mark.parametrize("case", pitfalls.twins(), ids=lambda case: case.name)
def test_twins_give_the_same_rows(case):
    assert_equal(*(pitfalls.run(backend, case.name, STEPS) for backend in BACKENDS))


def test_a_value_captured_by_jit_is_the_twin_of_retain_graph():
    torch, jax = pitfalls.run("torch", "retain_graph", STEPS), pitfalls.run("jax", "captured", STEPS)
    assert_equal(torch, tuple(replace(row, case="retain_graph") for row in jax))


def test_a_difference_that_is_announced_is_there():
    for case in pitfalls.CASES:
        if case.differs:
            torch, jax = (pitfalls.run(backend, case.name, 5) for backend in BACKENDS)
            assert torch != jax, case.differs


def assert_equal(torch, jax):
    for left, right in zip(torch, jax, strict=True):
        assert right.value == pytest.approx(left.value, abs=ROUNDING)
        assert right.shown == pytest.approx(left.shown, abs=ROUNDING)
        assert replace(right, value=left.value, shown=left.shown) == left
