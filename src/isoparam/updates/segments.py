"""Parameter groups, weight decay and freezing: which stretch of the flat vector is updated by which optimizer."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from isoparam.errors import SpecError
from isoparam.layout import Layout, Part
from isoparam.names import hint, select
from isoparam.optimizers import LBFGS, Optimizer
from isoparam.specs import Real, Spec

DECAYS = ("raw", "value", "none")
WHOLE_RUN = ("maximize",)
"""Settings that no group has for itself."""


class Rule(NamedTuple):
    """How a parameter is updated.

    Attributes:
        optimizer: with the settings of its group; None: it is frozen.
        pull: the weight decay that acts on its value, beside that of the optimizer.
    """

    optimizer: Optimizer | None
    pull: float = 0.0


class Segment(NamedTuple):
    """A stretch of the flat vector whose parameters are updated by one rule.

    Attributes:
        start: where it begins.
        stop: where it ends.
        layout: of its own parameters, from 0 on.
        parts: of that layout.
        optimizer: with its own settings.
        pull: the weight decay that acts on the values: pull * |value|^2 / 2 in place of weight_decay * |raw|^2 / 2.
    """

    start: int
    stop: int
    layout: Layout
    parts: tuple[Part, ...]
    optimizer: Optimizer
    pull: float


def rules_for(
    names: Iterable[str],
    specs: Mapping[str, Spec],
    method: str,
    optimizer: Optimizer,
    groups: Any,
    decay: Any,
    frozen: Any,
) -> dict[str, Rule]:
    """How each parameter is updated.

    Args:
        names: of the parameters.
        specs: of the constrained ones.
        method: "transform" or "projected".
        optimizer: whose settings hold where nothing else is said.
        groups: {name or glob: {setting: value}}.
        decay: "raw", "value" or "none", or {name or glob: one of them}, "raw" for the rest.
        frozen: names or globs.

    Raises:
        SpecError: for what cannot be meant.
    """
    names = tuple(names)
    settled = grouped(names, optimizer, groups)
    policy = _policies(names, settled, decay)
    still = _frozen(names, frozen)
    result = {}
    for name in names:
        own = settled[name]
        if name in still:
            result[name] = Rule(None)
        elif policy[name] == "none":
            result[name] = Rule(_undecayed(own))
        elif policy[name] == "value" and method == "transform" and not isinstance(specs.get(name, Real()), Real):
            result[name] = Rule(_undecayed(own), own.weight_decay)
        else:
            result[name] = Rule(own)
    return result


def ranks_of(rules: Mapping[str, Rule]) -> dict[str, int]:
    """The order in which parameters lie: those of one rule together, the frozen ones at the end."""
    order = {rule: i for i, rule in enumerate(dict.fromkeys(rule for rule in rules.values() if rule.optimizer is not None))}
    return {name: order.get(rule, len(order)) for name, rule in rules.items()}


def segments_of(layout: Layout, rules: Mapping[str, Rule]) -> tuple[Segment, ...]:
    """The stretches of the flat vector that are trained, one for each rule, in their order."""
    spans: dict[Rule, tuple[int, int]] = {}
    for group in layout.groups:
        rule = rules[group.entries[0].name]
        start, _ = spans.get(rule, (group.start, group.stop))
        spans[rule] = (start, group.stop)
    result = []
    for rule, (start, stop) in spans.items():
        if rule.optimizer is not None and start < stop:
            own = layout.within(start, stop)
            result.append(Segment(start, stop, own, own.parts, rule.optimizer, rule.pull))
    return tuple(result)


def grouped(names: tuple[str, ...], optimizer: Optimizer, groups: Any) -> dict[str, Optimizer]:
    """The optimizer of each parameter, with the settings of its group.

    Args:
        names: of the parameters.
        optimizer: whose settings hold where no group says otherwise.
        groups: {name or glob: {setting: value}}.

    Raises:
        SpecError: for what cannot be meant.
    """
    kind = type(optimizer).__name__
    known = [entry.name for entry in fields(optimizer) if entry.name not in WHOLE_RUN]
    example = "groups={'encoder.*': {'lr': 1e-4}}"
    if not isinstance(groups, Mapping) or not all(isinstance(own, Mapping) for own in groups.values()):
        raise SpecError(f"groups={groups!r} must be a dict of dicts, such as {example}")
    if groups and isinstance(optimizer, LBFGS):
        raise SpecError("groups with LBFGS: its line search moves all parameters by one step; leave groups out, or take Adam")
    settled = {}
    for pattern, own in groups.items():
        for setting in own:
            if setting not in known:
                raise SpecError(
                    f"groups[{pattern!r}]: {kind} has no setting {setting!r} of a group; {hint(str(setting), known)}"
                )
        try:
            changed = replace(optimizer, **own)
        except SpecError as error:
            raise SpecError(f"groups[{pattern!r}]: {error}") from None
        for name in _matches("groups", pattern, names):
            if name in settled:
                raise SpecError(f"parameter {name!r} is in two groups, one of them groups[{pattern!r}]; narrow one of the two")
            settled[name] = changed
    return {name: settled.get(name, optimizer) for name in names}


def _policies(names: tuple[str, ...], settled: Mapping[str, Optimizer], decay: Any) -> dict[str, str]:
    """What the weight decay of each parameter acts on."""
    given = {"*": decay} if isinstance(decay, str) else decay
    if not isinstance(given, Mapping) or not all(policy in DECAYS for policy in given.values()):
        raise SpecError(
            f"decay={decay!r} must be 'raw', 'value' or 'none', or a dict from names or globs to them, such as "
            f"decay={{'*.bias': 'none'}}"
        )
    result: dict[str, str] = {}
    for pattern, policy in given.items():
        found = names if isinstance(decay, str) else _matches("decay", pattern, names)
        if policy != "raw" and not any(settled[name].weight_decay for name in found):
            raise SpecError(
                f"decay={decay!r}, but {settled[found[0]]} has no weight decay; give one that has, such as "
                f"isoparam.AdamW(weight_decay=0.01)"
            )
        for name in found:
            if name in result:
                raise SpecError(
                    f"parameter {name!r} is matched twice by decay, once by {pattern!r}; narrow one of the two keys"
                )
            result[name] = policy
    return {name: result.get(name, "raw") for name in names}


def _frozen(names: tuple[str, ...], frozen: Any) -> set[str]:
    if not isinstance(frozen, tuple | list | set | frozenset) or not all(isinstance(pattern, str) for pattern in frozen):
        raise SpecError(f"frozen={frozen!r} must be a tuple of names or globs, such as frozen=('encoder.*',)")
    return {name for pattern in frozen for name in _matches("frozen", pattern, names)}


def _matches(argument: str, pattern: Any, names: tuple[str, ...]) -> list[str]:
    if not isinstance(pattern, str):
        raise SpecError(f"{argument}: {pattern!r} must be a name or glob, such as 'encoder.*'")
    found = select(pattern, names)
    if not found:
        raise SpecError(f"{argument}: {pattern!r} matches no parameter; {hint(pattern, list(names))}")
    return found


def _undecayed(optimizer: Optimizer) -> Optimizer:
    return replace(optimizer, weight_decay=0.0) if optimizer.weight_decay else optimizer
