"""Statements: both sides of what is not decided, loops twice, and what a loop keeps from one round to the next."""

import ast
from collections.abc import Callable
from typing import Any

from isoparam.lint.expressions import Expressions
from isoparam.lint.joining import ABSENT
from isoparam.lint.state import Found, OutOfBudget
from isoparam.lint.values import UNKNOWN, Box, Cls, Data, Func, Obj, Value

_LOOKUPS = {"AttributeError", "KeyError", "LookupError", "IndexError"}


class Statements(Expressions):
    """Execution by the type of the statement."""

    def run(self, body: list[ast.stmt]) -> str:
        for node in body:
            frame = self.frames[-1]
            frame.stmt = node
            action = _BY_TYPE.get(type(node))
            if action is not None:
                end = action(self, node)
                if end:
                    return end
            if self.missing:
                return "missing"
        return ""

    def expression(self, node: ast.Expr) -> str:
        """A value that is thrown away."""
        self.dropped(node, self.evaluate(node.value))
        return ""

    def dropped(self, node: ast.Expr, value: Value) -> None:
        """Told by the part that follows JAX."""

    def assign(self, node: ast.Assign) -> str:
        """target = value."""
        value = self.evaluate(node.value)
        for target in node.targets:
            self.store(target, value)
        return ""

    def annotated(self, node: ast.AnnAssign) -> str:
        """target: kind = value."""
        if node.value is not None:
            self.store(node.target, self.evaluate(node.value))
        return ""

    def augmented(self, node: ast.AugAssign) -> str:
        """target += value."""
        old = self.evaluate(node.target)
        new = self.evaluate(node.value)
        if (isinstance(old, Data) and (old.param is not None or old.deps) and not isinstance(node.target, ast.Name)) or (
            isinstance(old, Data) and old.param is not None and not old.deps
        ):
            self.in_place(node.target, old, [old, new], node, "augmented assignment")
        elif isinstance(old, Box) and isinstance(new, Box):
            for item in new.all():
                self.put(old.items, ("c", len(old.items)), item)
        else:
            self.store(node.target, self.binary_of(node, old, new))
        return ""

    def binary_of(self, node: ast.AugAssign, old: Value, new: Value) -> Value:
        """The sum of both."""
        if isinstance(old, Data) and isinstance(new, Data) and old.sort == new.sort == "const":
            return Data("unknown", token=None)
        return self.derive((old, new), node)

    def give_back(self, node: ast.Return) -> str:
        """Return."""
        value = self.evaluate(node.value)
        if self.missing:
            return "missing"
        self.frame.returns.append(value)
        return "return"

    def branch(self, node: ast.If) -> str:
        """One side where the test is decided, otherwise both."""
        truth = self.truth(self.evaluate(node.test))
        if self.missing:
            return "missing"
        if truth is not None:
            return self.run(node.body if truth else node.orelse)
        return self.both(lambda: self.run(node.body), lambda: self.run(node.orelse))

    def both(self, one: Callable[[], str], other: Callable[[], str]) -> str:
        """Two ways, of which either may be taken."""
        first, written = self.attempt(one)
        second, written_too = self.attempt(other)
        ways = [(first, written), (second, written_too)]
        for end, changes in ways:
            if end == "return":
                self.frame.exits.append(changes)
        going = [changes for end, changes in ways if end in ("", "break", "continue")]
        if not going:
            return first if first == "return" else second
        if len(going) == 1 and "missing" not in (first, second):
            self.merge(going[0])
            return ""
        self.merge(*going)
        return ""

    def loop(self, node: Any) -> str:
        """Two rounds, or those that the text states."""
        items = self.iterate(self.evaluate(node.iter))
        backwards, steps, start = self.backwards, self.steps, self.clock
        names = dict(self.frame.env.vars)
        for n, item in enumerate(items[:4]):
            self.store(node.target, item)
            before = self.clock
            end = self.run(node.body)
            if end in ("return", "raise", "missing"):
                return end
            if end == "break":
                break
            if n and self.backwards - backwards > 1 and self.steps - steps > 1:
                self.grown(names, before, node)
        del start
        self.run(node.orelse)
        return ""

    def repeat(self, node: ast.While) -> str:
        """Two rounds."""
        backwards, steps = self.backwards, self.steps
        names = dict(self.frame.env.vars)
        for n in range(2):
            if self.truth(self.evaluate(node.test)) is False:
                break
            before = self.clock
            end = self.run(node.body)
            if end in ("return", "raise", "missing"):
                return end
            if end == "break":
                break
            if n and self.backwards - backwards > 1 and self.steps - steps > 1:
                self.grown(names, before, node)
        return ""

    def grown(self, names: dict[str, Value], before: int, node: ast.AST) -> None:
        """What was there before a training loop, is written in each round and keeps the graphs of earlier rounds."""
        env = self.frame.env
        for name, first in names.items():
            value, site = env.vars.get(name), env.sites.get(name)
            if isinstance(value, Data) and value.deps and site is not None and site.time >= before:
                old = [param for param, dep in value.deps.items() if dep.born < before and self.stale(param, dep)]
                if old and (id(env), name) not in self.sunk:
                    self.found.append(Found("graph-growth", name, tuple(param.name for param in old), site, "local"))
            elif isinstance(value, Box) and value is first and value.kind in ("list", "dict"):
                kept = [item for item in value.all() if isinstance(item, Data) and item.deps and item.sort == "tensor"]
                old = {param: 0 for item in kept for param, dep in item.deps.items() if self.stale(param, dep)}
                where = value.sites.get("appended")
                if old and where is not None and len(kept) > 1 and where.phase != "init":
                    self.holes.append((value, name, tuple(param.name for param in old), where, id(env)))

    def guard(self, node: Any) -> str:
        """With: what changes while the body runs."""
        grad, depth = self.grad, len(self.contexts)
        entered: list[Any] = []
        for item in node.items:
            value = self.evaluate(item.context_expr)
            entered.append(value)
            self.enter(value, item.context_expr)
            if item.optional_vars is not None:
                self.store(item.optional_vars, value if isinstance(value, (Obj, Data)) else UNKNOWN)
        try:
            return self.run(node.body)
        finally:
            self.grad = grad
            self.leave(depth)

    def enter(self, value: Value, node: ast.AST) -> None:
        """A context begins."""
        raise NotImplementedError

    def leave(self, depth: int) -> None:
        """Contexts end."""
        raise NotImplementedError

    def attempted(self, node: Any) -> str:
        """Try: a handler of failed look-ups runs where the look-up is known to fail, the others may run."""
        end = self.run(node.body)
        failed, self.missing = self.missing, False
        for handler in node.handlers:
            names = _caught(handler)
            if failed and (not names or names & (_LOOKUPS | {"Exception", "BaseException"})):
                if handler.name:
                    self.frame.env.vars[handler.name] = UNKNOWN
                end = self.run(handler.body)
                failed = False
            elif not names or not names <= _LOOKUPS:
                if handler.name:
                    self.frame.env.vars[handler.name] = UNKNOWN
                if end == "":
                    end = self.both(lambda body=handler.body: self.run(body), lambda: "")
                else:
                    _, changes = self.attempt(lambda body=handler.body: self.run(body))
                    self.merge(changes, []) if end == "" else None
        if end == "missing":
            end = ""
        if end == "":
            end = self.run(node.orelse)
        last = self.run(node.finalbody)
        return last or end

    def define(self, node: Any) -> str:
        """A function, with its decorators."""
        func = Func(node, self.frame.env, self.frame.module, node.name)
        func.site = self.site()
        value: Value = self.decorated(func, node)
        self.put(self.frame.env.vars, node.name, value)
        self.put(self.frame.env.sites, node.name, self.site())
        return ""

    def decorated(self, func: Func, node: Any) -> Value:
        """What decorators make of a function."""
        raise NotImplementedError

    def define_class(self, node: ast.ClassDef) -> str:
        """A class: known to the project where it is at the top, otherwise read here."""
        classes = self.frame.module.classes
        info = classes.get(f"{node.name}:{node.lineno}") or classes[node.name]
        self.put(self.frame.env.vars, node.name, Cls(info))
        return ""

    def delete(self, node: ast.Delete) -> str:
        """Del."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.put(self.frame.env.vars, target.id, ABSENT)
            elif isinstance(target, ast.Attribute):
                owner = self.evaluate(target.value)
                if isinstance(owner, Obj):
                    self.put(owner.attrs, target.attr, ABSENT)
            elif isinstance(target, ast.Subscript):
                owner = self.evaluate(target.value)
                token = self.token(self.evaluate(target.slice))
                if isinstance(owner, Box) and token is not None:
                    self.put(owner.items, token, ABSENT)
        return ""

    def scope(self, node: Any) -> str:
        """Global, nonlocal."""
        self.frame.env.globals.update(node.names)
        return ""

    def imports(self, node: Any) -> str:
        """An import within a function: the module has collected it; at the top the name is free."""
        for alias in node.names:
            self.frame.env.vars.pop(alias.asname or alias.name.split(".")[0], None)
        return ""

    def assure(self, node: ast.Assert) -> str:
        """Assert."""
        self.evaluate(node.test)
        return ""

    def match(self, node: ast.Match) -> str:
        """Match: any of its cases."""
        self.evaluate(node.subject)
        sides, ends = [], []
        for case in node.cases:
            end, changes = self.attempt(lambda body=case.body: self.run(body))
            ends.append(end)
            if end in ("", "break", "continue"):
                sides.append(changes)
            elif end == "return":
                self.frame.exits.append(changes)
        self.merge(*sides, [])
        return ""

    def top(self, node: ast.AST, action: Callable[[], Value]) -> Value | None:
        """An action with a budget of its own; None where it is used up."""
        try:
            return action()
        except (OutOfBudget, RecursionError):
            return None


def _caught(handler: ast.ExceptHandler) -> set[str]:
    kind = handler.type
    nodes = kind.elts if isinstance(kind, ast.Tuple) else [kind] if kind is not None else []
    return {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in nodes}


_BY_TYPE: dict[type, Callable[[Any, Any], str]] = {
    ast.Expr: Statements.expression,
    ast.Assign: Statements.assign,
    ast.AnnAssign: Statements.annotated,
    ast.AugAssign: Statements.augmented,
    ast.Return: Statements.give_back,
    ast.If: Statements.branch,
    ast.For: Statements.loop,
    ast.AsyncFor: Statements.loop,
    ast.While: Statements.repeat,
    ast.With: Statements.guard,
    ast.AsyncWith: Statements.guard,
    ast.Try: Statements.attempted,
    ast.FunctionDef: Statements.define,
    ast.AsyncFunctionDef: Statements.define,
    ast.ClassDef: Statements.define_class,
    ast.Delete: Statements.delete,
    ast.Global: Statements.scope,
    ast.Nonlocal: Statements.scope,
    ast.Import: Statements.imports,
    ast.ImportFrom: Statements.imports,
    ast.Assert: Statements.assure,
    ast.Match: Statements.match,
    ast.Raise: lambda self, node: "raise",
    ast.Break: lambda self, node: "break",
    ast.Continue: lambda self, node: "continue",
}
