"""Troubleshooting is titled by messages that its own code prints, word for word."""

import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### `([^`]+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)


def test_every_error_is_printed_below_its_title() -> None:
    assert len(ENTRIES) > 10
    for title, text in ENTRIES:
        printed = "".join(re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        assert printed.startswith(title), title
        assert re.search(r"^SG\d{3} ", printed, re.MULTILINE), title
