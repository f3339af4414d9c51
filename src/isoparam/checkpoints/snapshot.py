"""A training state without a framework: named arrays and settings, from which either backend goes on.

::

    raw/<parameter>                     what is trained
    value/<parameter>                   its constrained value
    variable/<name>                     what the loss carries besides, such as batch statistics
    optimizer/<entry>/<parameter>       the optimizer's state, by torch's names, in the shape of raw
    optimizer/<entry>                   what LBFGS has once
    average/<parameter>                 the average of raw, where one is kept
    follow/<plateau or scaler>          where the schedule that follows the loss, or the scale of the loss, has come to
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoparam.checkpoints.data import encode
from isoparam.checkpoints.store import Stored
from isoparam.errors import CheckpointError, SpecError
from isoparam.optimizers import Optimizer
from isoparam.plan import Plan
from isoparam.slots import entries_of_run, joined_of_run, split_of_run

STATE = {"step", "updates", "raw", "slots", "variables", "extras"}
AVERAGE = "average"
CLOSE = {"float64": 1e-6, "float32": 1e-2, "bfloat16": 0.2}
"""How closely the constrained values of a state are those of its raw: far wider than two backends differ, but a value of
another map is further away."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A training state as it is saved.

    Attributes:
        settings: how far the run has come and what it is of, as JSON; "asked", the settings that were asked for, is not.
        state: {name: array}, by the names above.
        optimizers: {parameter: its optimizer, with the settings of its first update}, of all that are trained; not saved.
    """

    settings: dict[str, Any]
    state: dict[str, np.ndarray]
    optimizers: dict[str, Optimizer]

    def data(self) -> dict[str, Any]:
        """The settings as JSON.

        Raises:
            SpecError: for one that cannot be saved, such as a function.
        """
        return self.settings | {"asked": {name: encode(name, value) for name, value in self.settings["asked"].items()}}


def arrays_of(plan: Plan, state: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a state that a loop gave, by the names above.

    Raises:
        SpecError: for an optimizer, or an entry of the state, that has no name there.
    """
    unknown = sorted(set(state) - STATE)
    if unknown:
        raise SpecError(f"a checkpoint has no place for {unknown[0]!r} of the state; add it to isoparam.checkpoints.snapshot")
    arrays = {f"raw/{name}": array for name, array in plan.layout.unflatten(state["raw"]).items()}
    arrays |= {f"value/{name}": np.asarray(array) for name, array in values.items()}
    arrays |= {f"variable/{name}": np.asarray(array) for name, array in state["variables"].items()}
    named = split_of_run(plan, {name: np.asarray(slot) for name, slot in state["slots"].items()})
    return arrays | {f"optimizer/{name}": array for name, array in named.items()} | _extras(plan, state["extras"])


def state_of(plan: Plan, stored: Mapping[str, np.ndarray], step: int, updates: int, fresh: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `arrays_of`: a state for the loop of a plan, every array of which was looked for and found.

    Args:
        plan: of the run that goes on.
        stored: {name: array}.
        step: steps done.
        updates: those of them that were not skipped.
        fresh: the state at the start of a run on this backend.

    Raises:
        CheckpointError: for an array that is missing, left over, or of another shape or dtype.
    """
    raws = {entry.name: entry.raw_shape for group in plan.layout.groups for entry in group.entries}
    values = {entry.name: entry.value_shape for group in plan.layout.groups for entry in group.entries}
    kind = np.dtype(plan.history_dtype)
    wanted = {f"raw/{name}": (raws[name], kind) for name in plan.layout.names}
    wanted |= {f"value/{name}": (values[name], kind) for name in plan.layout.names}
    entries = entries_of_run(plan)
    wanted |= {f"optimizer/{name}": (entry.shape, entry.dtype(kind)) for name, entry in entries.items()}
    wanted |= {name: (array.shape, array.dtype) for name, array in _extras(plan, fresh["extras"]).items()}
    variables = {name.partition("/")[2]: array for name, array in stored.items() if name.startswith("variable/")}
    _check_variables(variables, fresh["variables"])
    found = {name: (array.shape, array.dtype) for name, array in stored.items() if not name.startswith("variable/")}
    _check_names(wanted, found)
    flat = plan.layout.flatten({name: stored[f"raw/{name}"] for name in plan.layout.names})
    if not np.isfinite(flat).all():
        raise CheckpointError("the raw parameters of the checkpoint are not finite")
    named = {name: stored[f"optimizer/{name}"] for name in entries}
    buffers = joined_of_run(plan, named, fresh["slots"])
    extras = {name: stored[f"follow/{name}"] for name in fresh["extras"] if name != AVERAGE}
    if AVERAGE in fresh["extras"]:
        extras[AVERAGE] = plan.layout.flatten({name: stored[f"{AVERAGE}/{name}"] for name in plan.layout.names})
    return {"step": step, "updates": updates, "raw": flat, "slots": buffers, "variables": variables, "extras": extras}


def check_values(stored: Stored, values: Mapping[str, np.ndarray], dtype: str) -> None:
    """Raise CheckpointError unless raw still means the values that it meant when it was saved."""
    for name, value in values.items():
        saved = stored.state[f"value/{name}"]
        size = float(np.max(np.abs(saved), initial=0.0, where=np.isfinite(saved)))
        if not np.allclose(saved, value, rtol=CLOSE[dtype], atol=CLOSE[dtype] * size, equal_nan=True):
            raise CheckpointError(
                f"the raw of {name!r} in the checkpoint means another value here than when it was saved: its constraint has "
                f"another map in this version of isoparam, so the state cannot go on"
            )


def _extras(plan: Plan, extras: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a run keeps besides, by the names above."""
    arrays = {f"follow/{name}": np.asarray(array) for name, array in extras.items() if name != AVERAGE}
    if AVERAGE in extras:
        arrays |= {f"{AVERAGE}/{name}": array for name, array in plan.layout.unflatten(extras[AVERAGE]).items()}
    return arrays


def _check_names(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless both have the same entries."""
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            was, is_there = (_described(table.get(name)) for table in (wanted, found))
            raise CheckpointError(f"the checkpoint has {is_there} for {name!r}, where the run needs {was}")


def _check_variables(stored: Mapping[str, np.ndarray], fresh: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError unless the loss of this backend carries variables of the same names, shapes and kinds."""
    for name in (*fresh, *stored):
        was, now = (None if name not in table else (table[name].shape, table[name].dtype.kind) for table in (stored, fresh))
        if was != now:
            raise CheckpointError(
                f"the loss carries {_described(now)} for the variable {name!r} here, and the checkpoint has {_described(was)}; "
                f"a state goes over to another backend where both losses carry the same variables"
            )


def _described(entry: Any) -> str:
    return "nothing" if entry is None else f"{entry[1]} of shape {entry[0]}"
