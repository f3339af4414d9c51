"""Settings and problems as JSON: optimizers and schedules by name, and what tells one problem from another."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from math import inf, isfinite
from typing import Any

import numpy as np

from isoparam.errors import CheckpointError, SpecError
from isoparam.optimizers import OPTIMIZERS
from isoparam.plain import plain
from isoparam.problem import Problem
from isoparam.schedules import SCHEDULES, LambdaLR, Schedule, as_schedule
from isoparam.specs import Real
from isoparam.specs.base import FrozenArray
from isoparam.updates import UPDATES

KNOWN: dict[str, type] = {known.__name__: known for known in (*OPTIMIZERS, *SCHEDULES, *UPDATES) if known is not LambdaLR}
"""The classes that a checkpoint may name; nothing else is ever made of its text."""

GIVEN = {"of": "LambdaLR", "entries": {}}
"""What stands for a LambdaLR: no checkpoint holds its function, which has to be given again."""

INFINITE = {"inf": inf, "-inf": -inf}
"""The numbers that JSON has no word for, by theirs here."""

SHOWN = 160  # characters of a spec in a message


def encode(name: str, value: Any) -> Any:
    """A setting as JSON: numbers, texts, tuples, dicts and the classes of KNOWN; a LambdaLR by its name alone.

    Raises:
        SpecError: for anything else, such as a function.
    """
    value = plain(value)
    if type(value) is float and value in INFINITE.values():
        return {"of": "float", "entries": {"text": repr(value)}}
    if value is None or type(value) in (bool, int, str) or (type(value) is float and isfinite(value)):
        return value
    if isinstance(value, tuple | list):
        return [encode(name, entry) for entry in value]
    if type(value) is LambdaLR:
        return GIVEN
    if isinstance(value, Mapping):
        return {"of": "dict", "entries": {str(key): encode(name, entry) for key, entry in value.items()}}
    if KNOWN.get(type(value).__name__) is type(value):
        spec: Any = value
        entries = {entry.name: encode(name, getattr(spec, entry.name)) for entry in fields(spec)}
        return {"of": type(value).__name__, "entries": entries}
    raise SpecError(f"{name}: {value!r} cannot be saved: a checkpoint holds numbers, texts and specs of isoparam, no functions")


def decode(value: Any) -> Any:
    """The reverse of `encode`; lists come back as tuples.

    Raises:
        CheckpointError: for a class that is not known here, or arguments that it refuses.
    """
    if isinstance(value, list):
        return tuple(decode(entry) for entry in value)
    if not isinstance(value, dict):
        return value
    if set(value) != {"of", "entries"} or not isinstance(value["entries"], dict):
        raise CheckpointError(f"the checkpoint has a setting that is none: {str(value)[:SHOWN]}")
    entries = {name: decode(entry) for name, entry in value["entries"].items()}
    if value["of"] == "dict":
        return entries
    if value["of"] == "float" and list(entries) == ["text"] and entries["text"] in tuple(INFINITE):
        return INFINITE[entries["text"]]
    known = KNOWN.get(value["of"]) if isinstance(value["of"], str) else None
    if known is None:
        raise CheckpointError(f"the checkpoint names {str(value['of'])[:SHOWN]!r}, which is none of {', '.join(KNOWN)}")
    if set(entries) != {entry.name for entry in fields(known)}:
        raise CheckpointError(f"the checkpoint gives {known.__name__} the arguments {', '.join(entries)[:SHOWN]}")
    try:
        return known(**entries)
    except (SpecError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint holds a {known.__name__} that cannot be: {error}") from None


def decode_schedule(saved: Any, given: Any) -> Schedule | None:
    """The schedule of a saved run, None for none.

    Args:
        saved: as JSON.
        given: the schedule given again; None takes the saved one, which cannot hold a function then.

    Raises:
        SpecError: for a schedule that is another than the saved one, or a function that is not given.
        CheckpointError: for what is no schedule.
    """
    if given is not None:
        if encode("schedule", as_schedule(given)) != saved:
            raise SpecError(
                f"schedule={given} is not that of the saved run, {str(saved)[:SHOWN]}; leave it out, or begin a run of its own"
            )
        return given
    if _holds_function(saved):
        raise SpecError(
            "the saved run follows a LambdaLR, whose function no checkpoint holds; give its schedule again: "
            "resume(..., schedule=isoparam.LambdaLR(function))"
        )
    schedule = decode(saved)
    if schedule is not None and not isinstance(schedule, Schedule):
        raise CheckpointError(f"the checkpoint has a schedule that is none: {str(saved)[:SHOWN]}")
    return schedule


def _holds_function(saved: Any) -> bool:
    if isinstance(saved, list):
        return any(map(_holds_function, saved))
    return saved == GIVEN or (isinstance(saved, dict) and any(map(_holds_function, saved.values())))


def fingerprint(problem: Problem) -> dict[str, Any]:
    """What a state belongs to, as JSON: parameters with their shapes and constraints, the data, and the size of a batch.

    The start is not among it, since a run has left it; nor is the loss, which differs between the backends.
    """
    specs = {name: problem.specs.get(name, Real()) for name in problem.shapes}
    return {
        "name": problem.name,
        "parameters": {name: [list(map(int, shape)), _digest(specs[name])] for name, shape in problem.shapes.items()},
        "specs": {name: repr(spec)[:SHOWN] for name, spec in specs.items()},
        "data": {name: _digest(np.asarray(array)) for name, array in (problem.data or {}).items()},
        "batch_size": problem.batch_size,
    }


def check_fingerprint(problem: Problem, saved: Any) -> None:
    """Raise CheckpointError, saying what differs, unless the state was saved of this problem."""
    own, begin = fingerprint(problem), f"the checkpoint is not of this problem {problem.name!r}: "
    if not isinstance(saved, dict) or set(saved) != set(own):
        raise CheckpointError(f"{begin}it does not say what it is of")
    for what in ("parameters", "data"):
        if not isinstance(saved[what], dict) or set(saved[what]) != set(own[what]):
            raise CheckpointError(f"{begin}its {what} are {_listed(saved[what])}; here they are {_listed(own[what])}")
        for name, entry in own[what].items():
            if saved[what][name] != entry:
                raise CheckpointError(begin + _difference(what, name, own, saved))
    if saved["batch_size"] != own["batch_size"]:
        raise CheckpointError(f"{begin}its batch_size is {saved['batch_size']!r}, here it is {own['batch_size']!r}")


def _difference(what: str, name: str, own: dict[str, Any], saved: dict[str, Any]) -> str:
    if what == "data":
        return f"data[{name!r}] holds other numbers; for new data begin a run of its own from run.values"
    specs = saved["specs"].get(name) if isinstance(saved["specs"], dict) else None
    shape = saved["parameters"][name][0] if isinstance(saved["parameters"][name], list) else None
    return (
        f"{name!r} was {str(specs)[:SHOWN]} of shape {str(shape)[:SHOWN]}, and is {own['specs'][name]} of shape "
        f"{own['parameters'][name][0]}"
    )


def _listed(names: Any) -> str:
    return ", ".join(map(repr, sorted(names)))[:SHOWN] or "none"


def _digest(value: Any) -> str:
    """A number that equal contents share, in every process and on every machine."""
    result = sha256()
    for part in _parts(value):
        result.update(part)
    return result.hexdigest()


def _parts(value: Any) -> Any:
    """Bytes that tell the content of a spec or an array."""
    if isinstance(value, FrozenArray):
        value = value.data + 0.0  # equal arrays may hold 0.0 and -0.0
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        yield f"{little.dtype.str}{value.shape}".encode()
        yield little.tobytes()
    elif is_dataclass(value) and not isinstance(value, type):
        yield f"{type(value).__name__}(".encode()
        for entry in fields(value):
            yield f"{entry.name}=".encode()
            yield from _parts(getattr(value, entry.name))
        yield b")"
    elif isinstance(value, tuple | list):
        yield b"["
        for entry in value:
            yield from _parts(entry)
            yield b","
        yield b"]"
    else:
        yield repr(plain(value)).encode()
