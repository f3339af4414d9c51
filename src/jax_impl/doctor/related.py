"""Leaves that were computed from other leaves: the structure says that one is dead, the numbers which one replaced it."""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.evidence import derivation, says_much
from jax_impl.doctor.leaves import Leaves, attributes
from jax_impl.doctor.places import holders, is_array
from jax_impl.doctor.reach import constants
from jax_impl.doctor.tracing import Trace

MOST = 400  # pairs of leaves that are compared
_MARKS = (
    "raw",
    "unconstrained",
    "logit",
    "logits",
    "log",
    "inv",
    "pre",
    "free",
    "u",
    "z",
    "theta",
    "param",
    "params",
    "weight",
)


def explained_by(leaves: Leaves, place: int, moved: Sequence[bool], traces: Sequence[Trace]) -> Finding | None:
    """Why a dead leaf is dead, where another value stands in its place; None if nothing does.

    Args:
        leaves: the parameters.
        place: the dead leaf.
        moved: which leaves get a gradient.
        traces: the losses.
    """
    name, value = leaves.names[place], leaves.values[place]
    if any(traced.used[place] for traced in traces):
        return None  # it is read, and cut: nothing stands in its place
    if isinstance(value, Tracer):
        return _by_name(leaves, place, moved)
    others = [each for each in range(len(leaves.names)) if each != place and any(t.used[each] for t in traces)]
    for other in others:
        how = _how(leaves.values[other], value, name)
        if how:
            return _decoupled(leaves.names[other], name, how)
    static = _static(leaves, name, value)
    if static is not None:
        return static
    for traced in traces:
        for constant, _ in constants(traced.closed):
            if is_array(constant) and not isinstance(constant, Tracer):
                how = _how(constant, value, name)
                if how and np.ndim(constant) > 0:
                    return _constant(name, how)
    return _by_name(leaves, place, moved)


def live_pairs(leaves: Leaves, moved: Sequence[bool]) -> Iterator[Finding]:
    """Leaves that both move although one was computed from the other; only where chance is out of the question."""
    live = [place for place, moves in enumerate(moved) if moves and leaves.trained[place]]
    for made, raw in list(permutations(live, 2))[:MOST]:
        if not _is_related(leaves.names[made], leaves.names[raw]):
            continue
        value, source = leaves.values[made], leaves.values[raw]
        if isinstance(value, float) or isinstance(source, float) or not says_much(value, source):
            continue
        how = _how(value, source, leaves.names[raw])
        if how and not _how(source, value, "") and np.shape(value) == np.shape(source):
            yield _decoupled(leaves.names[made], leaves.names[raw], how)
        elif how and leaves.names[made] < leaves.names[raw]:
            first, second = sorted((leaves.names[made], leaves.names[raw]), key=_rawness)
            yield _decoupled(first, second, how)


def _rawness(name: str) -> bool:
    return any(piece in _MARKS for piece in re.split(r"[._]", name))


def _how(value: object, source: object, name: str) -> str:
    text = derivation(value, source)
    return text.replace("{}", name.rpartition(".")[2] or "raw") if text else ""


def _decoupled(made: str, raw: str, how: str) -> Finding:
    message = (
        f"{made} equals {how}, and is a leaf of its own: it was computed once, and its gradient does not come back to {raw}."
    )
    fix = f"keep {raw} alone in the parameters, and compute {made} = {how} inside the loss (a property of the model)"
    outcome = f"{made} trains as a free parameter or stays frozen, {raw} never moves, in silence"
    return Finding("decoupled-derived-leaf", made, (raw,), "", 0, message, fix, outcome)


def _constant(name: str, how: str) -> Finding:
    message = f"the loss holds {how} as a constant that was computed outside of it, and {name} itself never reaches it."
    fix = f"compute {how} inside the loss, from its argument"
    return Finding("zero-gradient-leaf", name, (name,), "", 0, message, fix, f"{name} never moves, in silence")


def _by_name(leaves: Leaves, place: int, moved: Sequence[bool]) -> Finding | None:
    """`x_raw` is dead and `x` moves beside it: the names say what the numbers no longer do."""
    name = leaves.names[place]
    for other, moves in enumerate(moved):
        if other != place and moves and _is_related(leaves.names[other], name) and _rawness(name):
            made = leaves.names[other]
            message = (
                f"{name} never reaches the loss, and {made} beside it is a leaf of its own: it was computed once, if at all."
            )
            fix = f"keep {name} alone in the parameters, and compute {made} from it inside the loss (a property of the model)"
            outcome = f"{made} trains as a free parameter, {name} never moves, in silence"
            return Finding("decoupled-derived-leaf", made, (name,), "", 0, message, fix, outcome)
    return None


def _is_related(made: str, raw: str) -> bool:
    """The same place in the tree, and names that differ by a mark such as raw or log: "head.x", "head.x_raw"."""
    made_home, _, made_last = made.rpartition(".")
    raw_home, _, raw_last = raw.rpartition(".")
    if made_home != raw_home:
        return False
    left, right = ({piece for piece in last.lower().split("_") if piece not in _MARKS} for last in (made_last, raw_last))
    return bool(left & right)


def _static(leaves: Leaves, name: str, value: object) -> Finding | None:
    """A field that is no leaf and equals what the dead leaf gives."""
    known = {id(each) for each in leaves.values}
    for home, node in leaves.nodes:
        for key, held in attributes(node):
            if id(held) in known or isinstance(held, bool | int | str | Tracer):
                continue
            for path, array in [(key, held)] if isinstance(held, float) else list(holders(held, key)):
                if id(array) in known or isinstance(array, Tracer):
                    continue
                how = _how(array, value, name)
                if how:
                    return static_copy(f"{home}.{path}" if home else path, name, how, type(node).__name__)
    return None


def static_copy(attr: str, name: str, how: str, owner: str) -> Finding:
    """A static field that was computed from a leaf."""
    message = f"{attr} equals {how}, and is no leaf of {owner}: it was computed once, and no update reaches it."
    fix = f"make it a property of {owner} that computes {how} at every read"
    return Finding(
        "static-field", attr, (name,), "", 0, message, fix, f"{attr} stays what it was, {name} may never move, in silence"
    )
