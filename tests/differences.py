"""`python tests/differences.py`: what makes two frameworks differ, operation by operation: the table of docs/differences.md.

    python tests/differences.py           measure and print (seconds)
    python tests/differences.py --write   put the table into docs/differences.md as well

Each operation is run by eager torch, by JAX as one jitted program, and by NumPy in twice the digits, rounded once, on 100,000
float32 numbers. A row says for how many of them torch and JAX differ from the correctly rounded result, and from each other.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

PAGE = Path(__file__).parent.parent / "docs" / "differences.md"
BEGIN, END = "<!-- printed by `python tests/differences.py` from here -->\n", "<!-- to here -->\n"
HEADS = ("operation in float32", "torch off", "JAX off", "torch against JAX", "farthest, ULP")
COUNT = 100_000


class Row(NamedTuple):
    """An operation, written three times; each function takes arrays a, b, c."""

    name: str
    torch: Callable[..., Any]
    jax: Callable[..., Any]
    numpy: Callable[..., Any]


ROWS = (
    Row("`a + b`", lambda a, b, c: a + b, lambda a, b, c: a + b, lambda a, b, c: a + b),
    Row("`a * b + c`", lambda a, b, c: a * b + c, lambda a, b, c: a * b + c, lambda a, b, c: np.float32(a * b) + c),
    Row("`a / 3`", lambda a, b, c: a / 3, lambda a, b, c: a / 3, lambda a, b, c: a / 3),
    Row("`sqrt(a)`", lambda a, b, c: a.sqrt(), lambda a, b, c: jnp.sqrt(a), lambda a, b, c: np.sqrt(a)),
    Row("`exp(a)`", lambda a, b, c: a.exp(), lambda a, b, c: jnp.exp(a), lambda a, b, c: np.exp(a)),
    Row("`log(a)`", lambda a, b, c: a.log(), lambda a, b, c: jnp.log(a), lambda a, b, c: np.log(a)),
    Row("`tanh(a)`", lambda a, b, c: a.tanh(), lambda a, b, c: jnp.tanh(a), lambda a, b, c: np.tanh(a)),
    Row("`sigmoid(a)`", lambda a, b, c: a.sigmoid(), lambda a, b, c: jax.nn.sigmoid(a), lambda a, b, c: 1 / (1 + np.exp(-a))),
    Row(
        "`lerp(a, b, 0.1)`",
        lambda a, b, c: a.lerp(b, 0.1),
        lambda a, b, c: a + 0.1 * (b - a),
        lambda a, b, c: a + 0.1 * (b - a),
    ),
    Row(
        "`softmax` of rows of 10",
        lambda a, b, c: a.reshape(-1, 10).softmax(-1),
        lambda a, b, c: jax.nn.softmax(a.reshape(-1, 10), -1),
        lambda a, b, c: (power := np.exp(a.reshape(-1, 10))) / power.sum(-1, keepdims=True),
    ),
    Row(
        "`sum` of rows of 100",
        lambda a, b, c: a.reshape(-1, 100).sum(-1),
        lambda a, b, c: a.reshape(-1, 100).sum(-1),
        lambda a, b, c: a.reshape(-1, 100).sum(-1),
    ),
    Row(
        "`A @ B` of 300 by 300",
        lambda a, b, c: a[:90_000].reshape(300, 300) @ b[:90_000].reshape(300, 300),
        lambda a, b, c: a[:90_000].reshape(300, 300) @ b[:90_000].reshape(300, 300),
        lambda a, b, c: a[:90_000].reshape(300, 300) @ b[:90_000].reshape(300, 300),
    ),
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; with --write put the table into the page."""
    parser = argparse.ArgumentParser(description="The table of docs/differences.md.")
    parser.add_argument("--write", action="store_true", help="put the table into docs/differences.md")
    options = parser.parse_args(arguments)
    table = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    table += [f"| {' | '.join(_cells(row))} |" for row in ROWS]
    table += ["", _bias_correction()]
    print("\n".join(table))
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n\n" + END + rest.split(END)[1], encoding="utf-8")
    return 0


def apart(row: Row) -> tuple[float, float, float, int]:
    """The shares of entries that differ: torch from the truth, JAX from it, torch from JAX; and the most ULP in the last."""
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(0.1, 4.0, COUNT).astype(np.float32) for _ in range(3)]
    found = row.torch(*map(torch.from_numpy, inputs)).numpy()
    other = np.asarray(jax.jit(row.jax)(*inputs))
    truth = row.numpy(*(value.astype(np.float64) for value in inputs)).astype(np.float32)
    # Both have one sign, so that the integers of the bits count the numbers between them.
    ulp = np.abs(found.view(np.int32).astype(np.int64) - other.view(np.int32)).max()
    return float(np.mean(found != truth)), float(np.mean(other != truth)), float(np.mean(found != other)), int(ulp)


def _cells(row: Row) -> Iterator[str]:
    *shares, ulp = apart(row)
    yield row.name
    yield from (f"{share:.1%}" for share in shares)
    yield str(ulp)


def _bias_correction() -> str:
    """How far 1 - beta^t is off where it is computed in float32, as optax does, instead of in Python as torch does."""
    worst, at = 0.0, 0
    for t in range(1, 1001):
        exact = 1 - 0.999**t
        narrow = float(1 - jnp.asarray(0.999, jnp.float32) ** jnp.asarray(t, jnp.int32))
        if abs(narrow / exact - 1) > worst:
            worst, at = abs(narrow / exact - 1), t
    return f"1 - 0.999^t in float32, t = 1 to 1000: relative error at most {worst:.1e}, at t = {at}."


if __name__ == "__main__":
    sys.exit(main())
