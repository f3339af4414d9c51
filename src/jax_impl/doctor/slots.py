"""What became of each leaf in the calls of jax.grad that were watched: whether any of them moved it, and its values."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from isoparam.diagnosis import Finding
from jax_impl.doctor.callers import user_frames, variables
from jax_impl.doctor.leaves import Leaves, is_number, moved_by
from jax_impl.doctor.scanning import examine
from jax_impl.doctor.tracing import Trace


@dataclass
class Group:
    """The gradients with respect to one kind of tree.

    Attributes:
        leaves: as the first call had them with numbers, otherwise as it was traced.
        losses: the functions.
        traces: what they do; one per function and shape.
        first: the first values with numbers.
        last: the last ones.
        still: leaves that stayed the very same array while others were replaced.
        changed: leaves whose numbers changed between calls.
        calls: how many gradients were taken.
        kept: leaves that an optimizer in sight does not move.
        alive: the last values, held so that no other array gets their identity.
    """

    leaves: Leaves
    losses: list[Any] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    first: tuple[Any, ...] | None = None
    last: tuple[Any, ...] | None = None
    still: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    calls: int = 0
    kept: set[int] = field(default_factory=set)
    alive: deque[tuple[Any, ...]] = field(default_factory=lambda: deque(maxlen=4))

    def see(self, values: Sequence[Any]) -> None:
        """Take note of the values of one call."""
        self.calls += 1
        self.alive.append(tuple(values))
        if any(isinstance(value, jax.core.Tracer) for value in values):
            return
        if self.first is None:
            self.first = tuple(values)
        if self.last is not None:
            same = {place for place, value in enumerate(values) if value is self.last[place]}
            if len(same) < len(values):
                self.still |= same
                self.changed |= {place for place in range(len(values)) if place not in same and self._differs(place, values)}
        self.last = tuple(values)

    def _differs(self, place: int, values: Sequence[Any]) -> bool:
        assert self.last is not None
        old, new = np.asarray(self.last[place]), np.asarray(values[place])
        return old.shape != new.shape or not np.array_equal(old, new, equal_nan=old.dtype.kind == "f")

    def findings(self) -> list[Finding]:
        """What all calls together say."""
        if not self.traces:
            return []
        excused = self.still | self.changed | self.kept
        moved = [any(traced.moved[place] for traced in self.traces) for place in range(len(self.leaves.names))]
        trained = tuple(trains and (moved[place] or place not in excused) for place, trains in enumerate(self.leaves.trained))
        found = []
        for values in (self.first, self.last) if self.last is not self.first else (self.first,):
            leaves = self.leaves if values is None else _with(self.leaves, values)
            found.extend(examine(self.losses, self.traces, _restricted(leaves, trained)))
        return found

    def look_for_optimizers(self) -> None:
        """Ask the optimizers in the variables of the callers which leaves they move."""
        for transform in optimizers():
            moves = moved_by(transform, self.leaves.rebuild, self.leaves.values)
            if moves is not None and any(moves):
                self.kept |= {place for place, each in enumerate(moves) if not each}


def optimizers() -> list[Any]:
    """The optax transformations and nnx.Optimizers that the callers hold."""
    found: list[Any] = []
    for frame in user_frames():
        named = {name: value for name, value in frame.f_globals.items() if name in frame.f_code.co_names}
        for value in (*variables(frame).values(), *named.values()):
            transform = getattr(value, "tx", value)
            fields = getattr(transform, "_fields", ())
            if (
                isinstance(transform, tuple)
                and {"init", "update"} <= set(fields)
                and not any(transform is each for each in found)
            ):
                found.append(transform)
    return found[:4]


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


def _with(leaves: Leaves, values: tuple[Any, ...]) -> Leaves:
    return Leaves(leaves.names, values, leaves.trained, leaves.rebuild, leaves.nodes)


def _restricted(leaves: Leaves, trained: tuple[bool, ...]) -> Leaves:
    return Leaves(leaves.names, leaves.values, trained, leaves.rebuild, leaves.nodes)
