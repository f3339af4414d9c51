"""What `isoparam pitfalls` compares, as far as it needs no framework."""

import numpy as np
import pytest

from isoparam import pitfalls
from isoparam.errors import BackendError, SpecError
from isoparam.pitfalls.cases import arrival
from isoparam.pitfalls.text import case_table


def row(case, raised=None, step=None):
    steps = {"1e-03": step, "1e-06": None}
    return pitfalls.Row(case, 0.9, raised, updates=1, moved=True, value=0.9, shown=0.5, steps=steps)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ([1.0, 0.5, 1e-4, 1e-5], 2),
        ([1.0, 1e-4, 0.5, 1e-5], 3),  # passing through is no arrival
        ([1e-4, 1e-4], 0),
        ([1e-4, 1.0], None),
        ([1e-4, np.nan], None),
    ],
    ids=["arrives", "passes through", "there", "leaves", "nan"],
)
def test_arrival_is_the_step_from_which_on_it_stays(distance, expected):
    assert arrival(np.array(distance), 1e-3) == expected


def test_a_row_per_case_within_80_columns_and_the_message_in_full():
    message = "RuntimeError: " + "once more " * 20
    rows = [row(case.name, message if case.name == "static" else None, 10_000) for case in pitfalls.cases("torch")]
    text = "\n".join(case_table("torch", "2.13.0+cpu", rows, 10_000))
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(message.split()) in " ".join(text.split())
    assert "static, at step 2:" in text
    for case in pitfalls.cases("torch"):
        assert sum(line.startswith(f"{case.name} ") for line in text.splitlines()) == 2  # its row, and what it is


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("jax", "retain_graph"), SpecError, "jax has no case 'retain_graph'; there are: 'static', 'captured'"),
        (("torch", "static", 0), SpecError, "steps=0 must be a whole number, at least 1"),
        (("numpy", "static"), BackendError, "unknown backend 'numpy'"),
    ],
    ids=["case", "steps", "backend"],
)
def test_what_cannot_run_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        pitfalls.run(*arguments)


def test_every_case_is_documented_and_each_backend_has_a_cure():
    assert len({case.name for case in pitfalls.CASES}) == len(pitfalls.CASES)
    for backend in ("torch", "jax"):
        assert {"static", "constrained", "clamp", "projection"} <= {case.name for case in pitfalls.cases(backend)}
    assert {case.name for case in pitfalls.twins()} >= {"constrained", "constrain", "clamp", "projection", "wrong_monitor"}
