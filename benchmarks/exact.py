"""`python -m benchmarks.exact`: how many bits numerics="exact" leaves apart, problem by problem and optimizer by optimizer.

    python -m benchmarks.exact --write                put the table into docs/exact.md as well (about ten minutes)
    python -m benchmarks.exact --problems 'nist-*'    some problems only
    python -m benchmarks.exact --optimizers Adam,SGD  some optimizers only

Each cell trains a built-in problem in both backends in float32 and counts the numbers whose bits differ: parameters, their
values, the state of the optimizer, and the losses of all steps. It starts itself anew with the variables that are needed.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import isoparam as iso
from isoparam.errors import NonFiniteError
from isoparam.exact import restart
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
    """What two runs differ in.

    Attributes:
        numbers: how many were compared.
        parameters: raw parameters and values whose bits differ at the end.
        state: entries of the optimizer's state.
        losses: losses of all steps.
        steps: updates that both did.
    """

    numbers: int
    parameters: int
    state: int
    losses: int
    steps: int

    @property
    def total(self) -> int:
        """Numbers whose bits differ."""
        return self.parameters + self.state + self.losses


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if any bit differs."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _options(given)
    restart(["-m", "benchmarks.exact", *given])
    problems = [name for name in iso.problems.names() if fnmatch(name, options.problems)]
    names = [name for name in OPTIMIZERS if options.optimizers is None or name in options.optimizers.split(",")]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=4) as pool:
        futures = {name: pool.submit(row, name, names, options.steps) for name in problems}
        rows = {}
        for name, future in futures.items():
            rows[name] = future.result()
            print(name, [apart.total for apart in rows[name]], file=sys.stderr)
    lines = [f"| problem | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(str(apart.total) for apart in cells)} |" for name, cells in rows.items()]
    every = [apart for cells in rows.values() for apart in cells]
    compared, differing = sum(apart.numbers for apart in every), sum(apart.total for apart in every)
    lines += [
        "",
        f"{len(every)} runs in each backend, up to {options.steps} steps: {differing} of {compared:,} numbers differ.",
    ]
    print("\n".join(lines))
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1], encoding="utf-8")
    return min(differing, 1)


def row(problem: str, names: list[str], steps: int) -> list[Apart]:
    """One problem with these optimizers."""
    return [apart(problem, name, steps) for name in names]


def apart(problem: str, name: str, steps: int) -> Apart:
    """One problem with one optimizer, in both backends."""
    ours, theirs = (trained(problem, backend, name, steps) for backend in ("torch", "jax"))
    pairs = {
        "parameters": [(tree[key], other[key]) for tree, other in _trees(ours, theirs) for key in tree],
        "state": [(ours.checkpoint.state[key], theirs.checkpoint.state[key]) for key in _slots(ours)],
        "losses": [(ours.history["loss"], theirs.history["loss"])],
    }
    numbers = sum(one.size for both in pairs.values() for one, _ in both)
    bits = {what: sum(_differing(one, other) for one, other in both) for what, both in pairs.items()}
    if ours.steps != theirs.steps or _slots(ours) != _slots(theirs):
        raise RuntimeError(f"{problem}, {name}: torch ended after {ours.steps} steps, JAX after {theirs.steps}")
    return Apart(numbers, **bits, steps=ours.steps)


def trained(problem: str, backend: str, name: str, steps: int) -> Run:
    """A run; one that diverges is taken as far as it came."""
    try:
        return iso.train(
            iso.problems.get(problem), backend, optimizer=OPTIMIZERS[name], steps=steps, numerics="exact", record=()
        )
    except NonFiniteError as error:
        return error.run


def _trees(ours: Run, theirs: Run) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(dict(ours.raw), dict(theirs.raw)), (dict(ours.values), dict(theirs.values))]


def _slots(run: Run) -> list[str]:
    return [key for key in run.checkpoint.state if key.startswith("optimizer/")]


def _differing(one: Any, other: Any) -> int:
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype != other.dtype or one.shape != other.shape:
        raise RuntimeError(f"{one.dtype} of shape {one.shape} against {other.dtype} of shape {other.shape}")
    # Bytes: also -0 against 0 is a difference.
    return int((np.frombuffer(one.tobytes(), f"u{one.itemsize}") != np.frombuffer(other.tobytes(), f"u{other.itemsize}")).sum())


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
