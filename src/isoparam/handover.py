"""The state of an optimizer without a framework: what `to_neutral` of either backend gives and `from_neutral` takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from isoparam.checkpoints.snapshot import Snapshot
from isoparam.errors import CheckpointError, SpecError
from isoparam.names import hint, select
from isoparam.optimizers import LBFGS, SGD, Adafactor, Muon, Optimizer
from isoparam.slots import entries as entries_of
from isoparam.specs.base import Shape
from isoparam.updates import grouped

STEP = "step"
UNCOUNTED = SGD | Muon
"""Optimizers of which torch counts no updates."""

ONE_VECTOR = "LBFGS keeps one vector for all parameters, which has no names; hand its run over by run.save"


@dataclass(frozen=True, eq=False)
class OptimizerState:
    """What an optimizer of your own loop remembers of each parameter, by torch's names.

    Attributes:
        optimizer: the spec of the optimizer, such as `isoparam.Adam()`; its lr does not matter here.
        entries: {parameter: {entry: array}}: "step" (updates so far, a whole number; SGD of torch counts none) and the
            entries of `isoparam.slots`, in the shape of the parameter. {} for a parameter that was never updated.
        own: {parameter: spec} of those whose group has other settings than `optimizer`.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import to_neutral
        >>> layer = torch.nn.Linear(3, 2)
        >>> adam = torch.optim.Adam(layer.parameters())
        >>> layer(torch.ones(3)).sum().backward()
        >>> adam.step()
        >>> state = to_neutral(iso.Adam(), adam.state_dict(), dict(layer.named_parameters()))
        >>> sorted(state.entries["weight"]), state.entries["weight"]["exp_avg"].shape
        (['exp_avg', 'exp_avg_sq', 'step'], (2, 3))
        >>> moved = state.moved(names={"weight": "kernel"}, axes={"weight": (1, 0)})
        >>> moved.entries["kernel"]["exp_avg"].shape
        (3, 2)
    """

    optimizer: Optimizer
    entries: Mapping[str, Mapping[str, np.ndarray]]
    own: Mapping[str, Optimizer] = field(default_factory=dict)

    def spec_of(self, name: str) -> Optimizer:
        """The optimizer of a parameter, with the settings of its group."""
        return self.own.get(name, self.optimizer)

    def moved(
        self, names: Mapping[str, str] | None = None, axes: Mapping[str, Sequence[int]] | None = None
    ) -> "OptimizerState":
        """The same state for parameters of other names and layouts.

        Args:
            names: {name here: name there}; the others keep theirs.
            axes: {name or glob here: order of the axes there}, as numpy.transpose takes it: (1, 0) from a torch Linear
                weight to a kernel of Flax, (2, 3, 1, 0) from a Conv2d weight. Every entry of the shape of the parameter
                is turned.

        Raises:
            SpecError: for a name that is not there, two parameters of one name, or an order that does not fit.
        """
        if axes and isinstance(self.optimizer, Adafactor):
            raise SpecError("Adafactor keeps rows and columns of a matrix apart; in another layout they are not those of torch")
        turned: dict[str, dict[str, np.ndarray]] = {}
        for entry in dict.fromkeys(entry for own in self.entries.values() for entry in own):
            having = {name: own[entry] for name, own in self.entries.items() if entry in own}
            arrays = {name: array for name, array in having.items() if np.ndim(array)}  # a number has no layout
            turned[entry] = moved(having, names, None, self.entries) | moved(arrays, names, axes, self.entries)
        there = _renamed(self.entries, names)
        entries = {there[name]: {entry: turned[entry][there[name]] for entry in own} for name, own in self.entries.items()}
        return replace(self, entries=entries, own={there[name]: spec for name, spec in self.own.items()})


def moved(
    arrays: Mapping[str, np.ndarray], names: Mapping[str, str] | None = None, axes: Mapping[str, Sequence[int]] | None = None,
    known: Mapping[str, object] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays under other names and with their axes in another order: the parameters, as `OptimizerState.moved` their state.

    Args:
        arrays: {name: array}.
        names: {name here: name there}; the others keep theirs.
        axes: {name or glob here: order of the axes there}.
        known: all names that there are, where `arrays` has not all of them.

    Raises:
        SpecError: for a name that is not there, two parameters of one name, or an order that does not fit.

    Example:
        >>> import numpy as np
        >>> from isoparam.handover import moved
        >>> {name: array.shape for name, array in moved({"w": np.ones((2, 3))}, {"w": "kernel"}, {"w": (1, 0)}).items()}
        {'kernel': (3, 2)}
    """
    names_known = arrays if known is None else known
    there = _renamed(names_known, names)
    order: dict[str, Sequence[int]] = {}
    for pattern, axis in (axes or {}).items():
        found = select(pattern, names_known)
        if not found or (pattern not in names_known and not any(sign in pattern for sign in "*?[")):
            raise SpecError(f"axes[{pattern!r}] matches no parameter; {hint(pattern, list(names_known))}")
        if not (isinstance(axis, Sequence) and all(isinstance(number, int) for number in axis)):
            raise SpecError(f"axes[{pattern!r}]={axis!r} must be the order of the axes there, such as (1, 0)")
        for name in found:
            if name in order:
                raise SpecError(f"{name!r} is matched by two keys of axes; narrow one of them")
            order[name] = axis
    result = {}
    for name, array in arrays.items():
        axis = tuple(order.get(name, range(array.ndim)))
        if sorted(axis) != list(range(array.ndim)):
            raise SpecError(f"axes of {name!r}: {axis} does not order the {array.ndim} axes of shape {array.shape}")
        result[there[name]] = np.ascontiguousarray(np.transpose(array, axis)).reshape([array.shape[a] for a in axis])
    return result


