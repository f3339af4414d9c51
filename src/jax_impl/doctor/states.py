"""States of optimizers that go in again and again although the parameters move on: the new state was thrown away."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import optax

from isoparam.diagnosis import Finding
from jax_impl.doctor.callers import called_by_user, place
from jax_impl.doctor.dropped import is_held
from jax_impl.doctor.patches import Patches

if TYPE_CHECKING:
    from jax_impl.doctor.watching import Watch

REPEATED = 3  # calls in a row with one state and ever other parameters


class States:
    """The states that were seen, by where they are used."""

    def __init__(self) -> None:
        self._last: dict[Any, tuple[list[Any], list[Any], int]] = {}
        self.found: dict[Any, Finding] = {}

    def see(self, key: Any, name: str, state: list[Any], others: list[Any]) -> None:
        """One call.

        Args:
            key: what is called, from where.
            name: of what is called.
            state: arrays of the state.
            others: the other arrays: gradients, parameters.
        """
        if not state or not all(map(is_held, state)):
            return
        before, around, count = self._last.get(key, ([], [], 0))
        again = len(before) == len(state) and all(old is new for old, new in zip(before, state, strict=True))
        moved = len(around) != len(others) or any(old is not new for old, new in zip(around, others, strict=True))
        count = count + 1 if again and moved else count if again else 1
        self._last[key] = state, others, count
        if not again:
            self.found.pop(key, None)
        elif count >= REPEATED and key not in self.found:
            file, line = place()
            message = (
                f"{name} was called {count} times with the same state of the optimizer, while the parameters moved on: "
                "the new state that it returns was thrown away, so that momentum and counts stay those of the first step."
            )
            fix = "updates, state = transform.update(gradient, state, params): keep the state, and pass it to the next call"
            outcome = "the optimizer starts anew at every step, in silence"
            self.found[key] = Finding("dropped-update", f"{name}: state", (), file, line, message, fix, outcome)


def states_in(tree: Any) -> Iterator[Any]:
    """The arrays of optax states in a pytree."""
    for node in jax.tree.leaves(tree, is_leaf=_is_state):
        if _is_state(node):
            yield from jax.tree.leaves(node)


def _is_state(node: Any) -> bool:
    return isinstance(node, tuple) and type(node).__module__.partition(".")[0] == "optax" and bool(getattr(node, "_fields", ()))


def watch_updates(done: Patches, watch: "Watch") -> None:
    """Hear of each `transform.update` that the program itself calls.

    Args:
        done: where the replacement is noted.
        watch: what hears of it.
    """

    def update(transform: Any) -> Callable[..., Any]:
        original = tuple.__getitem__(transform, 1)

        @functools.wraps(original)
        def watched(updates: Any, state: Any, *rest: Any, **options: Any) -> Any:
            if watch.active and not watch.paused and called_by_user():
                with watch.aside():
                    key = id(transform), place()
                    watch.states.see(key, "optax update", list(states_in(state)), jax.tree.leaves([updates, rest]))
            return original(updates, state, *rest, **options)

        return watched

    done.replace(optax.GradientTransformation, "update", property(update))
