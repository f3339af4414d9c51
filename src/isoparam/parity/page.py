"""Reports as one self-contained HTML page: no scripts, no fonts, no files beside it."""

from collections.abc import Sequence
from html import escape
from string import Template

from isoparam.parity.report import Report, Row
from isoparam.parity.text import count, small

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 2.5rem 0 .25rem; }
p.facts { margin: 0 0 1.5rem; opacity: .7; }
.verdict { border-left: 4px solid var(--good); padding: .5rem 1rem; background: #8881; }
.verdict.over { border-color: var(--bad); }
.verdict pre { margin: .5rem 0 0; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
.number { text-align: right; }
tr.over td, tr.over a { color: var(--bad); font-weight: 600; }
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
$sections
<p class="facts">torch and jax: the entry where the two are furthest apart. relative: over the largest entry of the
parameter; this is what the budget judges. Point at the last column for the cause of the allowance.</p>
</body>
</html>
""")

OVERVIEW = Template("""<h1>$title</h1>
<div class="verdict$over">$verdict</div>
<div class="scroll">
<table id="overview">
<thead><tr><th>problem</th><th class="number">steps</th><th class="number">rows</th><th class="number">over budget</th>
<th class="number">ULP</th><th class="number">relative</th><th>first divergence</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>""")

SECTION = Template("""<h1 id="$anchor">$title</h1>
<p class="facts">$facts</p>
<div class="verdict$over">$verdict</div>
<div class="scroll">
<table>
<thead><tr><th>stage</th><th class="number">step</th><th>parameter</th><th></th><th class="number">torch</th>
<th class="number">jax</th><th class="number">ULP</th><th class="number">relative</th>
<th class="number">allowed</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>""")


def page(reports: Sequence[Report]) -> str:
    """Reports as HTML text, one after the other; several of them below a table that links to each."""
    title = f"Parity of {reports[0].problem if len(reports) == 1 else f'{len(reports)} problems'}"
    sections = [_section(report, f"report-{i}") for i, report in enumerate(reports)]
    overview = [] if len(reports) == 1 else [_overview(title, reports)]
    return PAGE.substitute(title=escape(title), style=STYLE, sections="\n".join(overview + sections))


def _overview(title: str, reports: Sequence[Report]) -> str:
    over = sum(not report.ok for report in reports)
    verdict = f"{over} of {len(reports)} problems over budget." if over else f"All {len(reports)} problems within budget."
    rows = "\n".join(_line(report, f"report-{i}") for i, report in enumerate(reports))
    return OVERVIEW.substitute(title=escape(title), over=" over" if over else "", verdict=verdict, rows=rows)


def _line(report: Report, anchor: str) -> str:
    over = sum(not row.ok for row in report.rows)
    numbers = (report.steps, len(report.rows), over, count(report.max_ulp), small(report.max_relative))
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    found = report.first_divergence
    where = "" if found is None else f"{found.stage}, step {found.step}, {found.where}"
    kind = "" if report.ok else ' class="over"'
    return f'<tr{kind}><td><a href="#{anchor}">{escape(report.problem)}</a></td>{cells}<td>{escape(where)}</td></tr>'


def _section(report: Report, anchor: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    facts = f"{report.steps} steps of {report.optimizer}, {report.dtype} on {report.device}, seed {report.seed}; {versions}"
    return SECTION.substitute(
        anchor=anchor,
        title=escape(f"Parity of {report.problem}"),
        facts=escape(facts),
        over="" if report.ok else " over",
        verdict=_verdict(report),
        rows="\n".join(_row(row) for row in report.rows),
    )


def _verdict(report: Report) -> str:
    if report.ok:
        return (
            f"All {len(report.rows)} rows within budget. Parameters at most {count(report.max_ulp)} ULP, "
            f"{small(report.max_relative)} relative apart."
        )
    over = sum(not row.ok for row in report.rows)
    return f"{over} of {len(report.rows)} rows over budget.<pre>{escape(str(report.first_divergence))}</pre>"


def _row(row: Row) -> str:
    entry = f"[{', '.join(map(str, row.index))}]" if row.index else ""
    cells = "".join(f"<td>{escape(text)}</td>" for text in (row.where + entry, row.quantity))
    numbers = (f"{row.torch!r}", f"{row.jax!r}", count(row.ulp), small(row.relative))
    counts = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
    over = "" if row.ok else ' class="over"'
    return (
        f'<tr{over}><td>{row.stage}</td><td class="number">{row.step}</td>'
        f'{cells}{counts}<td class="number" title="{escape(row.budget.cause)}">{small(row.budget.relative)}</td></tr>'
    )
