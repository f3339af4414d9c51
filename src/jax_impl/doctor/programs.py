"""The compiled functions that a watched program calls."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend import core, source_info_util

from isoparam.diagnosis import Finding
from jax_impl.doctor.dropped import is_held
from jax_impl.doctor.gradients import copies, leaves_among
from jax_impl.doctor.leaves import Leaves
from jax_impl.doctor.patches import Compiled
from jax_impl.doctor.places import label, source
from jax_impl.doctor.reach import bodies, reach
from jax_impl.doctor.slots import Group
from jax_impl.doctor.stale import Program, program, replaced
from jax_impl.doctor.states import states_in

if TYPE_CHECKING:
    from jax_impl.doctor.watching import Watch


class Programs:
    """All of them.

    Attributes:
        count: how many calls were made.
    """

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.count = 0
        self._calls: dict[int, int] = {}
        self._known: dict[tuple[int, int], Program] = {}
        self._within: dict[int, list[Group]] = {}
        self._alive: list[Compiled] = []

    def call(self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call it; before, what it holds is compared with where that came from."""
        inputs = jax.tree.leaves((args, kwargs))
        if any(isinstance(value, Tracer) for value in inputs):
            return compiled.jitted(*args, **kwargs)  # part of a larger program, which is looked at as a whole
        self.count += 1
        number = self._calls[id(compiled)] = self._calls.get(id(compiled), 0) + 1
        if number > self.watch.steps:
            return compiled.jitted(*args, **kwargs)
        if number == 1:
            self._alive.append(compiled)
        numbers: dict[int, Any] = {}
        with self.watch.aside():
            numbers = {id(value): copy for value, copy in zip(inputs, copies(inputs), strict=True)}
            self._see_parameters(compiled, args, kwargs, numbers)
            self._see_states(compiled, args, kwargs)
        self.watch.gradients.just_traced.clear()
        result = compiled.jitted(*args, **kwargs)
        with self.watch.aside():
            self._after(compiled, args, kwargs, numbers, result)
        return result

    def _see_parameters(
        self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any], numbers: dict[int, Any]
    ) -> None:
        for group in self._of(compiled):
            leaves = leaves_among(group, (args, kwargs), self.watch.modules)
            if leaves is not None:
                self.watch.gradients.see(group, leaves, _numbers(leaves, numbers))

    def _see_states(self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for group in self._of(compiled):
            leaves = leaves_among(group, (args, kwargs), self.watch.modules)
            if leaves is not None:
                state = list(states_in((args, kwargs)))
                self.watch.states.see(id(compiled), label(compiled), state, list(leaves.values))
                return

    def _after(
        self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any], numbers: dict[int, Any], result: Any
    ) -> None:
        """What the call showed: gradients that were taken while it was traced, new parameters, constants."""
        within = self._of(compiled)
        for group in self.watch.gradients.just_traced:
            if not any(group is each for each in within):
                within.append(group)
                leaves = leaves_among(group, (args, kwargs), self.watch.modules)
                if leaves is not None:
                    self.watch.gradients.see(group, leaves, _numbers(leaves, numbers))
        for group in within:
            leaves = leaves_among(group, (args, kwargs), self.watch.modules)
            if leaves is not None and not self.watch.modules:
                shapes = {np.shape(value) for value in leaves.values}
                made = [leaf for leaf in jax.tree.leaves(result) if is_held(leaf) and np.shape(leaf) in shapes]
                if len(made) >= len(leaves.values):
                    self.watch.updates.record(label(compiled), list(leaves.values), made)
        self._look(compiled, args, kwargs)

    def _of(self, compiled: Compiled) -> list[Group]:
        return self._within.setdefault(id(compiled), [])

    def _look(self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        made = program(compiled, args, kwargs)
        key = id(compiled), id(made.closed)
        known = self._known.get(key)
        if known is None:
            self._known[key] = made
            self.watch.found.extend(_dropped_inside(compiled, made))
            return
        known.calls += 1
        self.watch.found.extend(replaced(compiled, known, args, kwargs))


def _numbers(leaves: Leaves, known: dict[int, Any]) -> tuple[Any, ...]:
    """Copies from before the call; those of nnx's variables, which are no arguments, from now."""
    return tuple(known[id(value)] if id(value) in known else copies([value])[0] for value in leaves.values)


def _dropped_inside(compiled: Compiled, made: Program) -> list[Finding]:
    """optax.apply_updates in the traced function, of whose result nothing comes out of it."""
    uses = list(_applied(made.closed))
    if not uses or any(uses):
        return []
    file, line = source(compiled)
    name = label(compiled)
    message = f"{name} calls optax.apply_updates, which returns new parameters, and returns nothing of them."
    fix = f"params = optax.apply_updates(params, updates), and return params from {name}"
    return [
        Finding("dropped-update", f"{name}: optax.apply_updates", (), file, line, message, fix, "nothing trains, in silence")
    ]


def _applied(closed: Any) -> Iterator[bool]:
    """For each operation of optax.apply_updates, here or in an inner function: whether anything depends on it."""
    jaxpr = closed.jaxpr if isinstance(closed, core.ClosedJaxpr) else closed
    needed = reach(closed, [True] * len(jaxpr.outvars), "value").needed
    for eqn in jaxpr.eqns:
        if "(apply_updates" in source_info_util.summarize(eqn.source_info, num_frames=12):
            yield any(out in needed for out in eqn.outvars)
        else:
            for body in bodies(eqn):
                yield from _applied(body)
