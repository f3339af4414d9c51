"""What a type checker makes of user code: constructors take what numpy takes, attributes are what is kept."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RIGHT = """
from typing import assert_type

import numpy as np

import isoparam as iso
from isoparam.specs import FrozenArray

box = iso.Box([0.0], [1.0])
assert_type(box.low, float | FrozenArray)
iso.Affine(1.0, [2.0, 0.5])
iso.Interval(np.zeros(2), [1, 2], link="tanh")
iso.GreaterThan([[0.0], [1.0]])
iso.OrderedInterval(0, 1, min_gap=0.1, axis=-2)
iso.Hyperplane([1.0, 2.0], 3.0)
mask = iso.Masked([[True, False]], iso.Positive(), fill=[1.0, 2.0])
assert_type(mask.mask, FrozenArray)
iso.Fixed([1.0, 2.0])
iso.Stack((iso.Positive(), iso.Real()))
iso.Compose(iso.Affine(0.0, 2.0), iso.Simplex())
"""
WRONG = {
    "an unknown keyword": "iso.Interval(lower=0.0, upper=1.0)",
    "one argument too few": "iso.GreaterThan()",
    "one argument too many": "iso.Simplex(3)",
    "no number": "iso.Box(iso.Real(), 1.0)",
    "assigned": "iso.Box(0.0, 1.0).low = 2.0",
}


def complaints(path: Path, code: str) -> str:
    """What pyright says of a file; empty for nothing."""
    if shutil.which("pyright", path=Path(sys.executable).parent.as_posix()) is None:
        pytest.skip("pyright is not installed")
    path.write_text(code)
    found = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )
    return "" if found.returncode == 0 else found.stdout


def test_what_is_right_passes(tmp_path: Path) -> None:
    assert complaints(tmp_path / "right.py", RIGHT) == ""


def test_what_is_wrong_is_told_line_by_line(tmp_path: Path) -> None:
    said = complaints(tmp_path / "wrong.py", "\n".join(["import isoparam as iso", *WRONG.values()]))
    assert [row for row in range(2, 2 + len(WRONG)) if f"wrong.py:{row}:" not in said] == []
