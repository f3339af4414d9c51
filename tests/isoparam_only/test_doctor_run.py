"""`isoparam doctor run SCRIPT`: the script runs as it does without, and its exit code is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

PLAIN = """
import sys
import helper
print(__name__, __file__ == sys.argv[0], sys.argv[1:], helper.NAME)
sys.exit({code})
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isoparam", "doctor", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("7", 7), ("None", 0), ("'stop'", 1)])
def test_a_script_finds_its_names_and_keeps_its_exit_code(tmp_path: Path, code: str, expected: int) -> None:
    (tmp_path / "helper.py").write_text("NAME = 'beside'\n")
    script = tmp_path / "script.py"
    script.write_text(PLAIN.format(code=code))
    done = run(str(script), "--epochs", "3", "-h")
    assert done.returncode == expected
    assert done.stdout == "__main__ True ['--epochs', '3', '-h'] beside\n"
    assert done.stderr == ("stop\n" if code == "'stop'" else "")


def test_an_exception_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def fail():\n    raise ValueError('no')\n\nfail()\n")
    done = run(str(script))
    alone = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == alone.returncode == 1
    assert done.stderr == alone.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/script.py"], "error: doctor run: '/no/such/script.py' cannot be read: No such file or directory"),
        ([], ""),
    ],
    ids=["no such script", "no script"],
)
def test_a_request_that_cannot_be_run_is_refused(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_script_that_is_no_python_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("x = = 1\n")
    done = run(str(script))
    assert done.returncode == 2
    assert f"{script}:1: invalid syntax" in done.stderr
