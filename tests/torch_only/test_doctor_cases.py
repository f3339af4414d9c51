"""The doctor on small programs: those with a mistake are found and named, those that only look like one are left alone."""

import contextlib
import warnings

import pytest

from doctor_cases import (  # noqa: F401  they enter their cases
    torch_clean,
    torch_clean_tools,
    torch_more,
    torch_more_clean,
    torch_other,
    torch_stale,
)
from doctor_cases.torch_case import BAD, CLEAN, Case
from isoparam.diagnosis import Finding
from isoparam.torch import doctor

STEPS = 6
each_bad = pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
each_clean = pytest.mark.parametrize("case", CLEAN, ids=lambda case: case.name)


def examined(case: Case) -> tuple[list[Finding], tuple[str, ...]]:
    """What scan and watch find in one program, and what they could not look into."""
    model, optimizers, step = case.make()
    scanned = doctor.scan(model, optimizers)
    watching = doctor.watch(model, optimizers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the programs, not of the doctor
        with contextlib.suppress(RuntimeError), watching:  # what was found stays, whatever the program raises
            for _ in range(STEPS):
                step()
    return [*scanned, *watching], (*scanned.notes, *watching.notes)


@each_bad
def test_mistakes_are_found(case: Case) -> None:
    findings, notes = examined(case)
    assert not notes
    named = [finding for finding in findings if finding.kind == case.kind]
    assert named, [(finding.kind, finding.attr) for finding in findings]
    assert any(case.attr in finding.attr for finding in named), [finding.attr for finding in named]
    assert all(finding.message and finding.fix and finding.outcome for finding in findings)


@each_clean
def test_what_only_looks_like_a_mistake_is_left_alone(case: Case) -> None:
    findings, notes = examined(case)
    assert not notes
    assert not findings, [str(finding) for finding in findings]
