"""`python -m benchmarks [--rounds N] [--json FILE]`: time training loops in interleaved rounds, one thread each."""

from benchmarks import settings  # isort: skip  # noqa: F401  before either framework is imported

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bars import BARS, Verdict, judge
from benchmarks.contestants import CONTESTANTS, Timing


def main() -> int:
    """Run every contestant in every round, print the tables, and tell whether the bars hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the fastest of each contestant counts")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    arguments = parser.parse_args()

    rounds: dict[str, list[Timing]] = {contestant.name: [] for contestant in CONTESTANTS}
    runners = {contestant.name: contestant.build() for contestant in CONTESTANTS}
    for _ in range(arguments.rounds):
        for contestant in CONTESTANTS:
            rounds[contestant.name].append(runners[contestant.name](contestant.steps))
    best = {name: min(timings, key=lambda timing: timing.seconds) for name, timings in rounds.items()}
    per_step = {c.name: best[c.name].seconds / c.steps for c in CONTESTANTS}
    verdicts = [judge(bar, per_step) for bar in BARS]

    console = Console(width=110)
    console.print(_steps(per_step, rounds))
    console.print(_ratios(verdicts))
    packages = {name: version(name) for name in ("torch", "jax", "optax", "numpy")}
    console.print(f"{platform.machine()}, {packages}, one thread, fastest of {arguments.rounds} interleaved rounds")
    if arguments.json:
        figures = {
            "packages": packages,
            "rounds": arguments.rounds,
            "seconds_per_step": per_step,
            "first_call_seconds": {name: timings[0].compiling for name, timings in rounds.items()},
            "ratios": [verdict._asdict() for verdict in verdicts],
        }
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _steps(per_step: dict[str, float], rounds: dict[str, list[Timing]]) -> Table:
    table = Table(title="the problem `scalar`, Adam, float64, after compilation")
    for heading in ("loop", "steps", "us per step", "first call, s"):
        table.add_column(heading, justify="left" if heading == "loop" else "right")
    for contestant in CONTESTANTS:
        name = contestant.name
        table.add_row(name, f"{contestant.steps:,}", f"{per_step[name] * 1e6:.3f}", f"{rounds[name][0].compiling:.2f}")
    return table


def _ratios(verdicts: list[Verdict]) -> Table:
    table = Table(title="ratios and the bars they are held to")
    for heading in ("what", "ratio", "bar", ""):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for verdict in verdicts:
        table.add_row(verdict.what, f"{verdict.ratio:.3g}", verdict.bar, "holds" if verdict.holds else "BROKEN")
    return table


if __name__ == "__main__":
    raise SystemExit(main())