def from_snapshot(spec: Optimizer, snapshot: Snapshot, names: Sequence[str]) -> OptimizerState:
    """The state of the optimizer of a run; what is frozen has none.

    Raises:
        CheckpointError: for LBFGS, which keeps one vector for all parameters.
    """
    if isinstance(spec, LBFGS):
        raise CheckpointError(ONE_VECTOR)
    step = np.array(snapshot.settings["updates"], np.int64)
    state = {name: array for name, array in snapshot.state.items() if name.startswith("optimizer/")}
    entries = {name: {STEP: step} if name in snapshot.optimizers else {} for name in names}
    for key, array in state.items():
        _, entry, name = key.split("/", 2)
        entries[name][entry] = array
    return OptimizerState(spec, entries, {name: own for name, own in snapshot.optimizers.items() if own != spec})


def others(names: tuple[str, ...], spec: Optimizer, groups: Mapping[str, Mapping[str, object]] | None) -> dict[str, Optimizer]:
    """The optimizers of the parameters whose group has other settings than the spec.

    Args:
        names: of all parameters.
        spec: the optimizer.
        groups: {name or glob: {setting: value}}.

    Raises:
        SpecError: for groups that cannot be meant.
    """
    return {name: own for name, own in grouped(names, spec, groups or {}).items() if own != spec}


def check_entries(neutral: OptimizerState, shapes: Mapping[str, Shape]) -> None:
    """Raise CheckpointError unless every parameter has the entries of its optimizer, in its shape, or none at all; and for a
    count of updates that is none, and for nan.

    Args:
        neutral: the state.
        shapes: {parameter: shape}.
    """
    entries = neutral.entries
    if isinstance(neutral.optimizer, LBFGS):
        raise CheckpointError(ONE_VECTOR)
    for name in (*shapes, *entries):
        if name not in entries or name not in shapes:
            side = "the state" if name in shapes else "params"
            raise CheckpointError(f"{side} has no {name!r}; {hint(name, list(entries if name in shapes else shapes))}")
        spec = neutral.spec_of(name)
        own, table = entries[name], entries_of(spec, shapes[name])
        counted = {STEP} if STEP in own or not isinstance(spec, UNCOUNTED) else set()
        if own and set(own) != set(table) | counted:
            raise CheckpointError(
                f"the state of {name!r} has the entries {_listed(own)}; {spec} has {_listed({*table, *counted})}"
            )
        for entry, array in own.items():
            wanted = () if entry == STEP else table[entry].shape
            if tuple(np.shape(array)) != wanted:
                raise CheckpointError(f"{entry!r} of {name!r} has shape {tuple(np.shape(array))}, and should have {wanted}")
            if entry == STEP and not (float(array) >= 0 and float(array).is_integer()):
                raise CheckpointError(f"'step' of {name!r} is {float(array)}; it counts updates, so it is whole and at least 0")
            if np.isnan(array).any():
                raise CheckpointError(f"{entry!r} of {name!r} holds nan; a step with it would leave nothing but nan")


def common_step(spec: Optimizer, entries: Mapping[str, Mapping[str, np.ndarray]]) -> int:
    """The number of updates that all parameters have had, for an optimizer that counts once for all.

    Raises:
        CheckpointError: where they differ.
    """
    counts = {name: int(own[STEP]) if STEP in own else int(bool(own)) for name, own in entries.items()}
    if len(set(counts.values())) > 1:
        least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
        raise CheckpointError(
            f"{least!r} has had {counts[least]} updates and {most!r} {counts[most]}, but optax counts once for all parameters; "
            f"hand over those with equal counts, each group to a transformation of its own"
        )
    return next(iter(counts.values()), 0)


def _renamed(known: Mapping[str, object], names: Mapping[str, str] | None) -> dict[str, str]:
    for name in names or {}:
        if name not in known:
            raise SpecError(f"names[{name!r}]: there is no such parameter; {hint(name, list(known))}")
    there = {name: (names or {}).get(name, name) for name in known}
    if len(set(there.values())) < len(there):
        twice = next(name for name in there.values() if list(there.values()).count(name) > 1)
        raise SpecError(f"names: two parameters would be called {twice!r}")
    return there


def _listed(names: object) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"  # pyright: ignore[reportArgumentType]
