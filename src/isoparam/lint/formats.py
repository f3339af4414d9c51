"""Findings for a terminal, for programs, for code scanning and for the annotations of GitHub."""

import json
import os
from collections import Counter
from urllib.parse import quote

from isoparam.diagnosis import RULES, Diagnosis, Finding
from isoparam.version import __version__

FORMATS = ("text", "json", "sarif", "github")
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def rendered(diagnosis: Diagnosis, form: str) -> str:
    """A diagnosis in one of FORMATS."""
    if form == "json":
        return diagnosis.to_json()
    if form == "sarif":
        return sarif(diagnosis)
    return github(diagnosis) if form == "github" else str(diagnosis)


def sarif(diagnosis: Diagnosis) -> str:
    """SARIF 2.1.0."""
    used = {finding.rule for finding in diagnosis}
    rules = [rule for rule in RULES if rule.code in used]
    order = {rule.code: n for n, rule in enumerate(rules)}
    driver = {
        "name": "isoparam doctor",
        "version": __version__,
        "informationUri": "https://pypi.org/project/isoparam/",
        "rules": [
            {
                "id": rule.code,
                "name": rule.kind,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": f"{rule.title}: {rule.outcome}"},
            }
            for rule in rules
        ],
    }
    results = [_result(finding, order[finding.rule]) for finding in diagnosis]
    notes = [{"level": "warning", "message": {"text": note}} for note in diagnosis.notes]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, index: int) -> dict[str, object]:
    text = f"{finding.message}. What will happen: {finding.outcome}. Write instead: {finding.fix}"
    region = {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)}
    place = {"artifactLocation": {"uri": quote(_relative(finding.file))}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def github(diagnosis: Diagnosis) -> str:
    """Workflow commands: GitHub shows them at the lines."""
    lines = [
        f"::error title=isoparam {finding.rule} {finding.kind},file={_property(_relative(finding.file))},"
        f"line={finding.line},col={finding.column}::{_message(f'{finding.message}. Write instead: {finding.fix}')}"
        for finding in diagnosis
    ]
    lines += [f"::warning title=isoparam doctor::{_message(note)}" for note in diagnosis.notes]
    return "\n".join(lines)


def statistics(diagnosis: Diagnosis) -> str:
    """How often each rule was found, the most frequent first."""
    counts = Counter(finding.rule for finding in diagnosis)
    kinds = {finding.rule: finding.kind for finding in diagnosis}
    return "\n".join(
        [
            *(f"{count:6d}  {code}  {kinds[code]}" for code, count in counts.most_common()),
            f"{len(diagnosis):6d}  in {diagnosis.examined}",
        ]
    )


def _relative(file: str) -> str:
    path = os.path.relpath(file) if os.path.isabs(file) else file
    return (file if path.startswith("..") else path).replace(os.sep, "/")


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
