"""numerics="exact": the same bits in both backends; and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import BackendError
from isoparam.exact import ENVIRONMENT, is_set
from isoparam.parity.budgets import STAGES, Budget
from isoparam.parity.report import Row

ROOT = Path(__file__).parent.parent.parent
PLAIN = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
CASES = (
    "SGD", "Adam", "AMSGrad", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD",
    "SparseAdam", "projected", "scheduled", "summaries", "every seventh", "averaged", "settled", "left alone", "diverging",
    "batch statistics", "torch and then jax", "jax and then torch",
)  # fmt: skip
pytestmark = pytest.mark.xdist_group("exact")  # one process computes all of them


def run(*command, environment):
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=900, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bytes_apart():
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    program = str(ROOT / "tests" / "parity" / "exact_runs.py")
    return json.loads(run(program, environment=PLAIN | ENVIRONMENT | {"PYTHONPATH": path}))


@pytest.mark.parametrize("case", CASES)
def test_no_bit_is_apart(case, bytes_apart):
    assert bytes_apart[case] == 0


def test_every_case_is_looked_at(bytes_apart):
    assert set(bytes_apart) == set(CASES)


@pytest.mark.skipif(is_set(os.environ), reason="the variables for exact runs stand in the environment")
def test_a_comparison_without_the_variables_is_refused():
    with pytest.raises(BackendError, match=r"ATEN_CPU_CAPABILITY=default XLA_FLAGS=--xla_cpu_max_isa=AVX before Python starts"):
        iso.parity.compare(iso.problems.get("linkage"), 3, numerics="exact")


@pytest.mark.parametrize(("allowed", "bits", "ok"), [(0.0, 0, True), (0.0, 1, False), (1e-15, 1, True)])
def test_a_budget_of_0_asks_for_the_same_bits(allowed, bits, ok):
    row = Row("training", 1, "x", "raw", 0.0, 0.0, 1.0, (), 0.0, -0.0, Budget(allowed, "asked for"), bits)
    assert row.ok is ok


def test_a_comparison_is_of_bits(tmp_path):
    command = ["-m", "isoparam", "parity", "linkage", "--numerics", "exact", "--steps", "150"]
    said = run(*command, "--json", str(tmp_path / "report.json"), environment=PLAIN)
    assert "parity of linkage: float32 on cpu, 150 steps" in said
    assert "rows equal: 0 bits apart" in said
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert report["ok"]
    assert {row["stage"] for row in report["rows"]} == set(STAGES)
    assert report["bits"] == sum(row["bits"] for row in report["rows"]) == 0


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.skipif(is_set(os.environ), reason="the variables for exact runs stand in the environment")
def test_without_the_variables_it_is_refused(backend):
    with pytest.raises(BackendError, match=r"ATEN_CPU_CAPABILITY=default XLA_FLAGS=--xla_cpu_max_isa=AVX before Python starts"):
        iso.train(iso.problems.get("linkage"), backend, iso.Adam(), steps=3, numerics="exact")


def test_the_command_line_starts_itself_anew(tmp_path):
    command = ["-m", "isoparam", "train", "linkage", "--optimizer", "adam", "--numerics", "exact", "--steps", "50"]
    run(*command, "--backend", "both", "--json", str(tmp_path / "both.json"), environment=PLAIN)
    ours, theirs = json.loads((tmp_path / "both.json").read_text())["runs"].values()
    assert ours["values"] == theirs["values"]
    run(*command, "--backend", "torch", "--dtype", "float32", "--checkpoint", str(tmp_path / "saved"), environment=PLAIN)
    run("-m", "isoparam", "resume", str(tmp_path / "saved"), "--backend", "jax", "--steps", "20", environment=PLAIN)
    saved = np.float32(ours["values"]["t"])
    assert saved == ours["values"]["t"]  # a number of float32


def test_the_command_of_the_table_counts_what_differs():
    table = run("-m", "benchmarks.exact", "--problems", "linkage", "--optimizers", "Adam", "--steps", "30", environment=PLAIN)
    assert "| linkage | 0 |" in table
    assert "1 runs of 30 steps in each backend, and 0 that diverged at the same step in both:\n0 of " in table
