"""What plain optax does instead, as each docstring states it, is what is measured."""

import re
from pathlib import Path

import pytest

import isoparam as iso
from isoparam.optimizers import OPTIMIZERS
from isoparam.schedules import SCHEDULES
from parity import plain_optax
from parity.plain_optax import ROWS, difference


@pytest.mark.parametrize("name", ROWS)
def test_docstring_states_the_measured_difference(name):
    stated = re.search(r"off\s+by\s+(\S+)\s+of\s+the\s+largest\s+parameter", getattr(iso, name).__doc__)
    assert stated, f"measured {difference(*ROWS[name]):.1e}"
    assert difference(*ROWS[name]) == pytest.approx(float(stated[1]), rel=0.06)  # two digits are stated


def test_the_table_of_migration_has_every_optimizer_and_schedule():
    without = {iso.LBFGS}  # follows its own loss, not given gradients: it has files of its own
    assert {type(spec) for spec, _ in plain_optax.CLOSEST} == set(OPTIMIZERS) - without
    assert {type(spec) for spec, _ in plain_optax.SCHEDULES} == set(SCHEDULES) - {iso.LambdaLR}


@pytest.mark.parametrize(("schedule", "call"), [row for row in plain_optax.SCHEDULES if row[1] and "contrib" not in row[1]])
def test_rates_in_the_page_are_those_measured(schedule, call):
    plain, ours = plain_optax.rates_apart(schedule, call)
    assert ours == 0
    page = Path(__file__).parent.parent.parent / "docs" / "migration.md"
    (row,) = [line for line in page.read_text(encoding="utf-8").splitlines() if f"| `{call}` |" in line]
    exact, stated = row.split("|")[3:5]
    assert exact.strip() == ("yes" if plain < 1e-13 else "no")
    assert plain == pytest.approx(float(stated), rel=0.06, abs=1e-13)
