"""torch against JAX on a dense grid: one table of ULP per (sample, verb, dtype), eager and compiled.

Compiled means torch.compile with inductor against jax.jit, for values and gradients: what a training step runs. Eager
means eager torch against JAX, whose verbs are one program each in either case.
A budget in `budgets.PARITY` that is too small fails, and so does one that is stale: more than 4 times and more than
2 ULP above what is measured.
"""

import shutil

import pytest

from budgets import PARITY
from oracle.judge import VERBS, unit_of
from parity.backends import measured
from samples import BY_INDUCTOR, DTYPES, MAPS, NOT_BY_INDUCTOR, SAMPLES, Sample

COMPILED = [
    (*row, dtype) for row, budget in PARITY.items() for dtype in DTYPES if budget.allowed(dtype, "compiled") is not None
]
TOGETHER = [sample.name for sample in BY_INDUCTOR]
BY_NAME = {sample.name: sample for sample in SAMPLES}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
ASKED = [(sample, verb) for sample in SAMPLES for verb in VERBS if sample.has(verb)]


def hold(sample: Sample, verb: str, dtype: str, form: str) -> None:
    found = measured(sample, verb, dtype, form)
    row = PARITY[sample.name, verb]
    allowed = row.allowed(dtype, form)
    where = f"{sample.name} {verb} {dtype} {form}: measured {found:.3g} {unit_of(sample, verb)}, budget {allowed:g}"
    assert found <= allowed, f"{where} is too small ({row.cause})"
    assert allowed <= max(4 * found, found + 2), f"{where} is stale: lower it"


@each_dtype
@pytest.mark.parametrize(("sample", "verb"), [pytest.param(*asked, id=f"{asked[0].name}-{asked[1]}") for asked in ASKED])
def test_eager_results_agree_within_the_table(sample: Sample, verb: str, dtype: str) -> None:
    hold(sample, verb, dtype, "eager")


@pytest.mark.filterwarnings("ignore:.*_prims_common.check.*:FutureWarning")  # of inductor, about itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on the CPU needs a C++ compiler: install g++")
@pytest.mark.parametrize(
    ("name", "verb", "dtype"),
    [
        # Of one graph, and so in one process.
        pytest.param(*row, marks=pytest.mark.xdist_group("inductor" if row[0] in TOGETHER else f"inductor-{row[0]}"))
        for row in COMPILED
    ],
)
def test_compiled_results_agree_within_the_table(name: str, verb: str, dtype: str) -> None:
    hold(BY_NAME[name], verb, dtype, "compiled")


def test_the_table_has_a_row_for_each_sample_and_verb() -> None:
    assert set(PARITY) == {(sample.name, verb) for sample, verb in ASKED}
    assert all(len(row.cause.split()) >= 3 for row in PARITY.values())


def test_every_map_is_measured_compiled() -> None:
    """Those of the common graph in both dtypes, those with a graph of their own in float32; the others with the reason."""
    assert {sample.like for sample in SAMPLES if sample.like} <= set(BY_NAME)
    verbs = ("forward", "pullback")
    alone = {sample.name for sample in MAPS} - {*TOGETHER} - NOT_BY_INDUCTOR.keys()
    together = {(name, verb, dtype) for name in TOGETHER for verb in verbs for dtype in DTYPES}
    assert set(COMPILED) == together | {(name, verb, "float32") for name in alone for verb in verbs}
    assert NOT_BY_INDUCTOR.keys() <= {sample.name for sample in MAPS} - {*TOGETHER}
