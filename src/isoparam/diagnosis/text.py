"""A diagnosis as text for the terminal: one block per finding, as wide as the terminal is."""

import shutil
from collections.abc import Sequence
from math import isfinite
from textwrap import fill

from isoparam.diagnosis.findings import Diagnosis, Finding, History

NARROWEST, WIDEST = 60, 110
BARS = "▁▂▃▄▅▆▇█"


def in_text(diagnosis: Diagnosis, width: int | None = None) -> str:
    """All findings, one block each, and what could not be looked into.

    Args:
        diagnosis: what was found.
        width: of a line; by default that of the terminal, within 60 and 110. Code and paths are never broken.
    """
    columns = max(NARROWEST, min(WIDEST, width or shutil.get_terminal_size().columns))
    blocks = [_block(finding, columns) for finding in diagnosis.findings]
    about = f" in {diagnosis.examined}" if diagnosis.examined else ""
    number = len(diagnosis.findings)
    blocks.append(f"{number} finding{'' if number == 1 else 's'}{about}." if number else f"Nothing found{about}.")
    blocks.extend(_wrapped(f"Not looked into: {note}", columns, "") for note in diagnosis.notes)
    return "\n\n".join(blocks)


def _block(finding: Finding, columns: int) -> str:
    concerned = tuple(name for name in finding.params if name != finding.attr)
    params = f" (parameters: {', '.join(concerned)})" if concerned else ""
    lines = [f"{finding.place}: {finding.rule} {finding.kind}: {finding.attr}{params}"]
    lines.append(_wrapped(finding.message, columns))
    lines.append(_wrapped(f"What will happen: {finding.outcome}.", columns))
    if finding.path:
        lines.append(_wrapped(f"From the loss: {' <- '.join((*finding.path, finding.attr))}", columns))
    if finding.history is not None:
        lines.extend(f"  {line}" for line in drift(finding.history, columns - 2))
    lines.append("  Write instead:")
    lines.extend(_code(line, columns) for line in finding.fix.splitlines())
    return "\n".join(lines)


def _wrapped(text: str, columns: int, margin: str = "  ") -> str:
    """Paragraphs in lines of this width; a long word, such as a path, stays whole."""
    return "\n".join(
        fill(line, columns, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def _code(line: str, columns: int) -> str:
    """A line of advice; only one that reads as prose is broken."""
    return f"      {line}" if line.startswith(" ") else _wrapped(line, columns, "      ")


def drift(history: History, columns: int) -> list[str]:
    """Two rows of bars on one scale: what the parameter says, and what was used.

    Args:
        history: the values.
        columns: room for a row.
    """
    room = max(8, columns - 34)
    places = _thinned(len(history.steps), room)
    values = [value for value in (*history.fresh, *history.used) if isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    rows = [f"{history.entry}, steps {history.steps[0]} to {history.steps[-1]}:"]
    for title, numbers in (("parameter", history.fresh), ("used", history.used)):
        bars = "".join(_bar(numbers[place], low, high) for place in places)
        rows.append(f"  {title:9} {bars} {numbers[0]:.4g} to {numbers[-1]:.4g}")
    return rows


def _bar(value: float, low: float, high: float) -> str:
    if not isfinite(value):
        return "?"
    share = (value - low) / (high - low) if high > low else 0.0
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]


def _thinned(count: int, room: int) -> Sequence[int]:
    """As many places as there is room for, the first and the last among them."""
    if count <= room:
        return range(count)
    return [round(place * (count - 1) / (room - 1)) for place in range(room)]
