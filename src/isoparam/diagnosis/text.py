"""A diagnosis as text for the terminal."""

from textwrap import indent

from isoparam.diagnosis.findings import Diagnosis, Finding


def in_text(diagnosis: Diagnosis) -> str:
    """All findings, one block each, and what could not be looked into."""
    blocks = [_block(finding) for finding in diagnosis.findings]
    about = f" in {diagnosis.examined}" if diagnosis.examined else ""
    number = len(diagnosis.findings)
    blocks.append(f"{number} finding{'' if number == 1 else 's'}{about}." if number else f"Nothing found{about}.")
    blocks.extend(f"Not looked into: {note}" for note in diagnosis.notes)
    return "\n\n".join(blocks)


def _block(finding: Finding) -> str:
    params = f" (parameters: {', '.join(finding.params)})" if finding.params else ""
    lines = [f"{finding.place}: {finding.rule} {finding.kind}: {finding.attr}{params}", indent(finding.message, "  ")]
    lines.append(f"  What will happen: {finding.outcome}.")
    if finding.path:
        lines.append(f"  From the loss: {' <- '.join(finding.path)}")
    lines.append("  Write instead:")
    lines.append(indent(finding.fix, "      "))
    return "\n".join(lines)
