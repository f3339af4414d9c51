"""One finding of the doctor, and all findings of one examination."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from isoparam.diagnosis.rules import rule_of


@dataclass(frozen=True)
class History:
    """How far a parameter and what is used in its place have come apart, step by step.

    Attributes:
        entry: what is followed: "mean of w", "w[0]".
        steps: numbers of the steps or calls.
        fresh: what the parameter says.
        used: what was used.
    """

    entry: str
    steps: tuple[int, ...]
    fresh: tuple[float, ...]
    used: tuple[float, ...]


@dataclass(frozen=True)
class Finding:
    """One mistake, where it was made, what it leads to and what to write instead.

    Attributes:
        kind: the mistake as one word, a `kind` of `isoparam.diagnosis.RULES`.
        attr: what holds the wrong value: dotted attribute, local of a function, leaf of a pytree.
        params: names of the parameters concerned.
        file: path of the file where it was made; "" where no source is known.
        line: its line, from 1; 0 where no source is known.
        message: what is wrong here, with names.
        fix: the code to write instead.
        outcome: what will happen: "raises at step 2", "frozen in silence", ...
        path: operations from the loss back to the stale value, where a graph was seen.
        column: column of the line, from 1; 0 where it is not known.
        history: how the value came apart from its parameter, where that was followed.
    """

    kind: str
    attr: str
    params: tuple[str, ...]
    file: str
    line: int
    message: str
    fix: str
    outcome: str
    path: tuple[str, ...] = ()
    column: int = 0
    history: History | None = field(default=None, compare=False)

    @property
    def rule(self) -> str:
        """The code of the rule: "SG101", ..."""
        return rule_of(self.kind).code

    @property
    def place(self) -> str:
        """file:line, for the terminal to open."""
        return f"{self.file}:{self.line}" if self.file else "(no source)"


@dataclass(frozen=True)
class Diagnosis:
    """What an examination found; true when that is something.

    Attributes:
        findings: in the order in which they were found, each mistake once.
        notes: what could not be looked into, and why: "a compiled module: ...".

    Example:
        >>> from isoparam.diagnosis import Diagnosis
        >>> bool(Diagnosis(findings=()))
        False
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    examined: str = field(default="", compare=False)

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        from isoparam.diagnosis.text import in_text

        return in_text(self)

    def to_json(self) -> str:
        """One JSON object: findings (with rule and fields), notes."""
        found = [{"rule": finding.rule, **asdict(finding)} for finding in self.findings]
        return json.dumps({"findings": found, "notes": list(self.notes), "examined": self.examined}, indent=2)

    def to_html(self) -> str:
        """One self-contained page."""
        from isoparam.diagnosis.page import in_html

        return in_html(self)
