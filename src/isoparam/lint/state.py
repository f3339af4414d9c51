"""What the lint knows at one moment of the program that it reads: clock, scopes, writes that can be taken back."""

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from isoparam.lint.joining import ABSENT, joined, oldest
from isoparam.lint.project import Module, Project
from isoparam.lint.values import (
    NO_DEPS,
    Box,
    Data,
    Dep,
    Deps,
    Env,
    Func,
    Holder,
    Obj,
    Optim,
    Param,
    Site,
    Value,
)

DEPTH = 24  # calls within calls
BUDGET = 60_000  # expressions per examined function


class OutOfBudget(Exception):
    """A function is too large to be followed to its end."""


class Use(NamedTuple):
    """A stale value that reached a loss or a result."""

    param: Param
    dep: Dep
    how: str  # backward, return
    site: Site
    retain: bool


class Found(NamedTuple):
    """A mistake that shows where it is written, apart from any use."""

    kind: str
    attr: str
    params: tuple[str, ...]
    site: Site
    detail: str


class Frame:
    """A running function."""

    __slots__ = ("env", "exits", "func", "module", "returns", "stmt", "yields")

    def __init__(self, env: Env, module: Module, func: Func | None) -> None:
        self.env = env
        self.module = module
        self.func = func
        self.returns: list[Value] = []
        self.yields: list[Value] = []
        self.exits: list[list[tuple[dict[Any, Any], Any, Any]]] = []
        self.stmt: Any = None


