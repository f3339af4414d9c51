"""Updates whose result nobody kept: the same parameters come to the next gradient, and what was made of them is gone."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.callers import place

MOST = 64  # updates that are remembered


@dataclass
class Update:
    """One call that made new parameters of old ones.

    Attributes:
        name: what was called.
        old: the parameters, as long as somebody holds them.
        made: the results, as long as somebody holds them.
        file: where it was called.
        line: its line.
    """

    name: str
    old: tuple[Any, ...]
    made: tuple[Any, ...]
    file: str
    line: int

    @property
    def is_gone(self) -> bool:
        """Whether nobody holds any of the results."""
        return all(made() is None for made in self.made)

    def is_of(self, values: Sequence[Any]) -> bool:
        """Whether it was made of these very arrays."""
        return all(any(old() is value for value in values) for old in self.old)


class Updates:
    """The updates of a watched run, and which of them were dropped."""

    def __init__(self) -> None:
        self.known: list[Update] = []
        self.dropped: dict[tuple[str, str, int], tuple[int, list[Any]]] = {}
        self.trials: set[tuple[str, str, int]] = set()

    def record(self, name: str, old: Any, made: Any) -> None:
        """Take note of one update.

        Args:
            name: what was called.
            old: the parameters.
            made: what came out.
        """
        before = [leaf for leaf in jax.tree.leaves(old) if is_held(leaf)]
        after = [leaf for leaf in jax.tree.leaves(made) if is_held(leaf)]
        if not before or not after or {id(leaf) for leaf in before} & {id(leaf) for leaf in after}:
            return
        file, line = place()
        self.known.append(Update(name, tuple(map(weakref.ref, before)), tuple(map(weakref.ref, after)), file, line))
        del self.known[:-MOST]

    def used(self, values: Sequence[Any]) -> None:
        """These parameters are used (again) for a gradient: an update of them that is gone by now was dropped."""
        now = [value for value in values if is_held(value)]
        gone = [update for update in self.known if update.is_gone]
        for update in gone:
            if now and update.is_of(now):
                key = update.name, update.file, update.line
                count, _ = self.dropped.get(key, (0, now))
                self.dropped[key] = count + 1, now
        self.known = [update for update in self.known if not update.is_gone]

    def superseded(self, values: Sequence[Any]) -> None:
        """The training went on from these parameters: what was dropped of them was a trial, a warm-up, a check."""
        old = {id(value) for value in values}
        self.trials |= {key for key, (_, dropped) in self.dropped.items() if old & set(map(id, dropped))}

    def findings(self, names: dict[int, str]) -> Iterator[Finding]:
        """The updates that were dropped, if the parameters stayed what they were to the end.

        Args:
            names: those of the leaves, by identity.
        """
        for (name, file, line), (count, old) in self.dropped.items():
            if (name, file, line) in self.trials or (count < 2 and name.startswith("jax.tree")):
                continue  # a map may be anything; a loop throws away more than one
            params = tuple(sorted({names[id(each)] for each in old if id(each) in names}))
            times = "once" if count == 1 else f"{count} times"
            message = (
                f"{name} returns new parameters and changes none in place; its result was thrown away {times}, and the next "
                "gradient was taken at the same parameters."
            )
            fix = f"params = {name}(...): keep what it returns, and go on with that"
            yield Finding("dropped-update", name, params, file, line, message, fix, "nothing trains, in silence")


def is_held(leaf: Any) -> bool:
    """An array with numbers, whose life can be followed."""
    return isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and np.size(leaf) > 0
