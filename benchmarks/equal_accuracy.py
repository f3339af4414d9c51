"""`python -m benchmarks.equal_accuracy [--rounds N] [--only REGEX] [--on BACKEND] [--json FILE]`: races among the accurate.

The maps are held to bars of accuracy that most peers do not have. Here a peer takes part in a race only if it holds them too:
as it is, in float32, or computed in float64 and rounded once, whichever is faster and holds.

The error is the worst one over raws of the sizes of `SCALES`, for a random cotangent: of the value in units in the last place
of its entry (scalar maps with an added bound: of the larger bound; vectors that may be negative: of the largest entry;
matrices: in eps of the largest entry), and of the gradient in eps of its largest entry along the vector (scalar maps: of the
entry itself). What is right is the same map in float64; of scalar maps, ours in float64, which tests hold to 50 digits. A
gradient of a scalar map that is 0 where the right one is a normal number, or one that is not finite, is an error of inf.
"""

from benchmarks import settings  # isort: skip  # noqa: F401  before either framework is imported

import argparse
import json
import platform
import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import isoparam as iso
from benchmarks.peers import RACES, Map, Parametrized, Race
from benchmarks.transforms import BAR, PREPARE, SIZES, raw_for, timed
from isoparam import jax as on_jax
from isoparam import torch as on_torch
from isoparam.specs.base import ScalarSpec, VectorSpec

ENTRIES = 10_000  # of the raws whose errors are taken
SCALES = (0.1, 1.0, 10.0, 30.0)
WIDE = " in float64"
EPS = float(np.finfo(np.float32).eps)
TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
# In units as above: the value, the gradient; where ours is further off, being ill-conditioned there, so may a peer be.
BARS = {"scalar": (2.0, 3.0), "vector": (100.0, 25.0), "matrix": (50.0, 25.0)}
POSITIVE = (iso.Simplex, iso.StickBreakingSimplex, iso.SoftmaxSimplex, iso.PositiveOrdered)

Both = tuple[np.ndarray, np.ndarray]
Maker = Callable[[], Map]


class Row(NamedTuple):
    """One race at one size in one framework: seconds of one call of those that hold the bars, errors of all."""

    spec: str
    backend: str
    entries: int
    ours: float
    peers: dict[str, float]
    errors: dict[str, tuple[float, float]]

    @property
    def ratio(self) -> float | None:
        """Our time over that of the fastest peer that holds the bars; None where none does."""
        return self.ours / min(self.peers.values()) if self.peers else None


