"""Files that a command was asked to write."""

import os
from pathlib import Path

from isoparam.errors import SpecError


def check_files(*files: Path | None) -> None:
    """Raise SpecError for a file that cannot be written, before the work is done and lost."""
    for file in files:
        if file is None:
            continue
        folder = file.absolute().parent
        if file.is_dir() or not folder.is_dir():
            raise SpecError(f"cannot write {str(file)!r}: it is a folder, or its folder does not exist")
        if not os.access(file if file.exists() else folder, os.W_OK):
            raise SpecError(f"cannot write {str(file)!r}: no permission")


def write(file: Path | None, text: str) -> None:
    """Write a file that was asked for."""
    if file is None:
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:  # what check_files cannot foresee, such as a full disk
        raise SpecError(f"cannot write {str(file)!r}: {error.strerror}") from None
