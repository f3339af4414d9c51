"""What became of each leaf in the calls of jax.grad that were watched: whether any of them moved it, and its values."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.callers import user_frames, variables
from jax_impl.doctor.leaves import Leaves, attributes, is_number, is_transformation, moved_by
from jax_impl.doctor.places import label
from jax_impl.doctor.scanning import examine
from jax_impl.doctor.tracing import Trace

REPEATED = 3  # equal gradients in a row that make a loop which does not train


@dataclass
class Group:
    """The gradients with respect to one kind of tree.

    Attributes:
        leaves: as the first call had them with numbers, otherwise as it was traced.
        losses: the functions.
        traces: what they do; one per function and shape.
        first: the first numbers.
        last: the last ones.
        seen: the arrays of the last call.
        still: leaves that stayed the very same array while others were replaced.
        changed: leaves whose numbers changed between calls.
        calls: how many gradients were taken.
        kept: leaves that an optimizer in sight does not move.
        stuck: (place, loss, names) of gradients that repeat themselves.
        same: (place, arguments, how often in a row with these very arguments) of the last gradient.
        alive: the last values, held so that no other array gets their identity.
    """

    leaves: Leaves
    losses: list[Any] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    first: tuple[Any, ...] | None = None
    last: tuple[Any, ...] | None = None
    seen: tuple[Any, ...] | None = None
    still: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    calls: int = 0
    kept: set[int] = field(default_factory=set)
    same: tuple[tuple[str, int], list[Any], int] = (("", 0), [], 0)
    stuck: tuple[tuple[str, int], str, tuple[str, ...]] | None = None
    alive: deque[tuple[Any, ...]] = field(default_factory=lambda: deque(maxlen=4))

    def see(self, values: Sequence[Any], numbers: Sequence[Any]) -> tuple[Any, ...] | None:
        """Take note of the values of one call.

        Args:
            values: the arrays.
            numbers: copies of them, which outlive a donation; None for one that is too large.

        Returns:
            The arrays before, if these are others.
        """
        self.calls += 1
        if any(isinstance(value, Tracer) for value in values):
            return None
        self.alive.append(tuple(values))
        before, after = self.seen, tuple(values)
        self.first = tuple(numbers) if self.first is None else self.first
        replaced = before is not None and any(old is not new for old, new in zip(before, after, strict=True))
        if replaced and self.last is not None:
            assert before is not None
            same = {place for place, value in enumerate(after) if value is before[place]}
            self.still |= same
            others = set(range(len(after))) - same
            self.changed |= {place for place in others if _differ(self.last[place], numbers[place])}
        self.seen, self.last = after, tuple(numbers)
        return before if replaced else None

    def repeat(self, function: Any, args: Sequence[Any], place: tuple[str, int]) -> None:
        """Count gradients that are taken again of the same numbers at the same place: nothing came of the one before.

        Args:
            function: the loss.
            args: all arguments, parameters too.
            place: of the call.
        """
        leaves = jax.tree.leaves(args)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return
        before, old_leaves, count = self.same
        again = before == place and len(old_leaves) == len(leaves)
        again = again and all(_is_the_same(old, new) for old, new in zip(old_leaves, leaves, strict=True))
        self.same = place, leaves, (count + 1 if again else 1)
        if self.same[2] >= REPEATED:
            self.stuck = place, label(function), tuple(self.leaves.names)

    def _stuck(self) -> list[Finding]:
        """A loop that takes one and the same gradient, to the end of the run."""
        if self.stuck is None or self.same[2] < REPEATED:
            return []
        (file, line), name, params = self.stuck
        message = (
            f"the gradient of {name} was taken {self.same[2]} times in a row at the very same parameters and data: "
            "whatever was made of it did not become the parameters."
        )
        fix = "params = update(params, gradient): keep what the update returns, and take the next gradient there"
        return [Finding("dropped-update", name, params, file, line, message, fix, "nothing trains, in silence")]

    def findings(self) -> list[Finding]:
        """What all calls together say."""
        if not self.traces:
            return []
        excused = self.still | self.changed | self.kept
        moved = [any(traced.moved[place] for traced in self.traces) for place in range(len(self.leaves.names))]
        trained = tuple(trains and (moved[place] or place not in excused) for place, trains in enumerate(self.leaves.trained))
        found = self._stuck()
        for numbers in (self.first, self.last) if self.last is not self.first else (self.first,):
            leaves = self.leaves if numbers is None else _with(self.leaves, numbers)
            found.extend(examine(self.losses, self.traces, _restricted(leaves, trained)))
        return found

    def look_for_optimizers(self) -> None:
        """Ask the optimizers in the variables of the callers which leaves they move."""
        for transform in optimizers():
            moves = moved_by(transform, self.leaves.rebuild, self.leaves.values)
            if moves is not None and any(moves):
                self.kept |= {place for place, each in enumerate(moves) if not each}


def optimizers() -> list[Any]:
    """The optax transformations that the callers hold, by themselves or in an object."""
    found: list[Any] = []
    for frame in user_frames():
        named = [value for name, value in frame.f_globals.items() if name in frame.f_code.co_names]
        held = [*variables(frame).values(), *named]
        for value in (*held, *(each for owner in held for each in _parts(owner))):
            if is_transformation(value) and not any(value is each for each in found):
                found.append(value)
    return found[:6]


def _parts(owner: Any) -> list[Any]:
    if isinstance(owner, type | ModuleType) or is_transformation(owner):
        return []
    if isinstance(owner, dict):
        return list(owner.values())[:50]
    return [value for _, value in attributes(owner)]


def _is_the_same(old: Any, new: Any) -> bool:
    return old is new or (isinstance(old, bool | int | float | complex) and type(old) is type(new) and old == new)


def _differ(old: Any, new: Any) -> bool:
    """Whether the numbers of a leaf changed; those of a large one are not compared."""
    return old is not None and new is not None and not np.array_equal(old, new, equal_nan=np.asarray(old).dtype.kind == "f")


def key_of(tree: Any, leaves: Leaves) -> tuple[Any, ...]:
    """The same for trees of the same kind: names and shapes."""
    shapes = tuple(np.shape(value) for value in leaves.values)
    return type(tree).__name__, leaves.names, shapes


def moved_in_run(function: Callable[..., Any], values: Sequence[Any]) -> tuple[bool, ...] | None:
    """Leaves to which a derivative comes back in a run with numbers, for a loss that cannot be traced without them.

    Args:
        function: of the leaves; its first output is the loss.
        values: their numbers.
    """
    from jax_impl.doctor.reach import reach

    if not all(is_number(value) for value in values):
        return None
    _, push = jax.linearize(lambda *leaves: _first(function(list(leaves))), *values)
    closed = jax.make_jaxpr(push)(*values)
    return reach(closed, [True] * len(closed.jaxpr.outvars), "gradient").inputs


def _first(output: Any) -> Any:
    return jax.tree.leaves(output)[0]


def _with(leaves: Leaves, numbers: tuple[Any, ...]) -> Leaves:
    values = tuple(value if number is None else number for value, number in zip(leaves.values, numbers, strict=True))
    return Leaves(leaves.names, values, leaves.trained, leaves.rebuild, leaves.nodes)


def _restricted(leaves: Leaves, trained: tuple[bool, ...]) -> Leaves:
    return Leaves(leaves.names, leaves.values, trained, leaves.rebuild, leaves.nodes)
