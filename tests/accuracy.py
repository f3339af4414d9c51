"""`make accuracy`: how far every verb of every spec is from the truth, and how far the two backends are from each other.

    python tests/accuracy.py                    measure all and print both tables (minutes)
    python tests/accuracy.py --only 'simplex*'  only the samples whose name matches, to look at one family (seconds)
    python tests/accuracy.py --write            also keep the cells in docs/accuracy.json and print docs/accuracy.md from it
    python tests/accuracy.py --jobs 1           in this many processes at a time; by default one per core

The first table compares each backend with formulas in 50-digit arithmetic (`oracle`), float32 and float64, and for scalar
specs counts the bfloat16 numbers, of all there are, whose value is not the correctly rounded one. The second compares torch
with JAX on a dense grid (`parity.backends`), eager and compiled. `--only ... --write` puts the new cells in the place of
those of the same samples and leaves the others, and the compiled ones of scalar specs and of those of vector.py, which have
one graph together, as they were measured last. A sample that cannot be measured is named, keeps its old cells, and the exit
status is 1.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from fnmatch import fnmatch
from importlib import util
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
KEPT = PAGE.with_suffix(".json")
BEGIN, END = "<!-- printed by `make accuracy` from here -->\n", "<!-- to here -->\n"
VERBS = {
    "forward": "forward",
    "inverse": "inverse",
    "pullback": "gradient",
    "log_abs_det": "log det",
    "log_abs_det_gradient": "its gradient",
    "project": "project",
}
BACKENDS = ("torch", "jax")
DTYPES = ("float32", "float64")
KINDS = {"scalar": "Scalar specs", "vector": "Vector specs", "matrix": "Matrix specs", "structure": "Specs of other specs"}
NONE = "-"
TRUTH, BETWEEN, BETWEEN_COMPILED = "against the truth", "between eager", "between compiled"
Errors = dict[tuple[str, str], str]
"""What stands in a cell, by (verb or form, dtype)."""
Table = dict[str, Errors]
"""Rows by the name of the sample."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --write put the tables into the docs; 1 if a sample could not be measured."""
    options = _options(arguments)
    from samples import BY_INDUCTOR, MAPS, SAMPLES

    chosen = [sample.name for sample in SAMPLES if fnmatch(sample.name, options.only)]
    # A process of its own for each sample: the programs of all of them together would fill the memory.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=2) as pool:
        together = list(DTYPES) if options.only == "*" else []
        alone = [sample.name for sample in MAPS if sample.name in chosen and sample not in BY_INDUCTOR]
        compiled = [pool.submit(measured, BETWEEN_COMPILED, asked) for asked in (*together, *alone)]
        tables = {what: _all(pool, what, chosen) for what in (TRUTH, BETWEEN)}
        tables[BETWEEN_COMPILED] = _by_sample([future.result() for future in compiled])
    faults = [fault for table in tables.values() for _, fault in table.values() if fault]
    found = {what: {name: cells for name, (cells, fault) in table.items() if not fault} for what, table in tables.items()}
    if options.write:
        found = merged(kept(), found, [sample.name for sample in SAMPLES])
        KEPT.write_text(as_json(found), encoding="utf-8")
        PAGE.write_text(inserted(PAGE.read_text(encoding="utf-8"), "\n".join(lines(found))), encoding="utf-8")
    print("\n".join(lines(found)))
    for fault in faults:
        print(fault, file=sys.stderr)
    return min(len(faults), 1)


def kept() -> dict[str, Table]:
    """The cells that were measured last, from docs/accuracy.json."""
    stored = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return {
        what: {name: {_key(column): cell for column, cell in cells.items()} for name, cells in table.items()}
        for what, table in stored.items()
    }


def merged(old: dict[str, Table], new: dict[str, Table], names: list[str]) -> dict[str, Table]:
    """The new cells in the place of the old ones, in the order of the samples; those of samples that are gone are dropped."""
    tables = {what: old.get(what, {}) | new.get(what, {}) for what in (TRUTH, BETWEEN, BETWEEN_COMPILED)}
    return {what: {name: table[name] for name in names if name in table} for what, table in tables.items()}


def as_json(found: dict[str, Table]) -> str:
    """One line for each sample and table."""
    tables = []
    for what, table in found.items():
        rows = [f"  {json.dumps(name)}: {json.dumps({' '.join(c): x for c, x in row.items()})}" for name, row in table.items()]
        tables.append(f" {json.dumps(what)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(tables) + "\n}\n"


