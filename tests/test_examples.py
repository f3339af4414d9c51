"""The example scripts run as they stand, and reach the same digits in both frameworks: those of the closed form."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}


def output(name: str) -> str:
    command = [sys.executable, EXAMPLES / name]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT).stdout


def test_map_fits_agree_with_each_other_and_with_the_closed_form() -> None:
    torch, jax = output("map_fit_torch.py"), output("map_fit_jax.py")
    assert torch == jax
    pairs = re.findall(r"mode of .*?(\d+\.\d{10})   exact (\d+\.\d{10})", torch)
    assert len(pairs) == 2
    assert all(fitted == exact for fitted, exact in pairs)
    assert pairs[0] != pairs[1]


def test_the_scripts_are_cells_with_the_same_titles() -> None:
    torch, jax = ((EXAMPLES / f"map_fit_{name}.py").read_text(encoding="utf-8") for name in ("torch", "jax"))
    titles = re.findall(r"^# %% .*$", torch, re.MULTILINE)
    assert len(titles) > 3
    assert titles == re.findall(r"^# %% .*$", jax, re.MULTILINE)
