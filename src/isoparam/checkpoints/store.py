"""A state in a directory, written so that a crash at any moment leaves a whole one, read so that nothing hostile passes."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import EEXIST, ENAMETOOLONG, ENOTDIR
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from isoparam.checkpoints import disk
from isoparam.checkpoints.disk import CURRENT, LARGEST_MANIFEST, NAME, PREVIOUS, Piece
from isoparam.checkpoints.strict import from_json, from_safetensors, to_json, to_safetensors
from isoparam.errors import CheckpointError
from isoparam.version import __version__

FORMAT, VERSION = "isoparam checkpoint", 1
ENTRIES = {"format", "version", "isoparam", "settings", "state", "history"}
ELSEWHERE = (EEXIST, ENOTDIR, ENAMETOOLONG)  # where no directory can be, whatever room there is
ATTEMPTS = 5  # of reading a directory into which a run goes on saving


@dataclass(frozen=True, eq=False)
class Stored:
    """What a directory holds.

    Attributes:
        settings: as JSON.
        state: {name: array}.
        history: {name: array}, whose first axes count the rows.
    """

    settings: dict[str, Any]
    state: dict[str, np.ndarray]
    history: dict[str, np.ndarray]


class Writer:
    """Saves states of one run in a directory, again and again.

    The rows of the history that a save before has written are not written again, but for those that are merged into longer
    files: n rows in any number of saves cost n log n.

    Args:
        folder: the directory, made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: list[tuple[int, Piece]] = []
        self._last: bytes | None = None  # what was committed last

    def write(self, settings: Mapping[str, Any], state: Mapping[str, np.ndarray], history: Mapping[str, np.ndarray]) -> None:
        """Save a state; the one before is kept as previous.json.

        Args:
            settings: plain JSON.
            state: {name: array}.
            history: {name: array}, whose first rows are those of the save before.

        Raises:
            CheckpointError: where it cannot be written; then everything is as before. `errno` says why.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with disk.locked(self.folder):
                try:
                    piece = disk.write_piece(self.folder, "state", to_safetensors(state))
                    rows = self._written(history)
                    manifest = _manifest(settings, piece, [piece for _, piece in rows])
                    disk.commit(self.folder, manifest, self._before())
                    self._rows, self._last = rows, manifest
                finally:  # also what a failed save has left, so that a full disk is no fuller
                    disk.sweep(self.folder, _named(self.folder))
        except OSError as error:
            if isinstance(error, CheckpointError):
                raise
            raise disk.failed(f"cannot save in {str(self.folder)!r}: {_cause(self.folder, error)}", error) from error

    def _before(self) -> bytes | None:
        """The manifest that becomes the previous one: the current one, unless it or a file of it is damaged."""
        with suppress(CheckpointError):
            current = disk.read_bytes(self.folder / CURRENT, LARGEST_MANIFEST)
            if current != self._last:
                _read(self.folder, CURRENT, current)
            return current
        return None

    def _written(self, history: Mapping[str, np.ndarray]) -> list[tuple[int, Piece]]:
        """The files of the history, of which the last holds the new rows and those of shorter files before it."""
        total = min((len(column) for column in history.values()), default=0)
        rows = [entry for entry in self._rows if (self.folder / entry[1].name).exists()]
        if rows != self._rows or sum(count for count, _ in rows) > total:
            rows = []
        new = total - sum(count for count, _ in rows)
        if rows and not new:
            return rows
        while rows and rows[-1][0] <= new:
            new += rows.pop()[0]
        last = {name: column[total - new :] for name, column in history.items()}
        return [*rows, (new, disk.write_piece(self.folder, "history", to_safetensors(last)))]


def read(place: Path) -> Stored:
    """Read a state, all of it or nothing.

    Args:
        place: the directory, or its previous.json for the state before the last.

    Raises:
        CheckpointError: where there is none, or one that is damaged, foreign or of a newer version.
    """
    folder, name = (place.parent, place.name) if place.name in (CURRENT, PREVIOUS) else (place, CURRENT)
    if not os.path.isfile(folder / name):  # which is False, too, for a path that no disk can have
        raise CheckpointError(f"{str(place)!r} holds no checkpoint: there is no {name} in it")
    for attempt in range(ATTEMPTS):
        manifest = disk.read_bytes(folder / name, LARGEST_MANIFEST)
        try:
            return _read(folder, name, manifest)
        except CheckpointError as error:
            with suppress(CheckpointError):
                if attempt + 1 < ATTEMPTS and disk.read_bytes(folder / name, LARGEST_MANIFEST) != manifest:
                    continue  # a run has saved in the meantime, and removed what this one named
            raise CheckpointError(f"{error}{_way_out(folder, name)}") from None
    raise AssertionError


def holds_checkpoint(folder: Path) -> bool:
    """Whether a directory holds a state, readable or not."""
    return os.path.exists(folder / CURRENT)


def _cause(folder: Path, error: OSError) -> str:
    """Why a state could not be written, and what helps."""
    if error.errno in ELSEWHERE:
        return f"{error.strerror}; name another directory"
    before = "what was saved there before is as it was. " if holds_checkpoint(folder) else ""
    return f"{error.strerror or error}; {before}Make room, or name another directory"


def _manifest(settings: Mapping[str, Any], state: Piece, history: list[Piece]) -> bytes:
    content = {
        "format": FORMAT,
        "version": VERSION,
        "isoparam": __version__,
        "settings": dict(settings),
        "state": list(state),
        "history": [list(piece) for piece in history],
    }
    return to_json({"sha256": sha256(to_json(content)).hexdigest(), "content": content})


def _content(manifest: bytes, where: str) -> dict[str, Any]:
    """What a manifest says, checked: format, version, checksum, names."""
    outer = from_json(manifest, where)
    content = outer.get("content") if isinstance(outer, dict) else None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{where} was not written by isoparam")
    version = content.get("version")
    if type(version) is int and version > VERSION:
        raise CheckpointError(
            f"{where} is of version {version}, and isoparam {__version__} reads versions up to {VERSION}: "
            f"pip install --upgrade isoparam"
        )
    if type(version) is not int or version != VERSION or set(outer) != {"sha256", "content"}:
        raise CheckpointError(f"{where} is of no version that there is: {str(version)[:40]}")
    if sha256(to_json(content)).hexdigest() != outer["sha256"]:
        raise CheckpointError(f"{where} is damaged: its checksum is another")
    if set(content) != ENTRIES or not isinstance(content["settings"], dict):
        raise CheckpointError(f"{where} has the entries {', '.join(map(str, content))[:80]}, which are not those of version 1")
    return content


def _pieces(content: Mapping[str, Any], where: str) -> tuple[Piece, list[Piece]]:
    """The files that a manifest names: that of the state, and those of the history."""
    history = content["history"]
    if not isinstance(history, list):
        raise CheckpointError(f"{where} names no files of a history")
    return _piece("state", content["state"], where), [_piece("history", entry, where) for entry in history]


def _piece(kind: str, entry: Any, where: str) -> Piece:
    """A file in the directory of the manifest: nothing but a name of ours."""
    match entry:
        case [str(name), int(size), str(digest)] if NAME.fullmatch(name) and name.startswith(f"{kind}-") and size >= 0:
            return Piece(name, size, digest)
    raise CheckpointError(f"{where} names {str(entry)[:80]!r}, which is no file of a checkpoint")


def _read(folder: Path, name: str, manifest: bytes) -> Stored:
    where = repr(str(folder / name))
    content = _content(manifest, where)
    state, history = _pieces(content, where)
    return Stored(content["settings"], _arrays(folder, state), _joined([_arrays(folder, piece) for piece in history], where))


def _arrays(folder: Path, piece: Piece) -> dict[str, np.ndarray]:
    return from_safetensors(disk.read_piece(folder, piece), repr(str(folder / piece.name)))


def _joined(parts: list[dict[str, np.ndarray]], where: str) -> dict[str, np.ndarray]:
    """The history, from the rows of its files."""
    shapes = [{name: (array.dtype, array.shape[1:]) for name, array in part.items() if array.ndim} for part in parts]
    lengths = [{len(array) if array.ndim else -1 for array in part.values()} for part in parts]
    if not parts or any(shape != shapes[0] for shape in shapes) or any(len(length) != 1 or -1 in length for length in lengths):
        raise CheckpointError(f"{where} has a history whose columns do not belong together")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _named(folder: Path) -> set[str]:
    """The files that the manifests of a directory name; those of a damaged manifest are unknown, and everything is kept."""
    named: set[str] = set()
    for name in (CURRENT, PREVIOUS):
        if (folder / name).exists():
            try:
                content = _content(disk.read_bytes(folder / name, LARGEST_MANIFEST), name)
                state, history = _pieces(content, name)
                named |= {piece.name for piece in (state, *history)}
            except CheckpointError:
                return {entry.name for entry in folder.iterdir() if not entry.name.endswith(disk.TEMPORARY)}
    return named


def _way_out(folder: Path, name: str) -> str:
    """What to say after a state that cannot be read: whether the one before it can."""
    if name == PREVIOUS or not (folder / PREVIOUS).exists():
        return ""
    try:
        _read(folder, PREVIOUS, disk.read_bytes(folder / PREVIOUS, LARGEST_MANIFEST))
    except CheckpointError:
        return ""
    return f". The state before it is whole: give {str(folder / PREVIOUS)!r} in place of the directory"
