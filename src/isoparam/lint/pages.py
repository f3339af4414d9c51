"""The page of each rule: `isoparam doctor --explain CODE` and docs/doctor/rules (`python -m isoparam.lint.pages DIR`).

What a page shows beside the words of the rule is in `rules/CODE.md`: code in which the rule finds something, why that is wrong,
the same put right, and where the rule is silent. Tests hold the lint to both codes.
"""

import re
import sys
from pathlib import Path

from isoparam.diagnosis import RULES, Rule

_SEEN = {
    "lint": "in the text, by `isoparam doctor PATH`",
    "torch": "in a running program, by `isoparam.torch.doctor`",
    "jax": "in a running program, by `isoparam.jax.doctor`",
}
_FOLDER = Path(__file__).parent / "rules"


def page(rule: Rule) -> str:
    """The page of one rule, in Markdown."""
    seen = "; ".join(_SEEN[each] for each in rule.seen)
    found = f"Found {seen}."
    if not rule.default and "lint" in rule.seen:
        found += f" It is off in the lint until it is asked for: `--extend-select {rule.code}`."
    parts = [f"# {rule.code}: {rule.kind}", f"{_sentence(rule.title)} What happens: {rule.outcome}.", found]
    return "\n\n".join([*parts, *shown(rule.code)]).rstrip() + "\n"


def shown(code: str) -> list[str]:
    """What a page shows of a rule of the lint; empty for the others."""
    file = _FOLDER / f"{code}.md"
    return [file.read_text(encoding="utf-8")] if file.is_file() else []


def examples(code: str) -> list[str]:
    """The codes of a page: the bad one, then the one put right."""
    return [found for text in shown(code) for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


def index() -> str:
    """The page that lists the rules."""
    rows = [
        f"| [{rule.code}]({rule.code}.md) | {rule.kind} | {_sentence(rule.title)} | {', '.join(rule.seen)} |" for rule in RULES
    ]
    head = ["# Rules of the doctor", "", "| code | kind | what is wrong | found by |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


def written() -> dict[str, str]:
    """File name and content of every page."""
    return {"index.md": index(), **{f"{rule.code}.md": page(rule) for rule in RULES}}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in written().items():
        (folder / file).write_text(content, encoding="utf-8")
