"""`python -m benchmarks.exact`: how many bits numerics="exact" leaves apart, problem by problem and optimizer by optimizer.

    python -m benchmarks.exact --write                put the table into docs/exact.md as well (about half an hour)
    python -m benchmarks.exact --problems 'nist-*'    some problems only
    python -m benchmarks.exact --optimizers Adam,SGD  some optimizers only

Each cell trains a built-in problem in both backends in float32 and counts the numbers whose bits differ: parameters, their
values, the state of the optimizer, and the losses of all steps. Where a run diverges, what it did up to there is counted, and
it is run again with a hundredth of the step size, until it comes to the end. Rows are printed as they are done; lines below
the table name what is apart. It starts itself anew with the variables that are needed.
"""

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import isoparam as iso
from isoparam.errors import NonFiniteError
from isoparam.exact import restart
from isoparam.optimizers import Optimizer
from isoparam.run import Run

PAGE = Path(__file__).parent.parent / "docs" / "exact.md"
BEGIN, END = "<!-- printed by `python -m benchmarks.exact` from here -->\n", "<!-- to here -->\n"
OPTIMIZERS = {
    "SGD": iso.SGD(lr=1e-4, momentum=0.9),
    "Adam": iso.Adam(lr=1e-2),
    "AMSGrad": iso.Adam(lr=1e-2, amsgrad=True),
    "AdamW": iso.AdamW(lr=1e-2),
    "NAdam": iso.NAdam(lr=1e-2),
    "RAdam": iso.RAdam(lr=1e-2),
    "Adamax": iso.Adamax(lr=1e-2),
    "Adagrad": iso.Adagrad(lr=1e-2),
    "Adadelta": iso.Adadelta(),
    "RMSprop": iso.RMSprop(lr=1e-3),
    "Rprop": iso.Rprop(lr=1e-3),
    "ASGD": iso.ASGD(lr=1e-4),
    "SparseAdam": iso.SparseAdam(lr=1e-2),
}


class Apart(NamedTuple):
    """What the runs of a cell differ in.

    Attributes:
        numbers: how many were compared.
        parameters: raw parameters and values whose bits differ at the end.
        state: entries of the optimizer's state.
        losses: losses of all steps.
        diverged: runs that ended early, in both backends at the same step.
        lr: step size of the run that came to the end.
    """

    numbers: int
    parameters: int
    state: int
    losses: int
    diverged: int
    lr: float

    @property
    def total(self) -> int:
        """Numbers whose bits differ."""
        return self.parameters + self.state + self.losses

    @property
    def text(self) -> str:
        """The cell of the table."""
        return f"{self.total} ({self.lr:.0e})" if self.diverged else f"{self.total}"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if any bit differs."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _options(given)
    restart(["-m", "benchmarks.exact", *given])
    problems = [name for name in iso.problems.names() if fnmatch(name, options.problems)]
    names = [name for name in OPTIMIZERS if options.optimizers is None or name in options.optimizers.split(",")]
    lines = [f"| problem | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    print("\n".join(lines), flush=True)
    cells = {}
    with get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        for name, row in zip(problems, pool.imap(partial(row_of, names, options.steps), problems), strict=True):
            lines.append(f"| {name} | {' | '.join(apart.text for apart in row)} |")
            print(lines[-1], flush=True)
            cells |= {(name, key): apart for key, apart in zip(names, row, strict=True)}
    below = list(_summary(cells, options.steps))
    lines += below
    print("\n".join(below))
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1], encoding="utf-8")
    return int(any(apart.total for apart in cells.values()))


def row_of(names: list[str], steps: int, problem: str) -> list[Apart]:
    """One problem with these optimizers."""
    warnings.simplefilter("ignore", UserWarning)  # of saturation, in runs that are to diverge
    return [cell(problem, OPTIMIZERS[name], steps) for name in names]


def cell(problem: str, optimizer: Any, steps: int) -> Apart:
    """One problem with one optimizer, in both backends; with shorter and shorter steps until it comes to the end."""
    numbers = parameters = state = losses = diverged = 0
    while True:
        ours, theirs = (trained(problem, backend, optimizer, steps) for backend in ("torch", "jax"))
        if ours.steps != theirs.steps or _slots(ours) != _slots(theirs):
            raise RuntimeError(f"{problem}, {optimizer}: torch ended after {ours.steps} steps, JAX after {theirs.steps}")
        trees = _pairs(dict(ours.raw), dict(theirs.raw)) + _pairs(dict(ours.values), dict(theirs.values))
        slots = [(ours.checkpoint.state[key], theirs.checkpoint.state[key]) for key in _slots(ours)]
        history = [(ours.history["loss"], theirs.history["loss"])]
        numbers += sum(one.size for one, _ in trees + slots + history)
        parameters, state, losses = parameters + _differing(trees), state + _differing(slots), losses + _differing(history)
        if ours.steps == steps:
            return Apart(numbers, parameters, state, losses, diverged, optimizer.lr)
        diverged, optimizer = diverged + 1, replace(optimizer, lr=optimizer.lr / 100)


def trained(problem: str, backend: str, optimizer: Optimizer, steps: int) -> Run:
    """A run; one that diverges is taken as far as it came."""
    try:
        return iso.train(iso.problems.get(problem), backend, optimizer=optimizer, steps=steps, numerics="exact", record=())
    except NonFiniteError as error:
        return error.run


def _summary(cells: dict[tuple[str, str], Apart], steps: int) -> Iterator[str]:
    """What stands below the table."""
    compared, differing = (sum(numbers) for numbers in zip(*((a.numbers, a.total) for a in cells.values()), strict=True))
    early = sum(apart.diverged for apart in cells.values())
    yield ""
    yield f"{len(cells)} runs of {steps} steps in each backend, and {early} that diverged at the same step in both:"
    yield f"{differing} of {compared:,} numbers differ."
    for (problem, name), apart in cells.items():
        if apart.total:
            yield f"{problem}, {name}: {apart.parameters} of parameters, {apart.state} of state, {apart.losses} of losses."


def _pairs(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(ours[key]), np.asarray(theirs[key])) for key in ours]


def _slots(run: Run) -> list[str]:
    return [key for key in run.checkpoint.state if key.startswith("optimizer/")]


def _differing(pairs: list[tuple[np.ndarray, np.ndarray]]) -> int:
    """How many numbers have other bits; -0 against 0 is a difference, too."""
    total = 0
    for one, other in pairs:
        if one.dtype != other.dtype or one.shape != other.shape:
            raise RuntimeError(f"{one.dtype} of shape {one.shape} against {other.dtype} of shape {other.shape}")
        kind = f"u{one.itemsize}"
        total += int((np.frombuffer(one.tobytes(), kind) != np.frombuffer(other.tobytes(), kind)).sum())
    return total


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Bits apart under numerics='exact', as the table of docs/exact.md.")
    parser.add_argument("--write", action="store_true", help="put the table into docs/exact.md")
    parser.add_argument("--problems", default="*", help="a glob of names (default: all)")
    parser.add_argument("--optimizers", help="names, with commas between them (default: all)")
    parser.add_argument("--steps", type=int, default=1000, help="steps of each run (default: 1000)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
