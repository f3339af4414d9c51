"""Hook of mkdocs: one page per spec of the catalogue, from its docstring, its facts and the sources of its two rules."""

import ast
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import isoparam as iso

SOURCE = Path(iso.__file__).parent.parent
SECTION = "Catalogue"
FAMILIES = {
    "Numbers": ("scalar", "affine", "circular", "box"),
    "Simplexes": ("Simplex", "simplexes", "stochastic"),
    "Orders, sums and series": ("vector", "OrderedInterval", "SumToZeroMatrix", "series"),
    "Balls, planes and norms": ("UnitVector", "balls", "planes", "norms", "weights"),
    "Triangles and symmetric matrices": ("triangles",),
    "Covariance and correlation": ("covariance", "correlation"),
    "Orthogonal matrices": ("rotations", "stiefel"),
    "Made of others": ("structure", "masked", "compose", "blocks"),
}
"""Groups of the navigation: files of `isoparam.specs`, and specs that belong elsewhere than their file."""


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, before the API."""
    groups = [{name: [{spec.__name__: f"specs/{spec.__name__}.md"} for spec in specs]} for name, specs in families().items()]
    config["nav"].insert(3, {SECTION: ["specs/index.md", *groups]})
    return config


def families() -> dict[str, list[type[iso.Spec]]]:
    """The specs of each group, in the order of the catalogue; LookupError for one that has none."""
    groups: dict[str, list[type[iso.Spec]]] = {name: [] for name in FAMILIES}
    for spec in iso.catalogue():
        file = spec.__module__.rpartition(".")[2]
        wanted = (name for key in (spec.__name__, file) for name, members in FAMILIES.items() if key in members)
        name = next(wanted, None)
        if name is None:
            raise LookupError(f"docs/spec_pages.py: {spec.__name__} of {file}.py is in no group of FAMILIES")
        groups[name].append(spec)
    return groups


def on_files(files: Any, config: Any) -> Any:
    """Add the pages, which exist nowhere on the disk."""
    files.append(File.generated(config, "specs/index.md", content=overview()))
    for spec in iso.catalogue():
        files.append(File.generated(config, f"specs/{spec.__name__}.md", content=page(spec)))
    return files


def overview() -> str:
    """The table of all specs, by group."""
    lines = ["# Catalogue", ""]
    for name, specs in families().items():
        lines += [f"## {name}", "", "| spec | kind | set | value from raw |", "|---|---|---|---|"]
        for spec in specs:
            facts = [spec.kind, _cell(spec.facts.domain), _cell(spec.facts.formula)]
            lines.append(f"| {' | '.join([f'[{spec.__name__}]({spec.__name__}.md)', *facts])} |")
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
