"""The data of the built-in problems are those of their sources."""

import doctest
import subprocess
import sys

import numpy as np
import pytest

import isoparam as iso
from isoparam.problems import recipes, tables

# rows, first, last, sum: by hand from the sources; mean 19.36 and variance 51.57 of the earthquakes are the book's.
FACTS = {
    ("faithful", "waiting"): (272, 79, 74, 19284),
    ("garch", "return"): (1974, 0.12533286, 0.52804687, -32.42647710829),
    ("hmm", "count"): (107, 13, 11, 2072),
    ("abo", "count"): (4, 182, 176, 435),
}


@pytest.mark.parametrize(("name", "column"), FACTS, ids=[f"{name}-{column}" for name, column in FACTS])
def test_data(name, column):
    data = iso.problems.get(name).data[column]
    rows, first, last, total = FACTS[name, column]
    assert data.dtype == np.float64
    assert (len(data), data[0], data[-1]) == (rows, first, last)
    assert np.isclose(data.sum(), total, rtol=1e-14, atol=0)


def test_earthquakes_have_the_moments_of_the_book():
    count = iso.problems.get("hmm").data["count"]
    assert round(float(count.mean()), 2) == 19.36
    assert round(float(count.var(ddof=1)), 2) == 51.57


@pytest.mark.parametrize("file", ["old_faithful.csv", "dem_gbp.csv", "earthquakes.csv"])
def test_files_name_their_source(file):
    text = tables.files("isoparam.problems").joinpath("data", file).read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 2
    assert any(year in comments[1] for year in ("1990", "1996", "2009"))
    assert len(text.splitlines()) == len(tables.column(file)) + 3


@pytest.mark.parametrize("module", [tables, recipes], ids=["tables", "recipes"])
def test_examples_of(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_a_problem_is_read_when_it_is_asked_for():
    program = """
import sys, isoparam
known = isoparam.problems.names()
read = [name for name in ("faithful", "garch", "hmm", "abo") if f"isoparam.problems.{name}" in sys.modules]
assert not read, read
assert isoparam.problems.get("abo") is isoparam.problems.get("abo")
assert {"abo", "garch"} <= set(known) and "isoparam.problems.garch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
