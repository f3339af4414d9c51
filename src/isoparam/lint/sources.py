"""Files of the given paths: found, read and parsed, with the reason where that fails."""

import ast
import os
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isoparam.errors import SpecError
from isoparam.lint.library import RELEVANT

SKIPPED = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "__pycache__",
    "node_modules",
    ".tox",
    ".nox",
    ".mypy_cache",
    "build",
    "dist",
    ".eggs",
}


@dataclass
class Source:
    """One file.

    Attributes:
        path: as it was given or found.
        text: what it says; "" where it cannot be read.
        tree: its syntax tree; None where there is none, or where the file touches no framework.
        error: why it cannot be read or parsed, with the line.
        lines: number of lines.
    """

    path: str
    text: str = ""
    tree: ast.Module | None = None
    error: str = ""
    line: int = 0
    lines: int = 0
    names: frozenset[str] = field(default_factory=frozenset)


def find(paths: Sequence[str | Path], exclude: Sequence[str] = ()) -> Iterator[str]:
    """Every Python file of the paths, each once, folders in order; SpecError where a path is none."""
    seen = set()
    for path in paths:
        if not os.path.exists(path):
            raise SpecError(f"path {str(path)!r} does not exist")
        for found in _walk(str(path)):
            if found not in seen and not any(Path(found).match(pattern) for pattern in exclude):
                seen.add(found)
                yield found


def _walk(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        yield from (os.path.join(folder, name) for name in sorted(files) if name.endswith(".py"))


def read(path: str) -> Source:
    """The file at a path, decoded as its first lines say."""
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError, LookupError) as error:
        return Source(path, error=f"cannot be read: {error}")
    return parse(text, path)


def parse(text: str, path: str) -> Source:
    """The source of a text; only what touches a framework gets a tree."""
    source = Source(path, text, lines=text.count("\n") + 1)
    if not RELEVANT.search(text):
        return source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes of the checked file
            source.tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError) as error:
        source.line = getattr(error, "lineno", 0) or 0
        source.error = f"cannot be parsed: {getattr(error, 'msg', error)}"
    return source
