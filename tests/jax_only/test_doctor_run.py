"""`isoparam doctor run SCRIPT` on scripts that use JAX: what was found stands on stderr, after the script's own output."""

import subprocess
import sys
from pathlib import Path

import pytest

SILENT = """
import jax
import jax.numpy as jnp
from model import make

params, predict = make()
for _ in range(3):
    predict(jnp.ones(3))
    params["w"] = params["w"] + 1.0
print("done")
"""
MODEL = """
import jax
import jax.numpy as jnp

def make():
    params = {"w": jnp.zeros(3)}

    @jax.jit
    def predict(x):
        return params["w"] * x

    return params, predict
"""
RAISES = """
import jax

@jax.jit
def relu(x):
    return x if x > 0 else 0.0

print(relu(1.0))
"""
CLEAN = """
from jax import grad, numpy as jnp

w = jnp.zeros(3)
for _ in range(3):
    w = w - 0.1 * grad(lambda v: ((v - 1) ** 2).sum())(w)
print("done")
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "model.py").write_text(MODEL)
    script = folder / "script.py"
    script.write_text(text)
    command = [sys.executable, "-m", "isoparam", "doctor", "run", str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("text", "code", "printed", "found"),
    [
        (SILENT, 0, "done\n", "SG501 jit-captured-param: make.predict (params['w'])"),
        (RAISES, 1, "", "SG509 concretized-tracer: x"),
        (CLEAN, 0, "done\n", "Nothing found in 3 gradients"),
    ],
    ids=["silent", "raises", "clean"],
)
def test_what_was_found_is_reported(tmp_path: Path, text: str, code: int, printed: str, found: str) -> None:
    done = run(tmp_path, text)
    assert (done.returncode, done.stdout) == (code, printed), done.stderr
    assert found in done.stderr
