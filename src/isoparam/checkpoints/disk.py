"""A directory that holds one state at every moment: files that are whole, or not there.

::

    DIR/checkpoint.json          names the files of the state, with their lengths and checksums; replaced in one move
    DIR/previous.json            the same of the state before
    DIR/state-<token>.safetensors, DIR/history-<token>.safetensors, ...

Every file is written under another name, brought to the disk, and renamed; `checkpoint.json` last. A process that is killed
in between leaves the state of before, and files that nothing names, which the next save removes.
"""

import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from isoparam.errors import CheckpointError

CURRENT, PREVIOUS = "checkpoint.json", "previous.json"
TEMPORARY = ".tmp"
NAME = re.compile(r"[a-z]{1,16}-[0-9a-f]{16}\.safetensors")
OURS = re.compile(rf"({NAME.pattern}|{CURRENT}|{PREVIOUS})({re.escape(TEMPORARY)})?")
LARGEST_MANIFEST = 2**26  # bytes


class Piece(NamedTuple):
    """A file of a state, as `checkpoint.json` names it."""

    name: str
    bytes: int
    sha256: str


def write_piece(folder: Path, kind: str, content: bytes) -> Piece:
    """Write a file of a new name; it is on the disk, whole, when this returns."""
    name = f"{kind}-{secrets.token_hex(8)}.safetensors"
    replace(folder / name, content)
    return Piece(name, len(content), sha256(content).hexdigest())


def commit(folder: Path, manifest: bytes, before: bytes | None) -> None:
    """Make a manifest the current one, and `before` the previous one, unless that is None."""
    if before is not None:
        replace(folder / PREVIOUS, before)
    sync_folder(folder)  # the files that they name are there before they are
    replace(folder / CURRENT, manifest)
    sync_folder(folder)


def sweep(folder: Path, named: Iterable[str]) -> None:
    """Remove our files that no manifest names. One that cannot be removed stays."""
    kept = {CURRENT, PREVIOUS, *named}
    for entry in os.scandir(folder):
        if OURS.fullmatch(entry.name) and entry.name not in kept:
            with suppress(OSError):
                os.unlink(entry.path)


def read_bytes(path: Path, largest: int) -> bytes:
    """The content of a plain file: no link, pipe or device, and at most `largest` bytes.

    Raises:
        CheckpointError: for anything else.
    """
    flags = os.O_RDONLY | (0 if sys.platform == "win32" else os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        link = "it is a link" if path.is_symlink() else error.strerror
        raise failed(f"cannot read {str(path)!r}: {link}", error) from None
    about = os.fstat(handle)
    plain = stat.S_ISREG(about.st_mode)
    if not plain or about.st_size > largest:
        os.close(handle)
        fault = f"has {about.st_size} bytes, and should have at most {largest}" if plain else "is no plain file"
        raise CheckpointError(f"{str(path)!r} {fault}")
    try:
        with os.fdopen(handle, "rb") as file:
            return file.read()
    except OSError as error:
        raise failed(f"cannot read {str(path)!r}: {error.strerror}", error) from None


def read_piece(folder: Path, piece: Piece) -> bytes:
    """The content of a file of a state, checked by its length and checksum."""
    content = read_bytes(folder / piece.name, piece.bytes)
    if len(content) != piece.bytes or sha256(content).hexdigest() != piece.sha256:
        raise CheckpointError(
            f"{str(folder / piece.name)!r} is damaged: {len(content)} bytes of {piece.bytes}, or other ones than were written"
        )
    return content


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes here for the time of a block; the lock of a process that was killed is gone with it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk."""
    if sys.platform == "win32":  # which has no such call
        return
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def failed(message: str, error: OSError) -> CheckpointError:
    """A CheckpointError that keeps the number of the error, such as errno.ENOSPC."""
    result = CheckpointError(message)
    result.errno = error.errno
    return result


def replace(path: Path, content: bytes) -> None:
    """Write a file at once: at every moment it is as before, or new and whole."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
