"""What the command line shows: tables that fit 80 columns, with or without a terminal."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from math import inf, isinf, log10
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from isoparam.errors import SpecError
from isoparam.parity import max_relative, max_ulp
from isoparam.parity.text import count, small
from isoparam.problem import Problem
from isoparam.progress import short
from isoparam.run import Run
from isoparam.specs import Spec, catalogue
from isoparam.specs.calls import written

SHOWN = 8  # entries up to which an array gets a row per entry


def screen() -> Console:
    """The standard output: colours on a terminal only, 80 columns without one."""
    return Console(highlight=False, markup=False)  # markup would eat a value such as [inf, nan]


def show_runs(console: Console, problem: Problem, runs: Sequence[Run]) -> None:
    """The results of one backend, or of both beside each other, and how far they are from the published values."""
    first = runs[0]
    console.print(f"{problem.name}: {first.dtype}, seed {first.seed}, {type(first.optimizer).__name__}", style="bold")
    for run in runs:
        console.print(
            f"  {run.backend} {run.versions[run.backend]}: {run.steps} steps in {run.seconds:.2f} s "
            f"({run.compile_seconds:.2f} s compiling), stopped by {run.stopped}"
        )
    console.print(_values(runs))
    if problem.published:
        console.print(_published(problem, runs))
    if len(runs) == 2:
        ulp, relative = agreement(runs)
        console.print(f"torch and jax agree to {count(ulp)} ULP, {small(relative)} relative")


def runs_as_data(problem: Problem, runs: Sequence[Run]) -> dict[str, Any]:
    """The same as plain data, for JSON."""
    content: dict[str, Any] = {
        "problem": problem.name,
        "optimizer": {"name": type(runs[0].optimizer).__name__} | asdict(runs[0].optimizer),
        "method": runs[0].method,
        "seed": runs[0].seed,
        "dtype": runs[0].dtype,
        "published": {name: np.asarray(value).tolist() for name, value in problem.published.items()},
        "runs": {run.backend: _run_as_data(problem, run) for run in runs},
    }
    if len(runs) == 2:
        content["agreement"] = {name: {"ulp": _ulp(runs, name), "relative": _relative(runs, name)} for name in runs[0].values}
    return content


def show_catalogue(console: Console) -> None:
    """Every spec, a table for each kind."""
    for kind in dict.fromkeys(spec.kind for spec in catalogue()):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title, width in ((f"{kind} specs", 20), ("domain", 17), ("raw size", 12), ("value from raw", None)):
            table.add_column(title, width=width, overflow="fold")
        for spec in catalogue():
            if spec.kind == kind:
                table.add_row(spec.__name__, spec.facts.domain, spec.facts.raw_size, spec.facts.formula)
        console.print(table)
    console.print("One in full: isoparam catalogue Interval; with its picture: --backend torch", style="dim")


def spec_named(name: str) -> type[Spec]:
    """The spec of the catalogue with this name, in any case.

    Raises:
        SpecError: for an unknown name.
    """
    known = {spec.__name__.lower(): spec for spec in catalogue()}
    if name.lower() not in known:
        close = get_close_matches(name.lower(), known, n=1)
        names = ", ".join(spec.__name__ for spec in catalogue())
        hint = f"did you mean {known[close[0]].__name__}?" if close else f"there are: {names}"
        raise SpecError(f"unknown spec {name!r}; {hint}")
    return known[name.lower()]


def show_spec(console: Console, spec: type[Spec]) -> None:
    """One spec in full."""
    console.print(written(spec), style="bold", markup=False)
    console.print(f"{(spec.__doc__ or '').splitlines()[0]}\n", markup=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for entry in fields(spec.facts):
        table.add_row(entry.name.replace("_", " "), getattr(spec.facts, entry.name))
    console.print(table)


def agreement(runs: Sequence[Run]) -> tuple[float, float]:
    """How far two runs are apart at their worst entry: in ULP, and relative to the largest entry of its parameter."""
    return max(_ulp(runs, name) for name in runs[0].values), max(_relative(runs, name) for name in runs[0].values)


def digits(value: Any, published: Any) -> float:
    """Decimal digits in which a value and a published one agree, at the worst entry; inf where they are equal."""
    published = np.asarray(published, dtype=np.float64)
    relative = max_relative(value, published, np.max(np.abs(published), initial=0.0)).distance
    return -log10(relative) if relative > 0 else inf


def _values(runs: Sequence[Run]) -> Table:
    """A row per entry; one row for an array of more than SHOWN entries."""
    table = _table("parameter", *(run.backend for run in runs), *(("ULP", "relative") if len(runs) == 2 else ()))
    for name, value in runs[0].values.items():
        apart = [count(_ulp(runs, name)), small(_relative(runs, name))] if len(runs) == 2 else []
        if value.size > SHOWN:
            table.add_row(f"{name} {value.shape}", *(short(run.values[name]) for run in runs), *apart)
            continue
        for index in np.ndindex(value.shape):
            entry = f"{name}[{', '.join(map(str, index))}]" if index else name
            table.add_row(entry, *(str(run.values[name][index]) for run in runs), *apart)
            apart = [""] * len(apart)  # once per parameter
    table.add_row("loss", *(str(run.history["loss"][-1]) for run in runs), style="dim")
    return table


def _published(problem: Problem, runs: Sequence[Run]) -> Table:
    table = _table("parameter", "published", *(f"digits in {run.backend}" for run in runs))
    for name, value in problem.published.items():
        array = np.asarray(value, dtype=np.float64)
        reached = (digits(run.values[name], array) for run in runs)
        shown = str(array) if array.ndim == 0 else short(array)
        table.add_row(name, shown, *("all" if isinf(number) else f"{number:.1f}" for number in reached))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(titles[0], overflow="fold")
    for title in titles[1:]:
        table.add_column(title, justify="right")
    return table


def _run_as_data(problem: Problem, run: Run) -> dict[str, Any]:
    reached = {name: digits(run.values[name], value) for name, value in problem.published.items()}
    return {
        "values": {name: value.tolist() for name, value in run.values.items()},
        "raw": {name: value.tolist() for name, value in run.raw.items()},
        "loss": float(run.history["loss"][-1]),
        "digits": {name: None if isinf(number) else number for name, number in reached.items()},
        "steps": run.steps,
        "stopped": run.stopped,
        "seconds": run.seconds,
        "compile_seconds": run.compile_seconds,
        "versions": run.versions,
    }


def _ulp(runs: Sequence[Run], name: str) -> float:
    return max_ulp(runs[0].values[name], runs[1].values[name], dtype=runs[0].dtype).distance


def _relative(runs: Sequence[Run], name: str) -> float:
    torch, jax = (run.values[name] for run in runs)
    return max_relative(torch, jax, np.max(np.abs(torch), initial=0.0)).distance
