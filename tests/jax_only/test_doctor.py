"""What the doctor finds in programs that go wrong, and that it is silent about those that only look like them."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from doctor_cases import jax_bad, jax_clean
from isoparam.jax import doctor

BAD = [pytest.param(kind, program, id=name) for name, (kind, program) in jax_bad.CASES.items()]
CLEAN = [pytest.param(program, id=name) for name, program in jax_clean.CASES.items()]
X = jnp.linspace(0.5, 1.5, 3)


@pytest.fixture(autouse=True)
def as_users_have_it():
    """The programs are those of users, who have JAX's standard promotion of dtypes."""
    with jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        yield


@pytest.mark.parametrize(("kind", "program"), BAD)
def test_a_program_that_goes_wrong_is_told_by_its_kind(kind, program):
    with doctor.watching() as found:
        program()
    assert kind in {finding.kind for finding in found}
    assert not found.diagnosis.notes
    for finding in found:
        assert finding.message
        assert finding.fix
        assert finding.outcome


@pytest.mark.parametrize("program", CLEAN)
def test_a_program_that_only_looks_like_it_is_left_alone(program):
    with doctor.watching() as found:
        program()
    assert not found, str(found)
    assert not found.diagnosis.notes


def test_the_documentation_counts_them():
    page = Path(__file__).parent.parent.parent / "docs" / "doctor.md"
    counts = f"{len(BAD)} that go wrong and {len(CLEAN)} that only look like it"
    assert counts in " ".join(page.read_text(encoding="utf-8").split())