def _key(column: str) -> tuple[str, str]:
    verb, _, dtype = column.rpartition(" ")
    return verb, dtype


def _by_sample(results: list[tuple[dict[Any, str], str]]) -> dict[str, tuple[Errors, str]]:
    """The compiled cells by sample; a graph that failed is a fault without cells."""
    table: dict[str, tuple[Errors, str]] = {}
    for cells, fault in results:
        if fault:
            table[fault] = {}, fault
        for (name, verb, dtype), cell in cells.items():
            table.setdefault(name, ({}, ""))[0][f"{verb} compiled", dtype] = cell
    return table


def inserted(page: str, text: str) -> str:
    """The page with the text between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no lines {BEGIN!r} and {END!r}, between which the tables stand")
    return f"{before}{BEGIN}\n{text}\n\n{END}{after}"


def measured(what: str, name: str) -> tuple[dict[Any, str], str]:
    """One sample (or one dtype of the common graph) in a process of its own: the cells, and what went wrong."""
    task = {TRUTH: _against_truth, BETWEEN: _between_eager, BETWEEN_COMPILED: _between_compiled}[what]
    try:
        return task(name), ""
    except Exception as fault:
        return {}, f"{name}, {what}: {type(fault).__name__}: {fault}"


def lines(found: dict[str, Table]) -> Iterable[str]:
    """Both tables as Markdown, one section for each kind of spec."""
    from oracle.judge import unit_of
    from samples import SAMPLES

    truth, compiled = found[TRUTH], found[BETWEEN_COMPILED]
    between = {name: row | compiled.get(name, {}) for name, row in found[BETWEEN].items()}
    samples = [sample for sample in SAMPLES if sample.name in truth and sample.name in between]
    for title, table in (("Against 50 digits", truth), ("torch against JAX", between)):
        yield f"## {title}"
        for kind, heading in KINDS.items():
            rows = [sample for sample in samples if sample.spec.kind == kind]
            if not rows:
                continue
            columns = _columns(kind, table is truth)
            yield from ("", f"### {heading}{'' if table is truth else ', torch against JAX'}", "")
            yield "| spec | " + " | ".join(columns.values()) + " |"
            yield "|---" * (len(columns) + 1) + "|"
            for sample in rows:
                cells = [table[sample.name].get(column, NONE) for column in columns]
                yield f"| `{' '.join(str(sample.spec).split())}`{_sizes(sample)} | {' | '.join(cells)} |"
            units: dict[str, str] = {}
            for verb, shown in VERBS.items():
                units[shown] = " or ".join(sorted({_unit(sample, verb, unit_of) for sample in rows if sample.has(verb)}))
            told = [verb for verb in VERBS.values() if units[verb] and (table is truth or verb != "project")]
            yield from ("", "Units: " + "; ".join(f"{verb} {units[verb]}" for verb in told) + ".")
        yield ""
    lacking = [sample.name for sample in SAMPLES if sample not in samples]
    if lacking and len(samples) > 1:
        yield from (f"Not measured yet: the samples {', '.join(lacking)}.", "")


def _unit(sample: Any, verb: str, unit_of: Callable[..., str]) -> str:
    return unit_of(sample, verb) if verb != "project" else "ULP" if sample.is_scalar else "eps, normwise"


def _sizes(sample: Any) -> str:
    """The shapes of raw, for specs that act on more than one entry."""
    return "" if sample.is_scalar else ", raw " + ", ".join("x".join(map(str, shape)) for shape in sample.raws)


def _columns(kind: str, against_truth: bool) -> dict[tuple[str, str], str]:
    """The columns of one table and their heads."""
    short = {"float32": "f32", "float64": "f64"}
    if against_truth:
        columns = {(verb, dtype): f"{shown} {short[dtype]}" for verb, shown in VERBS.items() for dtype in DTYPES}
        return columns | ({("forward", "bfloat16"): "bf16 misrounded"} if kind == "scalar" else {})
    eager = {(verb, dtype): f"{shown} {short[dtype]}" for verb, shown in VERBS.items() for dtype in DTYPES if verb != "project"}
    return eager | {
        (f"{verb} compiled", dtype): f"{VERBS[verb]} compiled {short[dtype]}"
        for verb in ("forward", "pullback")
        for dtype in DTYPES
    }


def _all(pool: Executor, what: str, names: list[str]) -> dict[str, tuple[Errors, str]]:
    """The cells of all samples, in their order, and the faults."""
    futures = {name: pool.submit(measured, what, name) for name in names}
    found = {}
    for count, (name, future) in enumerate(futures.items(), start=1):
        found[name] = future.result()
        print(f"{what}: {count} of {len(names)}, {name}", file=sys.stderr)
    return found


def _against_truth(name: str) -> Errors:
    """torch (eager) / JAX (jitted) against the oracle."""
    from oracle.judge import error
    from oracle.nearest import has_nearest, projection_error

    sample, calls = _sample(name), {backend: _calls(backend) for backend in BACKENDS}
    cells: Errors = {}
    for dtype in DTYPES:
        for verb in VERBS:
            if verb == "project":
                asked = has_nearest(sample)
                worst = [projection_error(sample, dtype, calls[backend]) for backend in BACKENDS] if asked else []
            else:
                worst = [error(sample, verb, dtype, calls[backend])[0] for backend in BACKENDS] if sample.has(verb) else []
            if worst:
                cells[verb, dtype] = " / ".join(f"{number:.1f}" for number in worst)
    if sample.is_scalar:
        cells["forward", "bfloat16"] = " / ".join(str(misrounded(sample)) for misrounded in (_by_torch, _by_jax))
    return cells


def _between_eager(name: str) -> Errors:
    from parity.backends import measured as distance

    sample = _sample(name)
    asked = [(verb, dtype) for verb in VERBS for dtype in DTYPES if verb != "project" and sample.has(verb)]
    return {(verb, dtype): f"{distance(sample, verb, dtype, 'eager'):.1f}" for verb, dtype in asked}


def _between_compiled(asked: str) -> dict[Any, str]:
    """The common graph in a dtype, or one map by its name in both, for torch.compile; jax.jit on the other side."""
    from parity.backends import measured as distance
    from samples import BY_INDUCTOR

    dtypes, samples = ((asked,), BY_INDUCTOR) if asked in DTYPES else (DTYPES, (_sample(asked),))
    rows = [(sample, verb, dtype) for sample in samples for verb in ("forward", "pullback") for dtype in dtypes]
    return {(sample.name, verb, dtype): f"{distance(sample, verb, dtype, 'compiled'):.1f}" for sample, verb, dtype in rows}


def _by_torch(sample: Any) -> int:
    """How many of all finite bfloat16 inputs have a normal value that is not the rounded float64 one."""
    import torch

    from isoparam.torch import forward

    raw = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    raw = raw[torch.isfinite(raw)]
    raw = raw if sample.core == () else raw[:, None].expand(-1, *sample.core)
    right = forward(sample.spec, raw.double()).to(torch.bfloat16)
    return int(((forward(sample.spec, raw) != right) & (right.abs() >= torch.finfo(torch.bfloat16).tiny)).sum())


def _by_jax(sample: Any) -> int:
    """The same in JAX, with torch's float64 value, which is within 2 ULP, as the right one."""
    import jax
    import jax.numpy as jnp
    import torch

    from isoparam import jax as jax_side
    from isoparam import torch as torch_side

    raw = jax.lax.bitcast_convert_type(jnp.arange(65536, dtype=jnp.uint16), jnp.bfloat16)
    raw = raw[jnp.isfinite(raw)]
    raw = raw if sample.core == () else jnp.broadcast_to(raw[:, None], (raw.size, *sample.core))
    wide = torch.tensor([*map(float, raw.astype(jnp.float32).ravel())], dtype=torch.float64).reshape(raw.shape)
    right = torch_side.forward(sample.spec, wide).to(torch.bfloat16).float()
    got = torch.tensor(jax.jit(lambda raw: jax_side.forward(sample.spec, raw))(raw).astype(jnp.float32).tolist())
    return int(((got != right) & (right.abs() >= torch.finfo(torch.bfloat16).tiny)).sum())


def _sample(name: str) -> Any:
    from samples import SAMPLES

    return next(sample for sample in SAMPLES if sample.name == name)


def _calls(backend: str) -> dict[str, Callable[..., Any]]:
    found = util.spec_from_file_location(f"{backend}_calls", Path(__file__).parent / f"{backend}_only" / "calls.py")
    assert found is not None
    assert found.loader is not None
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.CALLS


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Errors of every map, as the tables of docs/accuracy.md.")
    parser.add_argument("--only", default="*", metavar="GLOB", help="names of samples, such as 'simplex*'")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/accuracy.md")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
