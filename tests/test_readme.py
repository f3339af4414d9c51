"""Every code block of the README runs, in order, and prints what the README says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"\d+\.\d+ s\b")
# A user has none of the strict settings of the tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
MARK = "--- next block ---"


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


def test_python_blocks_print_what_stands_below_them(tmp_path: Path) -> None:
    found = blocks()
    pairs = [
        (code, expected if following == "text" else "")
        for (language, code), (following, expected) in zip(found, [*found[1:], ("", "")], strict=True)
        if language == "python"
    ]
    script = tmp_path / "readme.py"
    script.write_text(f"\nprint({MARK!r})\n".join(code for code, _ in pairs), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(f"{MARK}\n") == [expected for _, expected in pairs]


def test_console_blocks_print_what_they_show() -> None:
    for language, text in blocks():
        if language != "console":
            continue
        command, _, expected = text.partition("\n")
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "isoparam"
        done = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT
        )
        assert without_times(done.stdout) == without_times(expected)


def test_shell_blocks_name_targets_and_extras_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = "\n".join(code for language, code in blocks() if language == "sh")
    targets, extras = re.findall(r"make (\w+)", text), re.findall(r"\.\[(\w+)\]", text)
    assert targets
    assert extras
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def without_times(text: str) -> str:
    """Seconds differ from run to run, and trailing blanks are the terminal's."""
    return "\n".join(line.rstrip() for line in SECONDS.sub("? s", text).strip().splitlines())
