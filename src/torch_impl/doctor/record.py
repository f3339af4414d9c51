"""The findings of an examination as they come in: each mistake once, readable at any time."""

from collections.abc import Iterator
from dataclasses import replace

from isoparam.diagnosis import Diagnosis, Finding

ENTRIES = 8  # of one container that are told one by one


class Record:
    """A diagnosis that grows.

    It reads as a `Diagnosis`: true when something was found, with `findings` and `notes`.
    """

    def __init__(self, examined: str = "") -> None:
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self._notes: dict[str, None] = {}
        self._examined = examined

    def add(self, finding: Finding) -> None:
        """Keep a finding, unless the same mistake is known already."""
        root = finding.attr.split("[")[0]
        family = "stale" if finding.kind.startswith("stale-") and finding.kind != "stale-optimizer" else finding.kind
        like = [key for key in self._findings if key[:2] == (family, root)]
        key = (family, root, finding.attr)
        if key not in like and len(like) >= ENTRIES:
            key = like[0]
        held = self._findings.get(key)
        if held is not None:
            params = tuple(dict.fromkeys((*held.params, *finding.params)))
            path, history = held.path or finding.path, finding.history or held.history
            finding = replace(held, params=params, path=path, history=history)
        self._findings[key] = finding

    def note(self, text: str) -> None:
        """Keep what could not be looked into."""
        self._notes.setdefault(text)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return tuple(self._findings.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be looked into."""
        return tuple(self._notes)

    @property
    def diagnosis(self) -> Diagnosis:
        """What was found so far, as a value that stays as it is."""
        return Diagnosis(self.findings, self.notes, self._examined)

    def __bool__(self) -> bool:
        return bool(self._findings)

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        return str(self.diagnosis)

    def to_json(self) -> str:
        """As `Diagnosis.to_json`."""
        return self.diagnosis.to_json()

    def to_html(self) -> str:
        """As `Diagnosis.to_html`."""
        return self.diagnosis.to_html()
