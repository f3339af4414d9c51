"""`python -m benchmarks.doctor_score FOLDER [--json FILE]`: what the doctor finds in a folder of cases, and what it should not.

A case is a Python file whose first lines are comments: `# verdict: true-positive` or `clean`, `# kind: ...`,
`# detectable: static=... runtime=...` (both `no` or `hint`: undecidable, and left out of the score). In PyTorch `make()` gives
(model, optimizers...) and `step(...)` takes them for one step; in JAX, and where there is no `make`, `check()` runs the
program. Each case is read by the lint, and run under the watch of its framework.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

STEPS = 6
_HEAD = re.compile(r"^# (verdict|kind|detectable): *(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        path: of the file.
        backend: "torch" or "jax", by what it imports.
        bad: whether something is to be found.
        kind: what.
        decidable: whether anything could find it.
    """

    path: Path
    backend: str
    bad: bool
    kind: str
    decidable: bool


@dataclass(frozen=True)
class Score:
    """What was found in one case.

    Attributes:
        name: of the file.
        bad: whether something is to be found.
        kind: what.
        decidable: whether anything could find it.
        lint: kinds that the lint found.
        run: kinds that were found while it ran.
        notes: what went wrong while it ran.
    """

    name: str
    bad: bool
    kind: str
    decidable: bool
    lint: tuple[str, ...]
    run: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def found(self) -> bool:
        """By either."""
        return bool(self.lint or self.run)

    @property
    def right(self) -> bool:
        """Found if it is bad, silent if not."""
        return self.found == self.bad or not self.decidable


def cases(folder: Path) -> list[Case]:
    """The cases of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        head = dict(_HEAD.findall(text))
        if "verdict" in head:
            backend = "torch" if re.search(r"^\s*(import|from) torch\b", text, re.MULTILINE) else "jax"
            seen = re.findall(r"=(\S+)", head.get("detectable", "=yes"))
            decidable = not set(seen) <= {"no", "hint"}
            found.append(Case(path, backend, head["verdict"] != "clean", head.get("kind", "-"), decidable))
    return found


def score(case: Case) -> Score:
    """Read and run one case."""
    from isoparam.lint import check

    lint = tuple(sorted({finding.kind for finding in check([case.path])}))
    found, notes = run_torch(case.path) if case.backend == "torch" else run_jax(case.path)
    return Score(case.path.stem, case.bad, case.kind, case.decidable, lint, tuple(sorted(found)), tuple(notes))


def run_torch(path: Path) -> tuple[set[str], list[str]]:
    """`scan` before and `watch` around some steps; a step may raise."""
    from isoparam.torch import doctor

    kinds: set[str] = set()
    notes: list[str] = []
    with quiet():
        module = imported(path)
        try:
            made = module.make() if {"make", "step"} <= vars(module).keys() else None
        except Exception as error:
            return {finding.kind for finding in doctor.explain(error)}, []
        if made is None:
            watch = doctor.watch()
            with contextlib.suppress(Exception), watch:
                module.check()
        else:
            model, *optimizers = made if isinstance(made, tuple) else (made,)
            scanned = doctor.scan(model, optimizers)
            kinds |= {finding.kind for finding in scanned}
            notes += scanned.notes
            watch = doctor.watch(model, optimizers)
            with contextlib.suppress(Exception), watch:
                for _ in range(STEPS):
                    module.step(model, *optimizers)
    return kinds | {finding.kind for finding in watch}, [*notes, *watch.notes]


def run_jax(path: Path) -> tuple[set[str], list[str]]:
    """`watching` around the import and around `check()`."""
    from isoparam.jax import doctor

    raised = []
    with quiet(), doctor.watching() as watch:
        try:
            module = imported(path)
            module.check()
        except Exception as error:
            raised.append(f"raised {type(error).__name__}")
    return {finding.kind for finding in watch}, [*watch.diagnosis.notes, *raised]


def imported(path: Path) -> ModuleType:
    """The file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"case_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the programs print and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def tables(scores: list[Score]) -> Iterator[Any]:
    """Found by kind, then what is wrong with the score."""
    table = Table(title="found")
    for heading in ("kind", "cases", "lint", "run", "either", "missed"):
        table.add_column(heading, justify="left" if heading in ("kind", "missed") else "right", overflow="fold")
    bad = [each for each in scores if each.bad and each.decidable]
    for kind in [*sorted({each.kind for each in bad}), "all"]:
        of_kind = [each for each in bad if kind in (each.kind, "all")]
        missed = [each.name for each in of_kind if not each.found]
        counts = (
            len(of_kind),
            sum(bool(each.lint) for each in of_kind),
            sum(bool(each.run) for each in of_kind),
            len(of_kind) - len(missed),
        )
        table.add_row(kind, *map(str, counts), ", ".join(missed) if kind != "all" else "")
    yield table
    clean = [each for each in scores if not each.bad]
    flagged = [each for each in clean if each.found]
    yield f"clean: {len(clean)}, flagged: {len(flagged)}" + "".join(
        f"\n  {each.name}: lint {', '.join(each.lint) or '-'}; run {', '.join(each.run) or '-'}" for each in flagged
    )
    undecidable = [each.name for each in scores if each.bad and not each.decidable]
    if undecidable:
        yield f"undecidable, not counted: {', '.join(undecidable)}"
    for each in scores:
        if each.notes:
            yield f"note: {each.name}: {'; '.join(each.notes)}"


def main() -> int:
    """Score every case of a folder; 1 when a clean one is flagged or a bad one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of cases")
    parser.add_argument("--only", default="", help="files whose name begins like this")
    parser.add_argument("--json", type=Path, default=None, help="also write what was found here")
    arguments = parser.parse_args()
    chosen = [case for case in cases(arguments.folder) if case.path.name.startswith(arguments.only)]
    if not chosen:
        parser.error(f"{arguments.folder} holds no cases: files that begin with comments such as `# verdict: clean`")
    sys.path.insert(0, str(arguments.folder))
    scores = [score(case) for case in chosen]
    console = Console(width=110)
    for part in tables(scores):
        console.print(part, highlight=False, markup=False)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in scores], indent=1))
    return 0 if all(each.right for each in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
