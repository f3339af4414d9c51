"""isoparam.jax against the 50-digit formulas, within the bars of `budgets.ACCURACY`."""

from importlib import util
from pathlib import Path

import numpy as np
import pytest

import isoparam as iso
from budgets import ACCURACY_EXCEPTIONS, accuracy
from oracle.judge import VERBS, Calls, error, truth, unit_of
from oracle.rounding import normwise, ulps
from samples import DTYPES, SAMPLES, Sample

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(scope="module")
def calls() -> Calls:
    """This backend on numpy arrays, from the file beside this one."""
    found = util.spec_from_file_location("calls", Path(__file__).with_name("calls.py"))
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.CALLS


@each_dtype
@pytest.mark.parametrize(
    ("sample", "verb"), [pytest.param(s, verb, id=f"{s.name}-{verb}") for s in SAMPLES for verb in VERBS if s.has(verb)]
)
def test_is_within_its_bar_of_the_truth(sample: Sample, verb: str, dtype: str, calls: Calls) -> None:
    worst, where = error(sample, verb, dtype, calls)
    allowed, cause = accuracy("jax", sample.name, verb)
    assert worst <= allowed, f"{worst:.3g} {unit_of(sample, verb)} > {allowed} ({cause}) at {where}"


def test_exceptions_name_what_exists() -> None:
    names = {sample.name for sample in SAMPLES}
    for backend, sample, verb in ACCURACY_EXCEPTIONS:
        assert backend in ("torch", "jax")
        assert sample in names
        assert verb in VERBS


@each_dtype
def test_a_simplex_of_1000_weights(dtype: str, calls: Calls) -> None:
    (simplex,) = (sample for sample in SAMPLES if sample.name == "simplex")
    rng = np.random.Generator(np.random.Philox(5))
    raw = rng.normal(0, 3, (2, 999)).astype(dtype)
    cotangent = rng.normal(0, 1, (2, 1000)).astype(dtype)
    value = truth(simplex, "forward", dtype, raw)
    gradient = truth(simplex, "pullback", dtype, raw, cotangent)
    assert ulps(calls["forward"](iso.Simplex(), raw), value).max() <= 100
    got = calls["pullback"](iso.Simplex(), raw, cotangent)
    assert max(map(normwise, got, gradient)) <= 25
    back = calls["inverse"](iso.Simplex(), value)
    assert max(map(normwise, back, truth(simplex, "inverse", dtype, value))) <= 25
