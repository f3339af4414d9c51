"""Saving while a run goes on: when, and what happens where it cannot."""

import warnings
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from isoparam.arguments import place, whole
from isoparam.checkpoints.settings import checked
from isoparam.checkpoints.snapshot import Snapshot
from isoparam.checkpoints.store import Writer, holds_checkpoint, read
from isoparam.checkpoints.strict import from_json, to_json
from isoparam.errors import CheckpointError, CheckpointWarning, SpecError
from isoparam.saturation import caller

SECONDS = 60.0
"""Between two saves of a run that was not told after how many steps."""

SHOWN = 80  # characters of a setting in a message

Taken = tuple[int, Snapshot]


class Keeper:
    """Saves a run in a directory every so many steps, or about once a minute.

    A state is saved once the step after it has shown a finite loss and gradient: what broke the run is never the saved state.

    Args:
        folder: the directory.
        every: steps between two saves; None: about a minute.
    """

    def __init__(self, folder: Path, every: int | None) -> None:
        self.folder, self.every = folder, every
        self._writer = Writer(folder)
        self._waiting: Taken | None = None
        self._last = monotonic()

    def room(self, step: int) -> int | None:
        """Steps until the next save is due; None: any number."""
        return None if self.every is None else self.every - step % self.every

    def offer(self, step: int, take: Callable[[], Snapshot]) -> None:
        """Take the state of a step, if it is time for it; it is saved by `prove`."""
        due = monotonic() - self._last >= SECONDS if self.every is None else step % self.every == 0
        if due:
            self._waiting = (step, take())

    def prove(self, first_bad: int | None, history: Callable[[int], dict[str, np.ndarray]]) -> None:
        """Save the state that waits, unless the step from it was bad; a disk that is full is told, and the run goes on.

        Args:
            first_bad: the first step since then whose loss or gradient is not finite; None: all are finite.
            history: gives the rows before a step.
        """
        if self._waiting is None:
            return
        step, snapshot = self._waiting
        self._waiting = None
        if first_bad is None or step < first_bad:
            self.attempt(snapshot, history(step))

    def save(self, snapshot: Snapshot, history: dict[str, np.ndarray]) -> None:
        """Save now.

        Raises:
            CheckpointError: where that is not possible.
        """
        self._writer.write(snapshot.data(), snapshot.state, history)
        self._last = monotonic()

    def attempt(self, snapshot: Snapshot, history: dict[str, np.ndarray], after: str = "The run goes on") -> bool:
        """Save now, or warn; whether it is saved.

        Args:
            snapshot: the state.
            history: its rows.
            after: what the warning says of the run.
        """
        try:
            self.save(snapshot, history)
        except CheckpointError as error:
            self._last = monotonic()
            warnings.warn(f"{error}. {after}", CheckpointWarning, stacklevel=caller())
            return False
        return True


def keeper_for(checkpoint_dir: Any, checkpoint_every: Any, resumed: bool) -> Keeper | None:
    """What saves a run; None where nothing was asked for.

    Args:
        checkpoint_dir: the directory, or None.
        checkpoint_every: steps, or None.
        resumed: whether the run goes on with what is saved there.

    Raises:
        SpecError: for arguments that cannot be right.
        CheckpointError: for a directory that holds a checkpoint, which a new run would replace.
    """
    if checkpoint_every is not None:
        checkpoint_every = whole("checkpoint_every", checkpoint_every)
    if checkpoint_dir is None:
        if checkpoint_every is not None:
            raise SpecError(f"checkpoint_every={checkpoint_every!r} needs checkpoint_dir='a/directory'")
        return None
    folder = place("checkpoint_dir", checkpoint_dir)
    if not resumed and holds_checkpoint(folder):
        raise CheckpointError(
            f"checkpoint_dir={str(folder)!r} holds a checkpoint already, which a new run would replace; go on with it: "
            f"isoparam.resume({str(folder)!r}, backend=...), or name another directory"
        )
    return Keeper(folder, checkpoint_every)


def save(folder: Path, snapshot: Snapshot, history: dict[str, np.ndarray], *, overwrite: bool) -> None:
    """Save a state in a directory, which may hold an earlier state of the same run.

    Args:
        folder: the directory.
        snapshot: the state.
        history: its rows.
        overwrite: whether any other state there may be replaced, too.

    Raises:
        CheckpointError: where that is not possible.
    """
    content = snapshot.data()
    if not overwrite and holds_checkpoint(folder):
        _check_earlier(str(folder), read(folder).settings, from_json(to_json(content), "the state"))
    Writer(folder).write(content, snapshot.state, history)


def _check_earlier(folder: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise CheckpointError unless the settings are of the same run, and not of more steps."""
    before = checked(before) | {"asked": before["asked"]}
    other = [name for name, setting in now["asked"].items() if name != "device" and before["asked"][name] != setting]
    what = ""
    if before["problem"] != now["problem"]:
        name = before["problem"]["name"][:SHOWN]
        what = f"another problem{' of this name' if name == now['problem']['name'] else ''}, {name!r}"
    elif other:
        what = f"another run, whose {other[0]} is {_shown(before['asked'][other[0]])}, not {_shown(now['asked'][other[0]])}"
    elif before["step"] > now["step"]:
        what = f"a run of {before['step']} steps, and this one has {now['step']}"
    if what:
        raise CheckpointError(
            f"{folder!r} holds the checkpoint of {what}; name another directory, or replace it: "
            f"run.save({folder!r}, overwrite=True)"
        )


def _shown(setting: Any) -> str:
    return to_json(setting).decode()[:SHOWN]
