"""`python -m benchmarks.transforms [--rounds N] [--only REGEX] [--on BACKEND] [--json FILE]`: each map against its peers.

float32, one thread, value and vector-Jacobian product. Each round times every contestant of a row once, in turn; the
fastest of its rounds counts, in processor time, which other programs on the machine disturb least. torch runs eagerly, as
its peers do; everything on JAX is jitted and runs in the thread that calls it: XLA hands programs of more than about a thousand
operations to another thread, which takes longer than a map of 100 entries (`python -m benchmarks.handing_over`).
"""

from benchmarks import settings  # isort: skip  # noqa: F401  before either framework is imported

import argparse
import json
import platform
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.peers import RACES, Race
from isoparam import jax as on_jax
from isoparam import torch as on_torch

jax.config.update("jax_cpu_enable_async_dispatch", False)

SIZES = (100, 1_000_000)
BAR = 1.2  # times the fastest peer
LEAST = 0.02  # seconds of one timing
SLOW = 0.5  # seconds of a call


class Row(NamedTuple):
    """One race at one size in one framework: seconds of one call."""

    spec: str
    backend: str
    entries: int
    ours: float
    peers: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """Our time over that of the fastest peer; None without one."""
        return self.ours / min(self.peers.values()) if self.peers else None


def main() -> int:
    """Run the races, print the table, and tell whether each row is within the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds; the fastest of each contestant counts")
    parser.add_argument("--only", default="", help="only specs whose text matches this regular expression")
    parser.add_argument("--on", choices=("torch", "jax"), nargs="+", default=("torch", "jax"), help="only these backends")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="entries of raw")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    races = [race for race in RACES if re.search(arguments.only, str(race.spec))]
    console = Console(width=128)
    rows = []
    for race in races:
        for entries in arguments.sizes:
            for row in raced(race, entries, arguments.rounds, arguments.on):
                rows.append(row)
                console.print(f"{row.spec}, {row.backend}, {row.entries:,}: {_ours_and_peers(row)}", style="dim")
    console.print(_table(rows))
    packages = {name: version(name) for name in ("torch", "jax", "numpyro", "tfp-nightly", "geotorch")}
    console.print(f"{platform.machine()}, {packages}, one thread, fastest of {arguments.rounds} interleaved rounds")
    if arguments.json:
        figures = {"packages": packages, "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0 if all(row.ratio is None or row.ratio <= BAR for row in rows) else 1


def raced(race: Race, entries: int, rounds: int, backends: Sequence[str] = ("torch", "jax")) -> list[Row]:
    """The rows of one race at one size."""
    raw = np.random.Generator(np.random.Philox(1)).normal(0, 1, race.raw_shape(entries)).astype(np.float32)
    calls = {
        "torch": {"ours": lambda: lambda x: on_torch.forward(race.spec, x), **race.torch},
        "jax": {"ours": lambda: lambda x: on_jax.forward(race.spec, x), **race.jax},
    }
    rows = []
    for backend in backends:
        contestants = calls[backend]
        ready = {name: PREPARE[backend](make(), raw_for(race, name, raw)) for name, make in contestants.items()}
        best = timed(ready, rounds)
        rows.append(Row(str(race.spec), backend, entries, best.pop("ours"), best))
    return rows


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each call, the fastest of its interleaved rounds."""
    lasting = {name: _lasting(call) for name, call in calls.items()}
    repeats = {name: max(1, int(LEAST / max(seconds, 1e-7))) for name, seconds in lasting.items()}
    best = dict.fromkeys(calls, float("inf"))
    # What takes seconds is timed once or twice: the command should end.
    for _ in range(rounds if max(lasting.values()) < SLOW else 2):
        for name, call in calls.items():
            best[name] = min(best[name], _seconds(call, repeats[name]))
    return best


def raw_for(race: Race, name: str, raw: np.ndarray) -> np.ndarray:
    """The raw of a contestant: a peer that reads whole matrices gets one of the size of the value."""
    if name == "ours" or name not in race.matrices:
        return raw
    shape = race.spec.value_shape(raw.shape)
    return np.random.Generator(np.random.Philox(1)).normal(0, 1, shape).astype(np.float32)


def _in_torch(function: Callable[[Any], Any], raw: np.ndarray) -> Callable[[], Any]:
    leaf = torch.nn.Parameter(torch.tensor(raw))
    cotangent = torch.ones_like(function(leaf))

    def call() -> Any:
        return torch.autograd.grad(function(leaf), leaf, cotangent)

    return call


def _in_jax(function: Callable[[Any], Any], raw: np.ndarray) -> Callable[[], Any]:
    leaf = jax.device_put(raw)
    cotangent = jax.numpy.ones(jax.eval_shape(function, leaf).shape, leaf.dtype)

    @jax.jit
    def both(leaf: Any, cotangent: Any) -> Any:
        value, pull = jax.vjp(function, leaf)
        return value, pull(cotangent)[0]

    return lambda: jax.block_until_ready(both(leaf, cotangent))


PREPARE = {"torch": _in_torch, "jax": _in_jax}


def _lasting(call: Callable[[], Any]) -> float:
    """Seconds of the second call."""
    call()
    return _seconds(call, 1)


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    begun = process_time()
    for _ in range(repeats):
        call()
    return (process_time() - begun) / repeats


def _ours_and_peers(row: Row) -> str:
    peers = ", ".join(f"{name} {seconds * 1e6:.4g}" for name, seconds in row.peers.items())
    return f"isoparam {row.ours * 1e6:.4g}, {peers or 'no peer'}"


def _table(rows: list[Row]) -> Table:
    table = Table(title=f"value and gradient, us per call; the bar is {BAR} times the fastest peer")
    for heading in ("spec", "on", "entries", "isoparam", "peers", "ratio"):
        table.add_column(heading, justify="left" if heading in ("spec", "on", "peers") else "right")
    for row in rows:
        peers = ", ".join(f"{name} {seconds * 1e6:.4g}" for name, seconds in row.peers.items())
        ratio = "no peer" if row.ratio is None else f"{row.ratio:.2f}{'' if row.ratio <= BAR else ' OVER'}"
        table.add_row(row.spec, row.backend, f"{row.entries:,}", f"{row.ours * 1e6:.4g}", peers, ratio)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