def main() -> int:
    """Measure the errors, race those that hold, print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds; the fastest of each contestant counts")
    parser.add_argument("--only", default="", help="only specs whose text matches this regular expression")
    parser.add_argument("--on", choices=("torch", "jax"), nargs="+", default=("torch", "jax"), help="only these backends")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="entries of raw")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=150)
    rows = []
    for race in (race for race in RACES if re.search(arguments.only, str(race.spec))):
        for backend in arguments.on:
            contestants = _contestants(race, backend)
            if len(contestants) == 1:
                continue
            for entries in arguments.sizes:
                rows.append(_row(race, backend, contestants, entries, arguments.rounds))
                console.print("; ".join(_cells(rows[-1])), style="dim")
    console.print(_table(rows))
    packages = {name: version(name) for name in ("torch", "jax", "numpyro", "tfp-nightly", "geotorch")}
    console.print(f"{platform.machine()}, {packages}, one thread, fastest of {arguments.rounds} interleaved rounds")
    if arguments.json:
        figures = {"packages": packages, "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0 if all(row.ratio is None or row.ratio <= BAR for row in rows) else 1


def _contestants(race: Race, backend: str) -> dict[str, Maker]:
    """What makes our map, each peer's, and each peer's in float64: a made one may keep the raw that it first saw."""
    ours = {"torch": on_torch.forward, "jax": on_jax.forward}[backend]
    peers = race.torch if backend == "torch" else race.jax
    wide = {f"{name}{WIDE}": partial(_widened, make, backend) for name, make in peers.items()}
    return {"ours": lambda: lambda raw: ours(race.spec, raw), **peers, **wide}


def _widened(make: Maker, backend: str) -> Map:
    """The peer in float64, its value rounded to float32."""
    peer = make()
    if isinstance(peer, Parametrized):
        return peer.in_float64()
    if backend == "torch":
        return lambda raw: peer(raw.double()).float()
    return lambda raw: peer(raw.astype(np.float64)).astype(np.float32)


def _in_x64(call: Callable[[], object]) -> Callable[[], object]:
    """The call where float64 is allowed, which takes about a microsecond of its own."""

    def inside() -> object:
        with jax.enable_x64(True):
            return call()

    return inside


def _row(race: Race, backend: str, contestants: dict[str, Maker], entries: int, rounds: int) -> Row:
    errors = {name: _error(race, backend, name, contestants) for name in contestants}
    bars = [max(pair) for pair in zip(BARS[_family(race)], errors["ours"], strict=True)]
    holding = {name for name, error in errors.items() if error[0] <= bars[0] and error[1] <= bars[1]}
    raw = np.random.Generator(np.random.Philox(1)).normal(0, 1, race.raw_shape(entries)).astype(np.float32)
    ready = {}
    for name in ("ours", *sorted(holding - {"ours"})):
        wide = name.endswith(WIDE)
        with jax.enable_x64(wide):
            call = PREPARE[backend](contestants[name](), raw_for(race, name.removesuffix(WIDE), raw))
        ready[name] = _in_x64(call) if wide and backend == "jax" else call
    best = timed(ready, rounds)
    return Row(str(race.spec), backend, entries, best.pop("ours"), best, errors)


def _family(race: Race) -> str:
    spec = race.spec
    return "scalar" if isinstance(spec, ScalarSpec) else "vector" if isinstance(spec, VectorSpec) else "matrix"


def _error(race: Race, backend: str, name: str, contestants: dict[str, Maker]) -> tuple[float, float]:
    """The worst error of value and gradient over the scales."""
    peer = name.removesuffix(WIDE)
    right = contestants["ours"] if _family(race) == "scalar" else contestants[peer]
    shape = race.raw_shape(ENTRIES) if race.whole is None else race.whole[min(race.whole)]
    worst = [0.0, 0.0]
    for seed, scale in enumerate(SCALES):
        rng = np.random.Generator(np.random.Philox(seed))
        raw = raw_for(race, peer, (scale * rng.normal(0, 1, shape)).astype(np.float32))
        cotangent = rng.normal(0, 1, 1 << 16).astype(np.float32)
        exact = _BOTH[backend](right(), raw.astype(np.float64), cotangent)
        with jax.enable_x64(name.endswith(WIDE)):
            got = _BOTH[backend](contestants[name](), raw, cotangent)
        found = _distances(race, got, exact)
        worst = [max(pair) for pair in zip(worst, found, strict=True)]
    return worst[0], worst[1]


def _distances(race: Race, got: Both, exact: Both) -> tuple[float, float]:
    """The errors of value and gradient in the units of the bars."""
    family = _family(race)
    value, gradient = np.abs(exact[0]), np.abs(exact[1])
    if family == "scalar":
        added = isinstance(race.spec, iso.Interval)
        bounds = max(abs(race.spec.low), abs(race.spec.high)) if added else 0.0
        sizes = _ulp(np.maximum(value, bounds)), _ulp(gradient)
    elif family == "vector":
        of_entries = isinstance(race.spec, POSITIVE)
        sizes = _ulp(value if of_entries else value.max(axis=-1, keepdims=True)), EPS * gradient.max(axis=-1, keepdims=True)
    else:
        along = -1 if gradient.ndim == 1 or race.event else (-2, -1)
        sizes = EPS * value.max(axis=(-2, -1), keepdims=True), EPS * gradient.max(axis=along, keepdims=True)
    # A gradient along a vector is judged where an eps of it is a normal number: XLA takes smaller parts of it for 0.
    least = TINY * EPS if family == "scalar" else TINY
    return (
        _worst(got[0], exact[0], sizes[0], TINY * EPS),
        _worst(got[1], exact[1], sizes[1], least, nonzero=family == "scalar"),
    )


def _ulp(size: np.ndarray) -> np.ndarray:
    """Units in the last place in float32; 0 for what is no normal number there."""
    return np.where((size >= TINY) & (size <= HUGE), np.spacing(np.clip(size, TINY, HUGE / 2).astype(np.float32)), 0.0)


def _worst(got: np.ndarray, exact: np.ndarray, size: np.ndarray, least: float, *, nonzero: bool = False) -> float:
    """The largest error in these units, where they are between `least` and those of the largest number."""
    size = np.broadcast_to(size, exact.shape)
    judged = (size >= least) & (size <= HUGE * EPS)
    whole = np.isfinite(got) & ((got != 0) | (np.abs(exact) < TINY) if nonzero else True)
    with np.errstate(all="ignore"):
        error = np.where(whole, np.abs(got.astype(np.float64) - exact) / size, np.inf)
    return float(np.max(error, initial=0.0, where=judged))


def _both_in_torch(function: Map, raw: np.ndarray, cotangent: np.ndarray) -> Both:
    leaf = torch.nn.Parameter(torch.tensor(raw))
    value = function(leaf)
    cotangent = torch.tensor(np.resize(cotangent, value.shape), dtype=value.dtype)
    return value.detach().numpy(), torch.autograd.grad(value, leaf, cotangent)[0].numpy()


def _both_in_jax(function: Map, raw: np.ndarray, cotangent: np.ndarray) -> Both:
    with jax.enable_x64(raw.dtype == np.float64 or jax.config.jax_enable_x64):
        leaf = jax.numpy.asarray(raw)
        value, pull = jax.vjp(jax.jit(lambda raw: function(raw)), leaf)
        return np.asarray(value), np.asarray(pull(jax.numpy.asarray(np.resize(cotangent, value.shape), value.dtype))[0])


_BOTH: dict[str, Callable[[Map, np.ndarray, np.ndarray], Both]] = {"torch": _both_in_torch, "jax": _both_in_jax}


def _cells(row: Row) -> list[str]:
    errors = "\n".join(f"{name}: {value:.3g}, {gradient:.3g}" for name, (value, gradient) in row.errors.items())
    peers = "\n".join(f"{name} {1e6 * seconds:.4g}" for name, seconds in row.peers.items()) or "none holds"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}{'' if row.ratio <= BAR else ' OVER'}"
    return [row.spec, row.backend, f"{row.entries:,}", errors, f"{1e6 * row.ours:.4g}", peers, ratio]


def _table(rows: list[Row]) -> Table:
    table = Table(title=f"errors of value and gradient; us per call of those that hold; the bar is {BAR}", show_lines=True)
    for heading in ("spec", "on", "entries", "errors", "isoparam", "peers that hold", "ratio"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*_cells(row))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
