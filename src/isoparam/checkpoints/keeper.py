"""Saving while a run goes on: when, and what happens where it cannot."""

import warnings
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from isoparam.arguments import whole
from isoparam.checkpoints.snapshot import Snapshot
from isoparam.checkpoints.store import Writer, holds_checkpoint, read
from isoparam.errors import CheckpointError, CheckpointWarning, SpecError
from isoparam.saturation import caller

SECONDS = 60.0
"""Between two saves of a run that was not told after how many steps."""

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

    def attempt(self, snapshot: Snapshot, history: dict[str, np.ndarray]) -> bool:
        """Save now, or warn; whether it is saved."""
        try:
            self.save(snapshot, history)
        except CheckpointError as error:
            self._last = monotonic()
            warnings.warn(f"{error}. The run goes on", CheckpointWarning, stacklevel=caller())
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
    if not isinstance(checkpoint_dir, str | Path) or not str(checkpoint_dir):
        raise SpecError(f"checkpoint_dir={checkpoint_dir!r} must be a directory, such as 'runs/first'")
    folder = Path(checkpoint_dir)
    if not resumed and holds_checkpoint(folder):
        raise CheckpointError(
            f"checkpoint_dir={str(folder)!r} holds a checkpoint already, which a new run would replace; go on with it: "
            f"isoparam.resume({str(folder)!r}, backend=...), or name another directory"
        )
    return Keeper(folder, checkpoint_every)


def save(folder: Path, snapshot: Snapshot, history: dict[str, np.ndarray]) -> None:
    """Save a state in a directory, which may hold another of the same problem.

    Raises:
        CheckpointError: where that is not possible.
    """
    content = snapshot.data()
    if holds_checkpoint(folder):
        before = read(folder).settings.get("problem")
        if not isinstance(before, dict) or before.get("name") != content["problem"]["name"]:
            raise CheckpointError(
                f"{str(folder)!r} holds the checkpoint of another problem, {str(before)[:40]}; name another directory"
            )
    Writer(folder).write(content, snapshot.state, history)
