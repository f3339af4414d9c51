"""--fix and --diff: a value that __init__ derives from a parameter becomes a property, or a Constrained."""

import ast
import difflib
import re
from dataclasses import replace
from pathlib import Path

from isoparam.diagnosis import Diagnosis, Finding
from isoparam.lint.project import Module, Project
from isoparam.lint.sources import parse

# Maps whose set is known: function of torch -> spec, with what it is given.
_SETS = {
    "torch.sigmoid": "UnitInterval()",
    "torch.nn.functional.sigmoid": "UnitInterval()",
    "torch.exp": 'Positive(link="exp")',
    "torch.nn.functional.softplus": "Positive()",
}


def repair(diagnosis: Diagnosis, *, constrained: bool = False, write: bool = False) -> tuple[str, Diagnosis]:
    """Rewrite what can be rewritten.

    Args:
        diagnosis: of `check`.
        constrained: where the map is known, declare the parameter as a Constrained instead.
        write: change the files.

    Returns:
        The changes as a unified diff, and the diagnosis without what they repair.
    """
    by_file: dict[str, list[Finding]] = {}
    for finding in diagnosis:
        if finding.kind in ("stale-attribute", "fragile-view") and finding.file:
            by_file.setdefault(finding.file, []).append(finding)
    changes: list[str] = []
    done: set[Finding] = set()
    for file, findings in by_file.items():
        text = Path(file).read_text(encoding="utf-8") if Path(file).is_file() else ""
        new, repaired = repaired_text(text, findings, constrained=constrained)
        if new != text:
            done.update(repaired)
            lines = difflib.unified_diff(text.splitlines(True), new.splitlines(True), file, file)
            changes.append("".join(line if line.endswith("\n") else line + "\n" for line in lines))
            if write:
                Path(file).write_text(new, encoding="utf-8")
    remaining = replace(diagnosis, findings=tuple(finding for finding in diagnosis if finding not in done))
    return "".join(changes), remaining


def repaired_text(text: str, findings: list[Finding], *, constrained: bool = False) -> tuple[str, list[Finding]]:
    """The text with each plain derivation in __init__ as a property of the same name, and which findings that repairs."""
    repaired = []
    for finding in sorted(findings, key=lambda each: each.line, reverse=True):
        source = parse(text, finding.file)
        if source.tree is None:
            continue
        new = _one(text, Module(source, "checked"), finding, constrained)
        if new is not None:
            ast.parse(new)
            text = new
            repaired.append(finding)
    return text, repaired


