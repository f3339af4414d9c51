"""The gradients that a watched program takes, by the tree that they are taken of."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.callers import place as running_at
from jax_impl.doctor.leaves import Leaves, is_number, leaves_of
from jax_impl.doctor.places import holders
from jax_impl.doctor.scanning import unique
from jax_impl.doctor.slots import Group, key_of, moved_in_run
from jax_impl.doctor.statics import overridden
from jax_impl.doctor.tracing import NOT_FOR_TRACING, RunTrace, trace

if TYPE_CHECKING:
    from jax_impl.doctor.watching import Watch


COPIED = 100_000  # entries of a leaf whose numbers are kept


class Gradients:
    """All of them.

    Attributes:
        groups: by the kind of tree.
        count: how many were taken.
    """

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.groups: dict[Any, Group] = {}
        self.count = 0
        self.extra: list[Finding] = []
        self._traced: set[Any] = set()
        self.just_traced: list[Group] = []

    def record(self, function: Callable[..., Any], argnums: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """One call of what jax.grad or jax.value_and_grad gave.

        Args:
            function: the loss.
            argnums: what it is differentiated by.
            args: of the call.
            kwargs: those by name.
        """
        places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        places = tuple(place % len(args) for place in places)
        names = _names(function, len(args))
        params = args[places[0]] if len(places) == 1 else {names[place]: args[place] for place in places}
        rest = [value for place, value in enumerate(args) if place not in places]

        def loss(given: Any, *others: Any, **named: Any) -> Any:
            them = list(others)
            for place in sorted(places):
                them.insert(place, given if len(places) == 1 else given[names[place]])
            return function(*them, **named)

        self._take(function, loss, params, rest, kwargs, names[places[0]], None)

    def record_nnx(self, function: Callable[..., Any], argnums: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """One call of what nnx.grad or nnx.value_and_grad gave; only the first module that it is taken of.

        Args:
            function: the loss.
            argnums: numbers or nnx.DiffStates.
            args: of the call.
            kwargs: those by name.
        """
        first = argnums[0] if isinstance(argnums, tuple | list) else argnums
        number, wrt = (first.argnum, first.filter) if isinstance(first, nnx.DiffState) else (first, None)
        rest = [value for each, value in enumerate(args) if each != number]

        def loss(given: Any, *others: Any, **named: Any) -> Any:
            them = list(others)
            them.insert(number, given)
            return function(*them, **named)

        self._take(function, loss, args[number], rest, kwargs, _names(function, len(args))[number], wrt)
        if not isinstance(first, nnx.DiffState):
            self.extra.extend(overridden(args[number]))

    def _take(
        self, function: Any, loss: Any, params: Any, rest: Sequence[Any], kwargs: dict[str, Any], label: str, wrt: Any
    ) -> None:
        self.count += 1
        leaves = leaves_of(params, None, wrt, label)
        if not leaves.names:
            return
        key = key_of(params, leaves)
        group = self.groups.setdefault(key, Group(leaves))
        self.see(group, leaves)
        if self.watch.depth == 0:  # one within another is a derivative by its inputs
            held = [value for _, value in holders(function)]
            group.repeat(function, [params, *rest, kwargs, held], running_at())
        self.just_traced.append(group)
        code = getattr(function, "__code__", None) or id(function)
        shapes = str(jax.tree.map(lambda value: (np.shape(value), str(getattr(value, "dtype", ""))), [rest, kwargs]))
        if (code, key, shapes) in self._traced:
            return
        self._traced.add((code, key, shapes))
        group.losses.append(function)
        try:
            traced: Any = trace(loss, leaves, rest, kwargs)
        except NOT_FOR_TRACING:
            moved = moved_in_run(lambda values: loss(leaves.rebuild(values), *rest, **kwargs), leaves.values)
            if moved is None:
                raise
            traced = RunTrace(moved)
        group.traces.append(traced)
        if not all(traced.moved):
            group.look_for_optimizers()

    def see(self, group: Group, leaves: Leaves, numbers: Sequence[Any] | None = None) -> None:
        """The parameters of one call: what they were, and whether an update of them was dropped.

        Args:
            group: where they belong.
            leaves: they.
            numbers: copies of them from before the call.
        """
        before = group.see(leaves.values, copies(leaves.values) if numbers is None else numbers)
        if before is not None:
            self.watch.updates.superseded(before)
        self.watch.updates.used(leaves.values)

    def knows(self, tree: Any) -> bool:
        """Whether a tree is parameters, of which a gradient was taken."""
        known = {id(value) for group in self.groups.values() for values in group.alive for value in values}
        return any(id(leaf) in known for leaf in jax.tree.leaves(tree))

    def names(self) -> dict[int, str]:
        """{identity: name} of the leaves of the last calls."""
        return {
            id(value): name
            for group in self.groups.values()
            for values in group.alive
            for name, value in zip(group.leaves.names, values, strict=True)
        }

    def findings(self) -> list[Finding]:
        """What all calls together say."""
        with_groups: list[Finding] = list(self.extra)
        for group in self.groups.values():
            with self.watch.aside():
                with_groups.extend(group.findings())
        return unique(with_groups)


def copies(values: Sequence[Any]) -> tuple[Any, ...]:
    """The numbers of arrays, which stay when a buffer is donated; None for what is large, traced or gone already."""
    return tuple(_copy(value) for value in values)


def _copy(value: Any) -> Any:
    if (
        isinstance(value, Tracer)
        or not is_number(value)
        or np.size(value) > COPIED
        or (isinstance(value, jax.Array) and value.is_deleted())
    ):
        return None
    return np.array(value)


def leaves_among(group: Group, tree: Any, modules: Sequence[Any] = ()) -> Leaves | None:
    """The leaves of a group among the arguments of a compiled function, by their names and shapes; None if they are not.

    Args:
        group: the gradients that were taken while it was traced.
        tree: its arguments.
        modules: those of nnx.jit, which hands on arrays without names.
    """
    found: dict[str, Any] = {}
    for place, module in enumerate(modules):
        leaves = leaves_of(module)
        found |= {f"{place}.{name}": value for name, value in zip(leaves.names, leaves.values, strict=True)}
    for path, value in jax.tree_util.tree_leaves_with_path(tree):
        found[re.sub(r"\.value$", "", jax.tree_util.keystr(path, simple=True, separator="."))] = value
    names, shapes = group.leaves.names, [np.shape(value) for value in group.leaves.values]
    for full in found:
        bare = len(names) == 1 and np.shape(found[full]) == shapes[0] and full.replace(".", "").isdigit()
        if not bare and not full.endswith(f".{names[0]}"):
            continue
        prefix = full if bare else full[: -len(names[0])]
        values = [found.get(prefix if bare else prefix + name) for name in names]
        if all(each is not None and np.shape(each) == shape for each, shape in zip(values, shapes, strict=True)):
            return Leaves(names, tuple(values), group.leaves.trained, group.leaves.rebuild, group.leaves.nodes)
    return None


def _names(function: Any, count: int) -> list[str]:
    """The names of positional arguments."""
    try:
        names = [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"argument {place}" for place in range(len(names), count))]
