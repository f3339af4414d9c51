"""Every rule of the lint finds its own bad example, and nothing in the one put right; its page is the one in docs."""

from pathlib import Path

import pytest

from isoparam.diagnosis import RULES
from isoparam.lint import check_source
from isoparam.lint.pages import examples, written

DOCS = Path(__file__).parents[2] / "docs" / "doctor" / "rules"
LINTED = [rule.code for rule in RULES if "lint" in rule.seen]


@pytest.mark.parametrize("code", LINTED)
def test_bad_example_is_found(code: str) -> None:
    bad, _ = examples(code)
    found = check_source(bad, select=["ALL"])
    assert code in [finding.rule for finding in found], str(found)
    assert all(0 < finding.line <= bad.count("\n") + 1 and finding.column > 0 for finding in found)
    assert not found.notes


@pytest.mark.parametrize("code", LINTED)
def test_example_put_right_is_clean(code: str) -> None:
    _, good = examples(code)
    found = check_source(good, select=["ALL"])
    assert not found, str(found)
    assert not found.notes


@pytest.mark.parametrize("file", sorted(written()))
def test_pages_are_those_of_the_rules(file: str) -> None:
    assert (DOCS / file).read_text(encoding="utf-8") == written()[file], (
        "python -m isoparam.lint.pages docs/doctor/rules writes them"
    )