class State:
    """Clock, scopes and log; the parts that evaluate are in the classes built on this one."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.clock = 0
        self.grad = True
        self.phase = "import"
        self.frames: list[Frame] = []
        self.log: list[tuple[dict[Any, Any], Any, Any]] = []
        self.logging = 0
        self.left = BUDGET
        self.uses: list[Use] = []
        self.found: list[Found] = []
        self.world: list[Param] = []
        self.optimizers: list[Optim] = []
        self.reached: dict[Param, None] = {}
        self.cut: dict[Param, Site] = {}
        self.backwards = 0
        self.steps = 0
        self.missing = False
        self.contexts: list[tuple[str, Site, int]] = []
        self.tracing: list[Any] = []
        self.visited: set[int] = set()
        self.forwards: dict[int, int] = {}
        self.replaced: list[tuple[Obj, str, Param, Site]] = []
        self.overwrite = False
        self.graded: dict[Param, Any] | None = None  # parameters with a gradient; None where that is not known
        self.class_values: dict[tuple[int, str], Value] = {}
        self.sunk: set[Any] = set()
        self.unknown_optimizers = 0
        self.holes: list[Any] = []
        self.no_grad_site: Site | None = None  # the decorator that says so

    # Clock and places

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    @property
    def frame(self) -> Frame:
        """The function that is running."""
        return self.frames[-1]

    def site(self, node: Any = None) -> Site:
        """Where the program is, or where a node is."""
        frame = self.frames[-1]
        stmt = node if node is not None else frame.stmt
        line, column = (stmt.lineno, stmt.col_offset + 1) if stmt is not None else (1, 1)
        return Site(frame.module.path, line, column, self.phase, id(stmt), self.clock)

    # Writes

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Write; where branches are tried, so that it can be taken back."""
        if self.logging:
            self.log.append((table, key, table.get(key, ABSENT)))
        if value is ABSENT:
            table.pop(key, None)
        else:
            table[key] = value

    def attempt(self, action: Callable[[], Any]) -> tuple[Any, list[tuple[dict[Any, Any], Any, Any]]]:
        """What an action returns, and what it wrote; its writes are taken back."""
        mark = len(self.log)
        self.logging += 1
        try:
            result = action()
        finally:
            self.logging -= 1
            changes: dict[tuple[int, Any], tuple[dict[Any, Any], Any, Any]] = {}
            for table, key, old in reversed(self.log[mark:]):
                place = (id(table), key)
                if place not in changes:
                    changes[place] = (table, key, table.get(key, ABSENT))
                if old is ABSENT:
                    table.pop(key, None)
                else:
                    table[key] = old
            del self.log[mark:]
        return result, list(changes.values())

    def merge(self, *sides: list[tuple[dict[Any, Any], Any, Any]]) -> None:
        """Write what several branches would have written, where it is not known which of them ran."""
        places: dict[tuple[int, Any], tuple[dict[Any, Any], Any]] = {}
        tables = [{(id(table), key): value for table, key, value in side} for side in sides]
        for side in sides:
            for table, key, _ in side:
                places.setdefault((id(table), key), (table, key))
        for place, (table, key) in places.items():
            values = [found.get(place, table.get(key, ABSENT)) for found in tables]
            self.put(table, key, joined(values))

    # Graphs

    def stale(self, param: Param, dep: Dep) -> bool:
        """Whether a value was computed before the last update of its parameter."""
        return dep.born < param.stepped

    def deps(self, value: Value, depth: int = 0) -> Deps:
        """The graph of a value, that of a parameter itself included."""
        if isinstance(value, Data):
            if value.view is not None:  # a view follows its parameter
                return {value.view: Dep(self.tick(), self.site())} if value.view.trainable else NO_DEPS
            if value.param is not None and value.param.trainable:
                if value.deps:
                    return {**value.deps, value.param: Dep(self.tick(), self.site())}
                return {value.param: Dep(self.tick(), self.site())}
            return value.deps
        if isinstance(value, Box) and depth < 4:
            return oldest(self.deps(item, depth + 1) for item in value.all())
        if isinstance(value, Obj) and value.extra and depth < 4:
            return oldest(self.deps(item, depth + 1) for item in value.extra if not _only_param(item))
        if isinstance(value, Func) and depth < 2 and value.args:
            return oldest(self.deps(item, depth + 1) for item in value.args if not _only_param(item))
        return NO_DEPS

    def cuts(self, value: Value, depth: int = 0) -> dict[Param, Site]:
        """Parameters whose number is in a value without their graph."""
        if isinstance(value, Data):
            return value.cuts
        if isinstance(value, Box) and depth < 4:
            found: dict[Param, Site] = {}
            for item in value.all():
                found.update(self.cuts(item, depth + 1))
            return found
        return {}

    def derive(self, values: Iterable[Value], node: ast.AST | None = None, maps: str = "") -> Data:
        """The result of an operation on values: all their graphs in one, the oldest first."""
        values = list(values)
        deps = oldest(self.deps(value) for value in values)
        cuts: dict[Param, Site] = {}
        tracer = None
        applied: tuple[str, ...] = (maps,) if maps else ()
        for value in values:
            if isinstance(value, Data):
                if value.cuts:
                    cuts.update(value.cuts)
                tracer = tracer or value.tracer
                if value.maps:
                    applied = value.maps + applied
            elif isinstance(value, Box):
                cuts.update(self.cuts(value))
                tracer = tracer or next((item.tracer for item in value.all() if isinstance(item, Data) and item.tracer), None)
        if not self.grad and deps:
            cuts = {**cuts, **{param: self.no_grad_site or self.site() for param in deps}}
            deps = NO_DEPS
        result = Data("tensor", deps, cuts, token=("at", id(node)) if node is not None else None)
        result.tracer = tracer
        result.maps = applied[-6:]
        return result

    def severed(self, values: Iterable[Value], node: ast.AST | None = None, sort: str = "tensor") -> Data:
        """The result of an operation that hands on numbers alone."""
        values = list(values)
        deps = oldest(self.deps(value) for value in values)
        cuts = {param: self.site() for param in deps}
        for value in values:
            cuts.update(self.cuts(value))
        result = Data(sort, NO_DEPS, cuts, token=("at", id(node)) if node is not None else None)
        if self.tracing:
            result.tracer = next((value.tracer for value in values if isinstance(value, Data) and value.tracer), None)
        result.maps = next((value.maps for value in values if isinstance(value, Data) and value.maps), ())
        return result

    def aged(
        self, value: Value, sort: str, name: Callable[[], str], site: Site | None, owner: Any = None, key: Any = None
    ) -> Value:
        """The value, its stale parts marked with what has held it."""
        if not isinstance(value, Data) or not value.deps or value.view is not None:
            return value
        changed = None
        for param, dep in value.deps.items():
            if dep.born < param.stepped and dep.holder is None:
                changed = changed or dict(value.deps)
                changed[param] = dep._replace(holder=Holder(sort, name(), site or dep.site, id(owner), owner, key))
        if changed is None:
            return value
        copy = Data(value.sort, changed, value.cuts, value.const, value.param, value.token)
        copy.view, copy.maps, copy.tracer = value.view, value.maps, value.tracer
        return copy

    def step(self, params: Iterable[Param]) -> None:
        """An update of parameters, of those that have a gradient where that is known."""
        now = self.tick()
        for param in params:
            if param.trainable and (self.graded is None or param in self.graded):
                param.stepped = now
        self.steps += 1

    def sink(self, value: Value, how: str, node: Any = None, retain: bool = False) -> None:
        """A loss, or the result of a model: what of it is stale was used too late."""
        deps = self.deps(value)
        site = self.site(node)
        for param, dep in deps.items():
            if dep.born < param.stepped:
                self.uses.append(Use(param, dep, how, site, retain))
                if dep.holder is not None:
                    self.sunk.add((dep.holder.scope, dep.holder.key))
            if how == "backward":
                self.reached[param] = None
        if how == "backward":
            if deps and self.graded is not None:
                self.graded.update(deps)
            elif not deps:
                self.graded = None
            for param, where in self.cuts(value).items():
                self.cut.setdefault(param, where)

    def spend(self) -> None:
        """One expression more."""
        self.left -= 1
        if self.left < 0:
            raise OutOfBudget

    # What the classes above say

    def evaluate(self, node: ast.AST | None) -> Value:
        """The value of an expression."""
        raise NotImplementedError

    def call(self, callee: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """The result of a call."""
        raise NotImplementedError

    def load_attr(self, value: Value, name: str, node: ast.AST) -> Value:
        """An attribute."""
        raise NotImplementedError

    def store(self, target: ast.AST, value: Value) -> None:
        """An assignment to a target."""
        raise NotImplementedError

    def run(self, body: list[ast.stmt]) -> str:
        """Statements one after the other; how they ended: "", return, raise, break, continue."""
        raise NotImplementedError


def _only_param(value: Value) -> bool:
    return isinstance(value, Data) and value.param is not None and not value.deps
