"""[tool.isoparam.doctor] of pyproject.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoparam.errors import SpecError

_KEYS = ("select", "ignore", "exclude", "extend-select")


@dataclass(frozen=True)
class Settings:
    """What a project asks of the lint.

    Attributes:
        select: codes or prefixes to look for.
        extend_select: further ones, beside the rules that are on.
        ignore: codes or prefixes to leave out.
        exclude: patterns of files to leave out.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def settings_for(path: Path) -> Settings:
    """The table of the nearest pyproject.toml above a path that has one; SpecError where it says what cannot be."""
    start = path.resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                content = tomllib.loads(file.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, OSError) as error:
                raise SpecError(f"{file} cannot be read: {error}") from error
            table = content.get("tool", {}).get("isoparam", {}).get("doctor")
            return Settings() if table is None else _from(table, file)
    return Settings()


def _from(table: dict[str, Any], file: Path) -> Settings:
    for key, value in table.items():
        if key not in _KEYS:
            raise SpecError(f"{file}: [tool.isoparam.doctor] has no key {key!r}; it has {', '.join(_KEYS)}")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SpecError(f"{file}: [tool.isoparam.doctor] {key} = {value!r} must be a list of strings")
    return Settings(*(tuple(table.get(key, ())) for key in ("select", "extend-select", "ignore", "exclude")))
