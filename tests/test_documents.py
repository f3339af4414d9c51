"""Every code block of the README and of the documentation runs, in order, and prints what the page says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from isoparam.optimizers import OPTIMIZERS

ROOT = Path(__file__).parent.parent
PAGES = {str(path.relative_to(ROOT)): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))}
PART = re.compile(
    r'^=== "(?P<tab>[^"]+)"$|^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$', re.MULTILINE | re.DOTALL
)
LANGUAGES = {"python", "console", "sh", "text", ""}  # a block in another language would go unread
SECONDS = re.compile(r"\d+\.\d+ s\b")
# A user has none of the strict settings of the tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
ALL_DIGITS = re.compile(r"-?0*\.?0*(?:[0-9]\.?){16,}")
MARK = "--- next block ---"


class Block(NamedTuple):
    """A block of code, and the tab that it stands in; "" outside of tabs."""

    tab: str
    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    tab = ""
    for part in PART.finditer(PAGES[page].read_text(encoding="utf-8")):
        if part["tab"]:
            tab = part["tab"]
        else:
            yield Block(tab if part["indent"] else "", part["language"], dedent(part["text"]))


def readings(page: str) -> Iterator[list[Block]]:
    """The blocks as one reader sees them: those outside of tabs and those of one tab."""
    found = list(blocks(page))
    for tab in {block.tab: None for block in found if block.tab} or {"": None}:
        yield [block for block in found if block.tab in ("", tab)]


def having(language: str) -> list[str]:
    return [page for page in PAGES if any(block.language == language for block in blocks(page))]


READINGS = [
    pytest.param(reading, id=f"{page} {next((block.tab for block in reading if block.tab), '')}".strip())
    for page in having("python")
    for reading in readings(page)
]
COMMANDS = [
    pytest.param(block.text, id=f"{page}: {block.text.splitlines()[0]}")
    for page in having("console")
    for block in blocks(page)
    if block.language == "console"
]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_read(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf-8")
    assert {block.language for block in blocks(page)} <= LANGUAGES
    assert text.count("```") == 2 * len(list(blocks(page)))


@pytest.mark.parametrize("reading", READINGS)
def test_python_blocks_print_what_stands_below_them(reading: list[Block], tmp_path: Path) -> None:
    pairs = [
        (block.text, following.text if following.language == "text" else "")
        for block, following in zip(reading, [*reading[1:], Block("", "", "")], strict=True)
        if block.language == "python"
    ]
    script = tmp_path / "page.py"
    script.write_text(f"\nprint({MARK!r})\n".join(code for code, _ in pairs), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(f"{MARK}\n") == [expected for _, expected in pairs]


@pytest.mark.parametrize("text", COMMANDS)
def test_console_blocks_print_what_they_show(text: str) -> None:
    command, _, expected = text.partition("\n")
    words = shlex.split(command.removeprefix("$ "))
    assert words[0] == "isoparam"
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=True, timeout=600, env=ENVIRONMENT
    )
    assert_same_words(words_of(done.stdout), words_of(expected))


@pytest.mark.parametrize("page", having("sh"))
def test_shell_blocks_name_targets_and_extras_that_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    targets, extras = re.findall(r"make (\w+)", text), re.findall(r"\.\[(\w+)\]", text)
    assert targets or extras
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def words_of(text: str) -> list[str]:
    """Seconds differ from run to run, and with their length the place where a line is broken."""
    return SECONDS.sub("? s", text).split()


def assert_same_words(found: list[str], expected: list[str]) -> None:
    """The last of 16 or more digits depends on the processor, whose kinds round some vector operations differently."""
    assert len(found) == len(expected)
    for word, shown in zip(found, expected, strict=True):
        if ALL_DIGITS.fullmatch(word) and ALL_DIGITS.fullmatch(shown):
            assert float(word) == pytest.approx(float(shown), rel=4 * sys.float_info.epsilon, abs=0.0)
        else:
            assert word == shown


def test_the_readme_names_every_optimizer() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [kind.__name__ for kind in OPTIMIZERS if f"`{kind.__name__}`" not in text] == []


@pytest.mark.parametrize(("page", "folder"), [("README.md", "docs/"), ("docs/index.md", "")])
@pytest.mark.parametrize("target", ["training", "checkpoints", "migration", "exact", "differences"])
def test_the_front_pages_lead_to(target: str, page: str, folder: str) -> None:
    assert f"]({folder}{target}.md)" in (ROOT / page).read_text(encoding="utf-8")
