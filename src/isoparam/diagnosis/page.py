"""A diagnosis as one self-contained HTML page: no scripts, no fonts, no files beside it."""

from html import escape
from string import Template

from isoparam.diagnosis.findings import Diagnosis, Finding
from isoparam.diagnosis.picture import history_picture, path_picture
from isoparam.diagnosis.rules import rule_of

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #cf222e; --good: #1a7f37; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: .25rem 0; overflow-wrap: anywhere; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
.facts { opacity: .75; }
section { border: 1px solid var(--line); border-left: .35rem solid var(--bad); border-radius: 6px; }
section { padding: .75rem 1.25rem; margin: 1.5rem 0; }
pre { background: #8882; border-radius: 6px; padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre, code { font: 14px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block; margin: .75rem 0; }
svg text { font: 13px ui-monospace, monospace; fill: currentColor; }
svg rect { fill: #8881; stroke: var(--line); }
svg rect.stale { fill: #cf222e22; stroke: var(--bad); }
.arrow { stroke: currentColor; fill: none; opacity: .6; }
.head { fill: currentColor; opacity: .6; }
.axis { stroke: var(--line); fill: none; }
polyline { fill: none; stroke-width: 2.5; }
polyline.fresh { stroke: var(--good); }
polyline.used { stroke: var(--bad); }
span.fresh { color: var(--good); font-weight: 600; }
span.used { color: var(--bad); font-weight: 600; }
figure { margin: 0; }
figcaption { font-size: .9rem; }
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>isoparam doctor: $title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
<p class="facts">$about</p>
$overview
$sections
$notes
</body>
</html>
""")

SECTION = Template("""<section id="finding-$number">
<h2>$rule $kind: <code>$attr</code></h2>
<p class="facts">$title</p>
<p><code>$place</code>$params</p>
<p>$message</p>
$way
$history
<p><strong>What will happen:</strong> $outcome.</p>
<p><strong>Write instead:</strong></p>
<pre>$fix</pre>
</section>""")


def in_html(diagnosis: Diagnosis) -> str:
    """The page: a table of all findings where there are several, then one section each."""
    count = len(diagnosis.findings)
    title = f"{count} finding{'' if count == 1 else 's'}" if count else "Nothing found"
    return PAGE.substitute(
        title=escape(title),
        style=STYLE,
        about=escape(f"in {diagnosis.examined}" if diagnosis.examined else "by the doctor of isoparam"),
        overview=_overview(diagnosis.findings) if count > 1 else "",
        sections="\n".join(_section(number, finding) for number, finding in enumerate(diagnosis.findings, 1)),
        notes="\n".join(f'<p class="note">Not looked into: {escape(note)}</p>' for note in diagnosis.notes),
    )


def _overview(findings: tuple[Finding, ...]) -> str:
    rows = "".join(
        f'<tr><td><a href="#finding-{number}">{finding.rule}</a></td><td>{escape(finding.kind)}</td>'
        f"<td><code>{escape(finding.attr)}</code></td><td><code>{escape(finding.place)}</code></td></tr>"
        for number, finding in enumerate(findings, 1)
    )
    return f"<table><thead><tr><th>rule</th><th>kind</th><th>what</th><th>where</th></tr></thead><tbody>{rows}</tbody></table>"


def _section(number: int, finding: Finding) -> str:
    names = ", ".join(f"<code>{escape(name)}</code>" for name in finding.params)
    return SECTION.substitute(
        number=number,
        rule=finding.rule,
        kind=escape(finding.kind),
        attr=escape(finding.attr),
        title=escape(rule_of(finding.kind).title),
        place=escape(finding.place),
        params=f"; parameters: {names}" if names else "",
        message=escape(finding.message).replace("\n", "<br>"),
        way=path_picture(finding),
        history=history_picture(finding.history),
        outcome=escape(finding.outcome),
        fix=escape(finding.fix),
    )
