"""`scan`: look at a loss and its parameters before training."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.core import Tracer

from isoparam.diagnosis import Diagnosis, Finding
from jax_impl.doctor.captured import captured_leaves
from jax_impl.doctor.clamps import dead_entries
from jax_impl.doctor.explaining import explain
from jax_impl.doctor.leaves import Leaves, leaves_of
from jax_impl.doctor.places import label, source
from jax_impl.doctor.related import explained_by, live_pairs
from jax_impl.doctor.statics import overridden, static_copies
from jax_impl.doctor.tracing import Trace, split_place, takes_params, trace

WAITING = "never moves, in silence"


def scan(
    loss: Callable[..., Any] | Sequence[Callable[..., Any]],
    params: Any,
    *args: Any,
    trainable: Any = None,
    wrt: Any = None,
    **kwargs: Any,
) -> Diagnosis:
    """Find what a training of these parameters would not move, or move wrongly; nothing is computed or changed.

    The loss is traced once. Looked for are leaves that never reach it, or only through what has no derivative
    (`stop_gradient`, `round`, a comparison); leaves that are constants of it, since it was compiled or closes over them;
    values derived from a leaf that are leaves of their own, static fields or constants; entries that lie where a clamp is
    flat; nnx variables that read as something else than they hold.

    Args:
        loss: a function of (params, *args, **kwargs), compiled or not, whose first output is the loss; or of
            (*args, **kwargs) alone, which holds the parameters itself. Several losses that share the parameters as a list:
            a leaf is dead if no loss moves it.
        params: a pytree, nnx.Module, nnx.State, dataclass; linen's dict.
        args: further arguments.
        trainable: what is meant to move, where that is not everything: a pytree of bools or a prefix of one; names, with *
            for anything; a function of (name, value); or the optax transformation or nnx.Optimizer that moves it. Without
            it, leaves whose name says that they stay (target, ema, frozen, batch_stats, ...) are left alone.
        wrt: the nnx filter of what is differentiated; nnx.Param by default.
        kwargs: arguments by name.

    Returns:
        What was found.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from isoparam.jax import doctor
        >>> raw = jnp.zeros(3)
        >>> x = jax.nn.sigmoid(raw)  # made once
        >>> diagnosis = doctor.scan(lambda p: ((x - 0.9) ** 2).sum() + p["b"] ** 2, {"raw": raw, "b": 1.0})
        >>> [(finding.rule, finding.attr) for finding in diagnosis]
        [('SG503', 'raw')]
    """
    losses: list[Any] = list(loss) if isinstance(loss, list | tuple) else [loss]
    leaves = leaves_of(params, trainable, wrt)
    examined = f"{', '.join(map(label, losses))} of {len(leaves.names)} leaves"
    found = overridden(params)
    traces: list[Trace] = []
    notes: list[str] = []
    for each in losses:
        given = takes_params(each, args, kwargs)
        try:
            traced = trace(each, leaves, args, kwargs, given)
        except Exception as error:
            why = explain(error)
            found.extend(why.findings)
            notes.append(f"{label(each)}: it could not be traced ({type(error).__name__}: {_first_line(error)})")
            continue
        traces.append(traced)
        found.extend(captured_leaves(each, traced, leaves, given))
    if traces:
        found.extend(examine(losses, traces, leaves, {name for finding in found for name in finding.params}))
    return Diagnosis(tuple(unique(found)), tuple(notes), examined)


def examine(losses: Sequence[Any], traces: Sequence[Trace], leaves: Leaves, told: set[str] = frozenset()) -> list[Finding]:  # pyright: ignore
    """What the traces say of the leaves.

    Args:
        losses: the functions, for their names and places.
        traces: one per function.
        leaves: the parameters.
        told: names of leaves of which something was found already.
    """
    found: list[Finding] = []
    moved = [any(traced.moved[place] for traced in traces) for place in range(len(leaves.names))]
    used = [any(traced.used[place] for traced in traces) for place in range(len(leaves.names))]
    for place, name in enumerate(leaves.names):
        if moved[place] or not leaves.trained[place] or name in told:
            continue
        found.append(explained_by(leaves, place, moved, traces) or dead_leaf(losses, traces, leaves, place, used[place]))
    concrete = all(not isinstance(value, Tracer) for value in leaves.values)
    if concrete:
        for place, name in enumerate(leaves.names):
            if moved[place] and leaves.trained[place] and name not in told:
                found.extend(_dead_entries(losses, traces, leaves, place))
        found.extend(static_copies(leaves, {finding.params[0] for finding in found if finding.params}))
        found.extend(live_pairs(leaves, moved))
    return found


def dead_leaf(losses: Sequence[Any], traces: Sequence[Trace], leaves: Leaves, place: int, used: bool) -> Finding:
    """A leaf that no loss moves."""
    name = leaves.names[place]
    file, line = source(losses[0])
    function = label(losses[0])
    path: tuple[str, ...] = ()
    if used:
        traced = next(each for each in traces if each.used[place])
        operation, spot = traced.cut(place)
        cut_file, cut_line = split_place(spot)
        file, line = (cut_file, cut_line) if cut_file else (file, line)
        what = f"it goes through {operation}, whose derivative is 0" if operation else "its derivative is cut"
        message = f"{name} reaches the loss of {function}, but no gradient comes back: {what}."
        path = traced.path(lambda var: var is traced.closed.jaxpr.invars[place])
        fix = f"use {name} in {function} without {operation or 'the cut'}; or say that it stays: trainable= without {name!r}"
    else:
        message = f"{name} never reaches the loss of {function}: its gradient is exactly 0 at every step."
        fix = f"compute what depends on {name} inside {function}, from its argument; or take {name} out of the parameters"
    return Finding("zero-gradient-leaf", name, (name,), file, line, message, fix, f"{name} {WAITING}", path)


def _dead_entries(losses: Sequence[Any], traces: Sequence[Trace], leaves: Leaves, place: int) -> list[Finding]:
    """Entries that every loss that moves the leaf leaves behind a clamp."""
    name, value = leaves.names[place], leaves.values[place]
    dead = [dead_entries(traced, place, value) for traced in traces if traced.moved[place]]
    known = [each for each in dead if each is not None]
    if len(known) < len(dead) or not known:
        return []
    flat = np.logical_and.reduce([each.flat for each in known])
    count = int(flat.sum())
    if not count:
        return []
    file, line = split_place(known[0].place)
    if not file:
        file, line = source(losses[0])
    share = f"{count} of {flat.size} ({count / flat.size:.0%})"
    which = "" if flat.ndim == 0 else f", the first at {[int(index[0]) for index in np.nonzero(flat)]}"
    message = (
        f"{share} entries of {name} lie where what is computed of them is flat ({known[0].operation}){which}: "
        "their gradient is exactly 0, and stays 0 however the others move."
    )
    fix = (
        f"let {name} be the raw parameter of a smooth map (isoparam.Interval, isoparam.Positive), or keep {name} inside by "
        "isoparam.jax.project after each update instead of clamping it in the loss"
    )
    return [Finding("dead-entries", name, (name,), file, line, message, fix, f"these entries of {name} never move, in silence")]


def unique(found: Sequence[Finding]) -> list[Finding]:
    """Each mistake once, the one with the most to say."""
    kept: dict[tuple[str, str, tuple[str, ...]], Finding] = {}
    for finding in found:
        key = (finding.kind, finding.attr, finding.params)
        if key not in kept or _says_more(finding, kept[key]):
            kept[key] = finding
    return list(kept.values())


def _says_more(new: Finding, old: Finding) -> bool:
    lengths = [len(finding.history.steps) if finding.history else 0 for finding in (new, old)]
    return lengths[0] > lengths[1] or (bool(new.path) and not old.path)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
