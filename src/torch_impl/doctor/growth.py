"""Graphs that are kept and grow: a value that leads back through more and more steps."""

from collections import deque
from itertools import pairwise
from typing import Any

from isoparam.diagnosis import Finding
from torch_impl.doctor.ages import Ages
from torch_impl.doctor.graph import Graph, number_of
from torch_impl.doctor.names import Names
from torch_impl.doctor.state import Held
from torch_impl.doctor.words import growing

STEPS = 4  # steps whose graphs must hang together, the oldest all the time


class Growth:
    """What is kept, look by look.

    A value, or a container, grows when it holds nodes of at least `STEPS` intervals between updates, and the oldest of them
    was there at each of the last looks: a window that moves on, or a list that is emptied, does not.
    """

    def __init__(self, names: Names, ages: Ages) -> None:
        self._names, self._ages = names, ages
        self._spans: dict[str, list[tuple[int, int, int]]] = {}

    def look(self, helds: list[Held], current: Graph) -> list[Finding]:
        """The findings at one look, of what is kept besides the loss itself."""
        found = []
        for root, members in self._by_root(helds).items():
            behind = Graph([held.tensor for held in members])
            if not behind.nodes or all(node in current for node in behind.nodes):
                continue
            intervals = {self._ages.interval(number_of(node)) for node in behind.nodes}
            now = len(self._ages.updates)
            rows = self._spans.setdefault(root, [])
            if not rows or rows[-1][0] != now:
                rows.append((now, min(intervals), len(intervals)))
            if self._grows(rows[-STEPS:]):
                leaves = dict.fromkeys(self._names.of(edge.leaf) for edge in behind.uses)
                whole = members[0] if len(members) == 1 else members[0]._replace(attr=_root_attr(members[0]), below="")
                found.append(growing(whole, self._names, tuple(leaves), len(intervals)))
        return found

    def _by_root(self, helds: list[Held]) -> dict[str, list[Held]]:
        """What hangs on one attribute or variable, taken together; a deque of limited length cannot grow."""
        roots: dict[str, list[Held]] = {}
        for held in helds:
            if held.tensor.grad_fn is not None and not _is_window(held):
                roots.setdefault(_root_attr(held), []).append(held)
        return roots

    @staticmethod
    def _grows(rows: list[tuple[int, int, int]]) -> bool:
        if len(rows) < STEPS:
            return False
        oldest = {row[1] for row in rows}
        spans = [row[2] for row in rows]
        return len(oldest) == 1 and all(later > earlier for earlier, later in pairwise(spans))


def _root_attr(held: Held) -> str:
    return held.attr.replace(held.below, "", 1) if held.below and held.below in held.attr else held.attr


def _is_window(held: Held) -> bool:
    value: Any = getattr(held.owner, held.root, None) if not isinstance(held.owner, str) else None
    return isinstance(value, deque) and value.maxlen is not None
