"""Comments that say that a finding is meant: `# noqa: SG101 why` and `# isoparam: ignore[SG101] why`."""

import io
import re
import tokenize
from collections.abc import Mapping, Sequence

from isoparam.diagnosis import Finding
from isoparam.lint.sources import Source

_NOQA = re.compile(r"#\s*noqa(?::\s*(?P<codes>[A-Z]+\d+(?:[\s,]+[A-Z]+\d+)*))?(?P<why>.*)", re.IGNORECASE)
_OWN = re.compile(r"#\s*isoparam:\s*ignore(?:\[(?P<codes>[^\]]*)\])?(?P<why>.*)", re.IGNORECASE)


def suppressed(findings: Sequence[Finding], sources: Mapping[str, Source]) -> tuple[list[Finding], list[str]]:
    """Findings that no comment on their line takes back, and a note for every comment that gives no reason."""
    kept, notes = [], []
    comments: dict[str, dict[int, str]] = {}
    for finding in findings:
        if finding.file not in comments:
            comments[finding.file] = _comments(sources[finding.file].text) if finding.file in sources else {}
        comment = comments[finding.file].get(finding.line, "")
        for pattern in (_OWN, _NOQA):
            said = pattern.search(comment)
            if said is not None and _covers(said, finding.rule):
                if not said["why"].strip(" \t:-#—,"):
                    notes.append(f"{finding.place}: {finding.rule} is suppressed without a reason; write it behind the code")
                break
        else:
            kept.append(finding)
    return kept, notes


def _covers(said: re.Match[str], code: str) -> bool:
    codes = said["codes"]
    return codes is None or any(code.startswith(each.strip().upper()) for each in re.split(r"[\s,]+", codes) if each.strip())


def _comments(text: str) -> dict[int, str]:
    found = {}
    if "#" in text:
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.COMMENT:
                    found[token.start[0]] = token.string
        except (tokenize.TokenError, SyntaxError, IndentationError):
            return found
    return found
