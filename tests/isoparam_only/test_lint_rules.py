"""Every rule of the lint finds its own bad example, and nothing in the one put right; its page is the one in docs."""

from pathlib import Path

import pytest

from isoparam.diagnosis import RULES
from isoparam.lint import check, check_source
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


def test_a_library_is_itself_where_its_text_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "torch" / "nn").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("def zeros(*size): ...\n")
    (tmp_path / "torch" / "nn" / "__init__.py").write_text("class Module: ...\nclass Parameter: ...\n")
    model = tmp_path / "model.py"
    model.write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.raw = nn.Parameter(torch.zeros(3))\n        self.x = self.raw.exp()\n\n"
        "    def forward(self, y):\n        return self.x * y\n"
    )
    assert [finding.line for finding in check([tmp_path])] == [finding.line for finding in check([model])] == [9]
