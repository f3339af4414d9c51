"""The settings of a saved run, each of the kind that it has to be: they may come from anyone."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np

from isoparam.backends import BACKENDS
from isoparam.checkpoints.data import SHOWN, decode
from isoparam.errors import CheckpointError
from isoparam.optimizers import Optimizer
from isoparam.plan import Plan
from isoparam.problem import Problem
from isoparam.run import Stopped
from isoparam.settings import DEVICES, Policy

SETTINGS = {"problem", "asked", "constrained", "goal", "saving", "step", "updates", "data", "stopped", "legs"}
ASKED = ("optimizer", "seed", "dtype", "device", "record", "record_every", "method", "schedule", "numerics", "policy")
GOAL = {"steps", "tol_grad", "skip_nonfinite"}
LEG = {"backend", "versions", "first", "last"}
ENDS = (*get_args(Stopped), "running")
LARGEST = 2**31  # steps


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what was asked for decoded; the schedule stays as it was saved.

    Raises:
        CheckpointError: for settings that no run has.
    """
    saving, asked, step = (settings.get(name) for name in ("saving", "asked", "step"))
    kinds = {
        "the entries": set(settings) == SETTINGS,
        "step": _count(step),
        "updates": _count(settings.get("updates")) and _count(step) and settings["updates"] <= settings["step"],
        "goal": _table(settings.get("goal"), GOAL),
        "saving": _table(saving, {"on", "every"}) and _saving(settings["saving"]),
        "problem": isinstance(settings.get("problem"), dict) and isinstance(settings["problem"].get("name"), str),
        "stopped": settings.get("stopped") in ENDS,
        "legs": _legs(settings.get("legs"), step),
        "asked": _table(asked, set(ASKED)),
    }
    for name, good in kinds.items():
        if not good:
            _refuse(name, settings.get(name, list(settings)))
    decoded = {name: value if name == "schedule" else decode(value) for name, value in settings["asked"].items()}
    _check_asked(decoded)
    return {**settings, "asked": decoded}


def check_place(settings: Mapping[str, Any], problem: Problem, plan: Plan, history: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError unless what else the settings say of a run is that of this problem and these rows.

    Args:
        settings: as `checked` gave them.
        problem: what is trained.
        plan: the settings of the run.
        history: the rows before the step at which it goes on.
    """
    step = settings["step"]
    rows = step * plan.accumulate * (plan.batch_size or problem.rows or 0)
    if settings["data"] != {"order": "philox", "seed": plan.seed, "rows": rows}:
        _refuse("data", settings["data"])
    if settings["constrained"] != [name for name in problem.shapes if name in problem.specs]:
        _refuse("constrained", settings["constrained"])
    skipped, bad = step - settings["updates"], ~(np.isfinite(history["loss"]) & np.isfinite(history["grad_norm"]))
    seen = int(np.count_nonzero(bad))
    if not seen <= skipped <= seen + step - len(bad):  # rows that are not recorded may be of skipped steps too
        _refuse("updates", f"{settings['updates']} after {step} steps, of which {seen} were not finite")


def _check_asked(asked: Mapping[str, Any]) -> None:
    """Raise CheckpointError for an argument of `train` of a kind that it never is; its values are looked at by the plan."""
    kinds = {
        "dtype": isinstance(asked["dtype"], str),
        "device": asked["device"] in DEVICES,
        "method": isinstance(asked["method"], str),
        "numerics": isinstance(asked["numerics"], str),
        "record": asked["record"] is None or isinstance(asked["record"], tuple | str),
        "policy": _table(asked["policy"], {entry.name for entry in fields(Policy)}),
    }
    if not isinstance(asked["optimizer"], Optimizer):
        raise CheckpointError(
            f"the checkpoint holds settings that no run has: optimizer={str(asked['optimizer'])[:SHOWN]} is no optimizer"
        )
    for name, good in kinds.items():
        if not good:
            raise CheckpointError(f"the checkpoint holds settings that no run has: {name}={str(asked[name])[:SHOWN]}")


def _refuse(name: str, value: Any) -> None:
    raise CheckpointError(f"the settings of the checkpoint are not those of a run: {name} is {str(value)[:SHOWN]}")


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _table(value: Any, entries: set[str]) -> bool:
    return isinstance(value, dict) and set(value) == entries


def _saving(saving: Mapping[str, Any]) -> bool:
    every = saving["every"]
    return type(saving["on"]) is bool and (every is None or (saving["on"] and _count(every) and every > 0))


def _legs(legs: Any, step: Any) -> bool:
    """Whether each leg begins where the one before ended, from 0 up to the step."""
    if not isinstance(legs, list) or not legs or not all(_table(leg, LEG) for leg in legs):
        return False
    good = all(
        leg["backend"] in tuple(BACKENDS)
        and isinstance(leg["versions"], dict)
        and all(isinstance(version, str) for version in leg["versions"].values())
        and _count(leg["first"])
        and _count(leg["last"])
        and leg["first"] <= leg["last"]
        for leg in legs
    )
    return good and [0, *(leg["last"] for leg in legs)] == [*(leg["first"] for leg in legs), step]
