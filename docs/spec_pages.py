"""Hook of mkdocs: one page per spec of the catalogue, from its docstring, its facts and the sources of its two rules."""

import ast
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import isoparam as iso

SOURCE = Path(iso.__file__).parent.parent
SECTION = "Catalogue"
KINDS = {
    "scalar": "Scalar specs: every entry by itself",
    "vector": "Vector specs: one axis",
    "matrix": "Matrix specs",
    "structure": "Specs made of others",
}


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, before the API."""
    pages = [{spec.__name__: f"specs/{spec.__name__}.md"} for spec in iso.catalogue()]
    config["nav"].insert(3, {SECTION: ["specs/index.md", *pages]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages, which exist nowhere on the disk."""
    files.append(File.generated(config, "specs/index.md", content=overview()))
    for spec in iso.catalogue():
        files.append(File.generated(config, f"specs/{spec.__name__}.md", content=page(spec)))
    return files


def overview() -> str:
    """The table of all specs, by kind."""
    lines = ["# Catalogue", ""]
    for kind in dict.fromkeys(spec.kind for spec in iso.catalogue()):
        lines += [f"## {KINDS[kind]}", "", "| spec | set | value from raw |", "|---|---|---|"]
        for spec in iso.catalogue():
            if spec.kind == kind:
                cells = [f"[{spec.__name__}]({spec.__name__}.md)", _cell(spec.facts.domain), _cell(spec.facts.formula)]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "## What every spec has",
        "",
        "::: isoparam.specs.base.Spec",
        "    options:",
        "      show_root_toc_entry: true",
        "      heading_level: 3",
        "",
    ]
    return "\n".join(lines)


def page(spec: type[iso.Spec]) -> str:
    """What a spec is, and how each backend computes it, side by side."""
    facts = [f"| {name.replace('_', ' ')} | {_cell(fact)} |" for name, fact in vars(spec.facts).items()]
    return "\n".join(
        [
            "---\nhide: [toc]\n---",
            f"# {spec.__name__}",
            "",
            f"::: {spec.__module__}.{spec.__name__}",
            "    options:",
            "      members: false",
            "      show_root_toc_entry: true",
            "",
            "## Facts",
            "",
            "| fact | of this spec |",
            "|---|---|",
            *facts,
            "",
            "## The two rules",
            "",
            '<div class="rules" markdown>',
            *_block("torch", spec),
            *_block("jax", spec),
            "</div>",
            "",
        ]
    )


def _block(backend: str, spec: type[iso.Spec]) -> list[str]:
    """The source of the rule of a spec in one backend."""
    path, code = rule_source(backend, spec)
    return ["", f'```python title="{path}"', *code.splitlines(), "```", ""]


def rule_source(backend: str, spec: type[iso.Spec]) -> tuple[str, str]:
    """The file of the rule of a spec, and its text, from the decorator on."""
    for file in sorted((SOURCE / f"{backend}_impl").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and f"RULES.implements({spec.__name__})" in map(ast.unparse, node.decorator_list):
                lines = text.splitlines()[node.lineno - 1 - len(node.decorator_list) : node.end_lineno]
                return f"{backend}_impl/{file.name}", "\n".join(lines)
    raise LookupError(f"no rule of {spec.__name__} in {backend}_impl")


def _cell(text: str) -> str:
    """Plain text in a cell of a table."""
    return f"<code>{escape(text).replace('|', '&#124;')}</code>"
