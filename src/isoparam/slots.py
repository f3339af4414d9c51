"""What each optimizer keeps between updates: as named arrays of each parameter, in torch's names and shapes."""

from collections.abc import Mapping
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from isoparam.errors import CheckpointError
from isoparam.layout import Layout
from isoparam.optimizers import LBFGS, Optimizer
from isoparam.plan import Plan
from isoparam.specs.base import Shape


class Entry(NamedTuple):
    """One array of an optimizer's state.

    Attributes:
        shape: of it.
        kind: its dtype: "run": that of the run (float32 for bfloat16, which numpy lacks); "float32"; "whole": int64.
    """

    shape: Shape
    kind: Literal["run", "float32", "whole"] = "run"

    def dtype(self, run: Any) -> Any:
        """The dtype in numpy, for a run of this one."""
        return {"run": np.dtype(run), "float32": np.dtype(np.float32), "whole": np.dtype(np.int64)}[self.kind]


Table = dict[str, Entry]


def entries(spec: Optimizer, shape: Shape) -> Table:
    """{name: entry} of what an optimizer keeps for a parameter of this shape, besides the count of its updates.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.slots import entries
        >>> {name: entry.shape for name, entry in entries(iso.Adam(), (2, 3)).items()}
        {'exp_avg': (2, 3), 'exp_avg_sq': (2, 3)}
    """
    return {name: Entry(slot.shape, "run" if slot.dtype is None else "float32") for name, slot in spec.slots(shape).items()}


def table(spec: Optimizer, layout: Layout) -> Table:
    """{"exp_avg/x": entry} for every parameter of a run; for LBFGS also {"t": entry} of what it has once.

    Args:
        spec: the optimizer.
        layout: of the raw parameters.
    """
    raws = _raws(layout)
    if isinstance(spec, LBFGS):
        rows = {name: ahead for name, (ahead, per, _) in _lbfgs(spec).items() if per}
        result = {f"{name}/{key}": Entry((*ahead, *raws[key])) for name, ahead in rows.items() for key in layout.names}
        return result | {name: Entry(shape, kind) for name, (shape, per, kind) in _lbfgs(spec).items() if not per}
    # A constant has no raw: an optimizer that looks at shapes, as Muon does at matrices, never sees it.
    kept = {key: entries(spec, raws[key]) if spec.elementwise or prod(raws[key]) else {} for key in layout.names}
    names = dict.fromkeys(name for part in kept.values() for name in part)
    return {f"{name}/{key}": kept[key][name] for name in names for key in layout.names if name in kept[key]}


def entries_of_run(plan: Plan) -> Table:
    """{"exp_avg/x": entry} for every parameter that a run trains, each by the optimizer of its segment."""
    segments = zip(plan.segments, plan.first_optimizers, strict=True)
    return {name: entry for segment, spec in segments for name, entry in table(spec, segment.layout).items()}


def split_of_run(plan: Plan, slots: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state of the optimizers of a loop, by the names of `entries_of_run`."""
    result = {}
    for i, (segment, spec) in enumerate(zip(plan.segments, plan.first_optimizers, strict=True)):
        result |= split(spec, own(slots, i, len(plan.segments)), segment.layout)
    return result


def joined_of_run(plan: Plan, arrays: Mapping[str, np.ndarray], like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The reverse of `split_of_run`.

    Args:
        plan: of the run.
        arrays: {name of `entries_of_run`: array}.
        like: the slots of a fresh loop, of the same shapes.

    Raises:
        CheckpointError: as `joined`.
    """
    result, many = {}, len(plan.segments)
    for i, (segment, spec) in enumerate(zip(plan.segments, plan.first_optimizers, strict=True)):
        result |= named(joined(spec, arrays, segment.layout, own(like, i, many)), i, many)
    return result


def own(slots: Mapping[str, Any], number: int, many: int) -> dict[str, Any]:
    """The buffers of one of many segments, out of those of all: "0/exp_avg" is "exp_avg" of the first."""
    begin = f"{number}/" if many > 1 else ""
    return {name.removeprefix(begin): slot for name, slot in slots.items() if name.startswith(begin) and name != "step"}


def named(slots: Mapping[str, Any], number: int, many: int) -> dict[str, Any]:
    """The reverse of `own`, without the count of updates, which is that of all."""
    begin = f"{number}/" if many > 1 else ""
    return {f"{begin}{name}": slot for name, slot in slots.items() if name != "step"}


def split(spec: Optimizer, slots: Mapping[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """The state of a loop by the names of `table`.

    Args:
        spec: the optimizer.
        slots: {name: array}: an entry of all parameters is flat, one after the other in the order of the layout; an entry of
            no axes holds for each of them.
        layout: of the raw parameters.
    """
    result, taken = {}, dict.fromkeys(slots, 0)
    wanted = table(spec, layout)
    for key in _raws(layout):
        for name, array in slots.items():
            entry = wanted.get(f"{name}/{key}")
            if entry is None:
                continue
            ahead = array.ndim - 1
            if ahead < 0:
                result[f"{name}/{key}"] = np.array(array)
                continue
            start = taken[name]
            taken[name] += prod(entry.shape[ahead:])
            result[f"{name}/{key}"] = np.array(array[..., start : taken[name]]).reshape(entry.shape)
    shared = {name: np.asarray(slots[name]) for name in wanted if name in slots}
    shared = {name: array.astype(np.int64) if wanted[name].kind == "whole" else array for name, array in shared.items()}
    return {name: (result | shared)[name] for name in wanted}


def joined(
    spec: Optimizer, arrays: Mapping[str, np.ndarray], layout: Layout, like: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The reverse of `split`.

    Args:
        spec: the optimizer.
        arrays: {name of `table`: array}.
        layout: of the raw parameters.
        like: the slots of a fresh loop, of the same shapes.

    Raises:
        CheckpointError: where the parameters differ in a number that this loop has once for all.
    """
    result: dict[str, np.ndarray] = {}
    for name, fresh in like.items():
        if name in arrays:
            result[name] = arrays[name]
            continue
        parts = [arrays[f"{name}/{key}"] for key in _raws(layout) if f"{name}/{key}" in arrays]
        if np.ndim(fresh):
            ahead = fresh.shape[:-1]
            result[name] = np.concatenate([part.reshape(*ahead, -1) for part in parts], axis=-1)
        elif all(part.tobytes() == parts[0].tobytes() for part in parts):
            result[name] = parts[0]
        else:
            raise CheckpointError(f"the parameters of the checkpoint differ in {name!r}, which a run has once for all of them")
    return result


def _raws(layout: Layout) -> dict[str, Shape]:
    """{parameter: shape of its raw}, in the order in which they lie."""
    return {entry.name: entry.raw_shape for group in layout.groups for entry in group.entries}


def _lbfgs(spec: LBFGS) -> dict[str, tuple[Shape, bool, Any]]:
    """{name: (axes ahead of those of raw, or the shape; whether each parameter has one; kind)}."""
    pairs = (spec.history_size,)
    vectors = {"d": (), "prev_flat_grad": (), "old_dirs": pairs, "old_stps": pairs}
    numbers = {"ro": pairs, "t": (), "H_diag": (), "prev_loss": ()}
    rows: dict[str, tuple[Shape, bool, Any]] = {name: (ahead, True, "run") for name, ahead in vectors.items()}
    rows |= {name: (shape, False, "run") for name, shape in numbers.items()}
    return rows | dict.fromkeys(("n_iter", "func_evals", "stored"), ((), False, "whole"))
