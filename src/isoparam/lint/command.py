"""`isoparam doctor PATH...`: the lint on the command line."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isoparam.errors import SpecError

CLEAN, FOUND, FAILED = 0, 1, 2  # exit codes, as ruff's


class Form(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


CodesOption = Annotated[list[str] | None, typer.Option(metavar="CODES", help="Codes or prefixes to look for: SG1,SG301; ALL.")]


def doctor(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files and folders of Python code.")] = None,
    select: CodesOption = None,
    extend_select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Further ones, beside the rules that are on.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODES", help="Codes or prefixes to leave out.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Files to leave out.")] = None,
    form: Annotated[Form, typer.Option("--output-format", help="How findings are written.")] = Form.TEXT,
    statistics: Annotated[bool, typer.Option("--statistics", help="Count the findings by rule.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would write, and write nothing.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Rewrite what __init__ derives from a parameter as a property.")] = False,
    to_constrained: Annotated[
        bool, typer.Option("--constrained", help="With --fix or --diff: where the map is known, a Constrained with that set.")
    ] = False,
    explain: Annotated[str | None, typer.Option(metavar="CODE", help="What a rule looks for, and leave.")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules, and leave.")] = False,
) -> None:
    """Find stale graphs in the text of a program; nothing of it is imported. Exit code 1 when something is found."""
    if explain is not None or rules:
        _tell(explain)
        return
    if not paths:
        raise SpecError("isoparam doctor needs a path: isoparam doctor src")
    from isoparam.lint.check import check
    from isoparam.lint.formats import rendered
    from isoparam.lint.formats import statistics as counted
    from isoparam.lint.settings import settings_for

    asked = settings_for(paths[0])
    wanted = _split(select) or list(asked.select)
    further = [*_split(extend_select), *asked.extend_select]
    if further:
        wanted = [*(wanted or _defaults()), *further]
    found = check(paths, select=wanted, ignore=[*_split(ignore), *asked.ignore], exclude=[*_split(exclude), *asked.exclude])
    if diff or fix:
        from isoparam.lint.fix import repair

        changed, remaining = repair(found, constrained=to_constrained, write=fix and not diff)
        if diff:
            typer.echo(changed, nl=False)
            raise typer.Exit(FOUND if changed else CLEAN)
        typer.echo(f"{len(found) - len(remaining)} of {len(found)} repaired", err=True)
        found = remaining
    typer.echo(counted(found) if statistics else rendered(found, form.value))
    if any("cannot be" in note for note in found.notes):
        raise typer.Exit(FAILED)
    raise typer.Exit(FOUND if found else CLEAN)


def _split(codes: list[str] | None) -> list[str]:
    return [code.strip() for each in codes or () for code in each.split(",") if code.strip()]


def _defaults() -> list[str]:
    from isoparam.diagnosis import RULES

    return [rule.code for rule in RULES if rule.default]


def _tell(code: str | None) -> None:
    from isoparam.diagnosis import RULES
    from isoparam.lint.pages import page

    if code is None:
        for rule in RULES:
            typer.echo(f"{rule.code}  {rule.kind:24}{'' if rule.default else '(opt-in) '}{rule.title}")
        return
    known = [rule for rule in RULES if rule.code == code.upper()]
    if not known:
        raise SpecError(f"{code!r} is no rule of the doctor; the rules: isoparam doctor --rules")
    sys.stdout.write(page(known[0]))