def _one(text: str, module: Module, finding: Finding, constrained: bool) -> str | None:
    for info in module.classes.values():
        init = info.methods.get("__init__")
        if init is None or not init.lineno <= finding.line <= (init.end_lineno or 0):
            continue
        stmt = next((node for node in init.body if node.lineno == finding.line), None)
        if not isinstance(stmt, ast.Assign) or len(stmt.targets) != 1 or not _is_self(stmt.targets[0]):
            return None
        target = stmt.targets[0]
        assert isinstance(target, ast.Attribute)
        if not _plain(stmt.value, init) or target.attr in info.methods or len(_writes(info.node, target.attr)) > 1:
            return None
        if constrained:
            new = _as_constrained(text, module, init, stmt, target.attr)
            if new is not None:
                return new
        return _as_property(text, init, stmt, target.attr)
    return None


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _plain(value: ast.expr, init: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether an expression means the same at any later time: it names self and the module, no local of __init__."""
    own = {arg.arg for arg in ast.walk(init.args) if isinstance(arg, ast.arg)} - {"self"}
    own |= {node.id for node in ast.walk(init) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    inner = {node.id for node in ast.walk(value) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return not any(isinstance(node, ast.Name) and node.id in own - inner for node in ast.walk(value)) and not any(
        isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield)) for node in ast.walk(value)
    )


def _writes(node: ast.AST, attr: str) -> list[ast.Attribute]:
    return [
        part
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and part.attr == attr and not isinstance(part.ctx, ast.Load) and _is_self(part)
    ]


def _as_property(text: str, init: ast.FunctionDef | ast.AsyncFunctionDef, stmt: ast.Assign, name: str) -> str:
    lines = text.splitlines(True)
    first, last = stmt.lineno - 1, (stmt.end_lineno or stmt.lineno) - 1
    margin = _margin(lines[init.lineno - 1])
    inner = _margin(lines[first])
    ending = "\r\n" if lines[first].endswith("\r\n") else "\n"
    value = ast.get_source_segment(text, stmt.value) or ""
    written = "".join(lines[first : last + 1])
    opened = written[: written.index(value)].rstrip().endswith("(") if value in written else False
    comment = _comment(lines[last])
    body = f"{inner}return {'(' if opened else ''}{value}{')' if opened else ''}{comment}{ending}"
    ahead = _comments_above(lines, first, inner)
    note = "".join(lines[ahead:first])
    new = [ending, f"{margin}@property{ending}", f"{margin}def {name}(self):{ending}", note, body]
    after = (init.end_lineno or last + 1) - 1
    if not lines[after].endswith(("\n", "\r\n")):
        lines[after] += ending
    rest = lines[:ahead] + lines[last + 1 : after + 1]
    if len(init.body) == 1:
        rest.append(f"{inner}pass{ending}")
    return "".join(rest + new + lines[after + 1 :])


def _comments_above(lines: list[str], first: int, inner: str) -> int:
    while first > 0 and lines[first - 1].startswith(f"{inner}#"):
        first -= 1
    return first


def _as_constrained(
    text: str, module: Module, init: ast.FunctionDef | ast.AsyncFunctionDef, stmt: ast.Assign, name: str
) -> str | None:
    """self.raw = nn.Parameter(start); self.x = torch.sigmoid(self.raw)  ->  x = Constrained(UnitInterval(), start="raw")."""
    value = stmt.value
    if not isinstance(value, ast.Call) or len(value.args) != 1 or value.keywords or not _is_self(value.args[0]):
        return None
    full = _dotted(value.func, module)
    raw = value.args[0]
    assert isinstance(raw, ast.Attribute)
    made = [
        node for node in init.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and _is_self(node.targets[0])
        and isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr == raw.attr
    ]  # fmt: skip
    uses = [
        node
        for info in module.classes.values()
        for node in ast.walk(info.node)
        if isinstance(node, ast.Attribute) and node.attr == raw.attr
    ]
    if full not in _SETS or len(made) != 1 or len(uses) != 2:
        return None
    start = made[0].value
    if (
        not isinstance(start, ast.Call)
        or _dotted(start.func, module) != "torch.nn.Parameter"
        or len(start.args) != 1
        or start.keywords
    ):
        return None
    given = ast.get_source_segment(text, start.args[0])
    lines = text.splitlines(True)
    inner, margin = _margin(lines[stmt.lineno - 1]), _margin(lines[init.lineno - 1])
    comment = _comment(lines[(stmt.end_lineno or stmt.lineno) - 1])
    assigned = f"{inner}self.{name} = {given}{comment}\n"
    rest = [*lines[: made[0].lineno - 1], *lines[made[0].end_lineno : stmt.lineno - 1], assigned, *lines[stmt.end_lineno :]]
    rest.insert(_first_method(init) - 1, f'{margin}{name} = Constrained(iso.{_SETS[full]}, start="raw")\n\n')
    return _with_imports("".join(rest))


def _first_method(init: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([init.lineno, *(node.lineno for node in init.decorator_list)])


def _with_imports(text: str) -> str:
    """The two imports behind the last one at the top."""
    for wanted in ("from isoparam.torch import Constrained\n", "import isoparam as iso\n"):
        if wanted not in text:
            imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
            lines = text.splitlines(True)
            lines.insert((imports[-1].end_lineno or 0) if imports else 0, wanted)
            text = "".join(lines)
    return text


def _dotted(node: ast.expr, module: Module) -> str:
    return Project(()).dotted(node, module)


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _comment(line: str) -> str:
    found = re.search(r"\s*#[^'\"]*$", line.rstrip("\r\n"))
    return found.group() if found else ""
