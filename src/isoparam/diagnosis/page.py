"""A diagnosis as one self-contained HTML page."""

from html import escape

from isoparam.diagnosis.findings import Diagnosis, Finding

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "section{border:1px solid #ccc;border-left:.4rem solid #b3261e;padding:.5rem 1rem;margin:1rem 0}"
    "pre{background:#f4f4f4;padding:.6rem;overflow:auto}code{font-size:.95em}h2{font-size:1.1rem}"
)


def in_html(diagnosis: Diagnosis) -> str:
    """The page: one section per finding."""
    number = len(diagnosis.findings)
    title = f"{number} finding{'' if number == 1 else 's'}" if number else "Nothing found"
    about = f" in {diagnosis.examined}" if diagnosis.examined else ""
    notes = "".join(f"<p>Not looked into: {escape(note)}</p>" for note in diagnosis.notes)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>isoparam doctor: {escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title + about)}</h1>{''.join(_section(finding) for finding in diagnosis.findings)}{notes}</body></html>\n"
    )


def _section(finding: Finding) -> str:
    params = f"<p>Parameters: <code>{escape(', '.join(finding.params))}</code></p>" if finding.params else ""
    path = f"<p>From the loss: <code>{escape(' ← '.join(finding.path))}</code></p>" if finding.path else ""
    return (
        f"<section><h2>{finding.rule} {escape(finding.kind)}: <code>{escape(finding.attr)}</code></h2>"
        f"<p><code>{escape(finding.place)}</code></p><p>{escape(finding.message)}</p>{params}{path}"
        f"<p>What will happen: {escape(finding.outcome)}.</p><p>Write instead:</p><pre>{escape(finding.fix)}</pre></section>"
    )
