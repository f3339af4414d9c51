"""The page of each rule: `isoparam doctor --explain CODE`, and docs/doctor/rules; `python -m isoparam.lint.pages DIR` writes them."""

import sys
from pathlib import Path

from isoparam.diagnosis import RULES, Rule
from isoparam.lint.examples import Example
from isoparam.lint.examples_jax import JAX
from isoparam.lint.examples_torch import TORCH

EXAMPLES: dict[str, Example] = {**TORCH, **JAX}
_SEEN = {
    "lint": "in the text, by `isoparam doctor PATH`",
    "torch": "in a running program, by `isoparam.torch.doctor`",
    "jax": "in a running program, by `isoparam.jax.doctor`",
}


def page(rule: Rule) -> str:
    """The page of one rule, in Markdown."""
    seen = "; ".join(_SEEN[each] for each in rule.seen)
    opt = (
        ""
        if rule.default or "lint" not in rule.seen
        else " It is off in the lint until it is asked for: `--extend-select " + rule.code + "`."
    )
    parts = [f"# {rule.code}: {rule.kind}", f"{_sentence(rule.title)} What happens: {rule.outcome}.", f"Found {seen}.{opt}"]
    example = EXAMPLES.get(rule.code)
    if example is not None:
        parts += ["## What is found", f"```python\n{example.bad.strip()}\n```", "## Why", example.why]
        parts += ["## What to write instead", f"```python\n{example.good.strip()}\n```", "## When it is silent", example.silent]
    return "\n\n".join(parts) + "\n"


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
