"""check() and check_source(): the lint without its command line."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from isoparam.diagnosis import RULES, Diagnosis, Finding
from isoparam.errors import SpecError
from isoparam.lint.examine import Machine
from isoparam.lint.judge import Judge
from isoparam.lint.models import look
from isoparam.lint.project import Project
from isoparam.lint.sources import Source, find, parse, read
from isoparam.lint.suppress import suppressed


def check(
    paths: Sequence[str | Path], *, select: Sequence[str] = (), ignore: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Diagnosis:
    """Look for stale graphs in the text of files; none of it is imported.

    Args:
        paths: files and folders; bases of classes are followed across all of them.
        select: codes or prefixes of codes to look for ("SG1", "ALL"); by default the rules that are on.
        ignore: codes or prefixes to leave out.
        exclude: patterns of files to leave out ("*_test.py").

    Returns:
        What was found; notes tell which files could not be read or parsed.

    Raises:
        SpecError: a path that does not exist, a code that is no rule.

    Example:
        >>> from isoparam.lint import check_source
        >>> found = check_source('''
        ... import torch
        ... class Model(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.raw = torch.nn.Parameter(torch.zeros(3))
        ...         self.scale = torch.exp(self.raw)
        ... ''')
        >>> [(finding.rule, finding.attr, finding.line) for finding in found]
        [('SG101', 'Model.scale', 7)]
    """
    wanted = chosen(select, ignore)
    sources = [read(path) for path in find(paths, exclude)]
    return examine(sources, wanted)


def check_source(text: str, path: str = "<text>", *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> Diagnosis:
    """The same for one text.

    Args:
        text: source of a module.
        path: name that findings give as their file.
        select: codes or prefixes of codes to look for.
        ignore: codes or prefixes to leave out.

    Returns:
        What was found.

    Raises:
        SpecError: a code that is no rule.
    """
    return examine([parse(text, path)], chosen(select, ignore))


def chosen(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """Codes of the rules to look for; a prefix stands for all codes that begin with it."""
    codes = [rule.code for rule in RULES]
    for prefix in (*select, *ignore):
        if prefix != "ALL" and not any(code.startswith(prefix) for code in codes):
            raise SpecError(f"{prefix!r} is no rule of the doctor nor the beginning of one; the rules: isoparam doctor --rules")
    if select:
        wanted = [code for code in codes if "ALL" in select or code.startswith(tuple(select))]
    else:
        wanted = [rule.code for rule in RULES if rule.default]
    return frozenset(code for code in wanted if not (ignore and code.startswith(tuple(ignore))))


def examine(sources: Iterable[Source], wanted: frozenset[str]) -> Diagnosis:
    """All findings of a set of sources."""
    sources = list(sources)
    project = Project(sources)
    machine = Machine(project)
    judge = Judge(machine)
    for module in list(project.by_path.values()):
        judge.of_run(machine.entry(module, lambda: None))
        for run in machine.functions(module):
            judge.of_run(run)
    for module in list(project.by_path.values()):
        for info in list(module.classes.values()):
            if info.kind in ("torch", "nnx", "eqx", "struct", "pytree", "linen"):
                judge.of_class(info, look(machine, info))
    found = [finding for finding in judge.findings.values() if finding.rule in wanted]
    kept, notes = suppressed(found, {source.path: source for source in sources})
    for source in sources:
        if source.error:
            notes.append(f"{source.path}:{source.line}: {source.error}" if source.line else f"{source.path}: {source.error}")
    lines = sum(source.lines for source in sources)
    kept.sort(key=lambda finding: (finding.file, finding.line, finding.rule))
    return Diagnosis(tuple(kept), (*notes, *dict.fromkeys(machine.notes)), _count(len(sources), lines))


def _count(files: int, lines: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}, {lines:,} lines"


__all__ = ["Finding", "check", "check_source"]
