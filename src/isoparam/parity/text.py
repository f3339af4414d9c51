"""A report as aligned plain text whose table fits 80 columns."""

from collections.abc import Iterator
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isoparam.parity.report import Report, Row

SHOWN = 8  # rows of one stage and step in the table; the worst ones, when there are more
WIDTH = 18  # of names; longer ones lose their middle


def table(report: "Report") -> Iterator[str]:
    """The lines of the table."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"parity of {report.problem}: {report.dtype} on {report.device}, {report.steps} steps, seed {report.seed}"
    yield fill(report.optimizer, 80, initial_indent="  ", subsequent_indent="    ")
    yield f"  {versions}"
    yield ""
    width = min(WIDTH, max([9, *(len(row.where) for row in report.rows)]))
    yield f"{'stage':<9}{'step':>6}  {'parameter':<{width}}  {'':<8}  {'ULP':>7}  {'relative':>8}  {'allowed':>8}"
    for _, group in groupby(report.rows, key=lambda row: (row.stage, row.step)):
        members = list(group)
        shown = sorted(members, key=lambda row: (row.ok, -row.relative))[:SHOWN]
        for row in (row for row in members if row in shown):
            yield _line(row, width)
        if len(members) > SHOWN:
            over = sum(not row.ok for row in members) - sum(not row.ok for row in shown)
            yield f"{'':<17}({len(members) - SHOWN} more, {f'{over} over budget' if over else 'all within budget'})"
    yield ""
    over = sum(not row.ok for row in report.rows)
    if over:
        yield f"{over} of {len(report.rows)} rows over budget\n{report.first_divergence}"
    elif not any(row.budget.relative for row in report.rows):
        yield f"all {len(report.rows)} rows equal: {report.bits} bits apart"
    else:
        yield (
            f"all {len(report.rows)} rows within budget; parameters at most "
            f"{count(report.max_ulp)} ULP, {small(report.max_relative)} relative apart"
        )


def _line(row: "Row", width: int) -> str:
    name = row.where if len(row.where) <= width else f"{row.where[: width - 9]}...{row.where[-6:]}"
    return (
        f"{row.stage:<9}{row.step:>6}  {name:<{width}}  {row.quantity:<8}  {count(row.ulp):>7}  {small(row.relative):>8}  "
        f"{small(row.budget.relative):>8}{'' if row.ok else '  OVER'}"
    )


def count(ulp: float) -> str:
    """A number of ULP."""
    return f"{ulp:.0f}" if ulp < 1e6 else f"{ulp:.1e}"


def small(number: float) -> str:
    """A relative difference."""
    return "0" if number == 0 else f"{number:.1e}"
