"""Expressions: what each one is worth, with the graph that it carries."""

import ast
from collections.abc import Callable
from typing import Any

from isoparam.lint.deciding import Deciding
from isoparam.lint.joining import join
from isoparam.lint.project import normal
from isoparam.lint.values import NONE, UNKNOWN, Box, Cls, Data, Env, Func, Lib, Value, const

_BUILTINS = {
    "abs", "all", "any", "bool", "bytes", "callable", "complex", "dict", "dir", "enumerate", "filter", "float", "format",
    "frozenset", "getattr", "hasattr", "hash", "id", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max",
    "min", "next", "object", "open", "pow", "print", "property", "range", "repr", "reversed", "round", "set", "setattr",
    "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "vars", "zip", "delattr", "classmethod",
    "locals", "globals", "input", "divmod",
}  # fmt: skip


class Expressions(Deciding):
    """Evaluation by the type of the node."""

    def evaluate(self, node: ast.AST | None) -> Value:
        if node is None:
            return NONE
        self.left -= 1
        if self.left < 0:
            self.spend()
        found = _BY_TYPE.get(type(node))
        return found(self, node) if found is not None else UNKNOWN

    # Names

    def name(self, node: ast.Name) -> Value:
        """A variable of this scope or of one around it, an import, a definition of the module."""
        key = node.id
        env: Env | None = self.frame.env
        first = env
        while env is not None:
            if key in env.vars:
                value = env.vars[key]
                if isinstance(value, Data):
                    if value.deps:
                        sort = "local" if env is first else "global" if env.kind == "module" else "closure"
                        value = self.aged(value, sort, lambda: key, env.sites.get(key), env, key)
                    self.capture(env, key, value, node)
                elif self.tracing:
                    self.capture(env, key, value, node)
                return value
            env = env.parent
        return self.global_name(key)

    def capture(self, env: Env, key: str, value: Value, node: ast.AST) -> None:
        """Told by the part that follows JAX's tracing."""

    def global_name(self, key: str) -> Value:
        """What a name means in the module that is running."""
        module = self.frame.module
        if key in module.classes:
            return Cls(module.classes[key])
        if key in module.functions and module.env is None:
            return UNKNOWN
        if key in module.imports:
            return self.imported(normal(module.imports[key]))
        if key in _BUILTINS:
            return Lib(f"builtins.{key}")
        return const("__main__") if key == "__name__" else UNKNOWN

    def imported(self, full: str) -> Value:
        """What a full name means: a part of the project, or of a library."""
        found = self.project.lookup(full, self.frame.module)
        if found is None:
            return Lib(full)
        module, name = found
        if name in module.classes:
            return Cls(module.classes[name])
        env = self.module_env(module)
        return env.vars.get(name, UNKNOWN) if env is not None else UNKNOWN

    def module_env(self, module: Any) -> Env | None:
        """The variables of a module; it is run when they are first asked for."""
        raise NotImplementedError

    # Literals and operators

    def constant(self, node: ast.Constant) -> Value:
        """A number, a string, None."""
        return NONE if node.value is None else const(node.value)

    def sequence(self, node: Any) -> Value:
        """A list, tuple or set."""
        box = Box({ast.List: "list", ast.Tuple: "tuple", ast.Set: "set"}[type(node)])
        box.made = self.phase
        for n, item in enumerate(node.elts):
            if isinstance(item, ast.Starred):
                for each in self.iterate(self.evaluate(item.value)):
                    box.items[("c", len(box.items))] = each
            else:
                box.items[("c", len(box.items) if n else 0)] = self.evaluate(item)
        return box

    def mapping(self, node: ast.Dict) -> Value:
        """A dict."""
        box = Box("dict")
        box.made = self.phase
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.evaluate(item)
            if key is None:
                if isinstance(value, Box):
                    box.items.update(value.items)
                continue
            token = self.token(self.evaluate(key))
            if token is None:
                box.rest = value
            else:
                box.items[token] = value
        return box

    def binary(self, node: ast.BinOp) -> Value:
        """Arithmetic."""
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        if isinstance(left, Data) and isinstance(right, Data):
            if left.sort == right.sort == "const":
                return _fold(node.op, left.const, right.const)
            if _plain(left) and _plain(right):
                one, other = self.token(left), self.token(right)
                both = ("bin", type(node.op).__name__, one, other) if one and other else None
                return Data("unknown", token=both)
        if isinstance(left, Box) and isinstance(right, Box) and isinstance(node.op, ast.Add):
            return Box(left.kind, [*left.all(), *right.all()])
        if isinstance(left, Box) and left.kind == "list" and isinstance(node.op, ast.Mult):
            return left
        return self.derive((left, right), node)

    def unary(self, node: ast.UnaryOp) -> Value:
        """A sign, or not."""
        value = self.evaluate(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return UNKNOWN if truth is None else const(not truth)
        if isinstance(value, Data) and value.sort == "const" and isinstance(value.const, (int, float)):
            return const(-value.const if isinstance(node.op, ast.USub) else value.const)
        return self.derive((value,), node)

    def compare(self, node: ast.Compare) -> Value:
        """A comparison, decided where the text decides it."""
        left = self.evaluate(node.left)
        result: bool | None = True
        for op, item in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(item)
            one = self.decide(op, left, right)
            if one is False:
                return const(False)
            result = None if one is None or result is None else result
            left = right
        return UNKNOWN if result is None else const(True)

    def boolean(self, node: ast.BoolOp) -> Value:
        """And, or: what is decided is left out."""
        stop = isinstance(node.op, ast.Or)
        open_: Value | None = None
        value: Value = UNKNOWN
        for item in node.values:
            value = self.evaluate(item)
            truth = self.truth(value)
            if truth is stop:
                return value if open_ is None else (const(True) if stop and open_ is UNKNOWN else self.either(open_, value))
            if truth is None:
                open_ = value if open_ is None else self.either(open_, value)
        return value if open_ is None else open_

    def either(self, one: Value, other: Value) -> Value:
        """One of two."""
        return join(one, other)

    def conditional(self, node: ast.IfExp) -> Value:
        """A if test else B."""
        truth = self.truth(self.evaluate(node.test))
        if truth is not None:
            return self.evaluate(node.body if truth else node.orelse)
        return self.either(self.evaluate(node.body), self.evaluate(node.orelse))

    def walrus(self, node: ast.NamedExpr) -> Value:
        """name := value."""
        value = self.evaluate(node.value)
        self.store(node.target, value)
        return value

    def text(self, node: ast.JoinedStr) -> Value:
        """An f-string."""
        parts = []
        for item in node.values:
            value = self.evaluate(item.value if isinstance(item, ast.FormattedValue) else item)
            parts.append(str(value.const) if isinstance(value, Data) and value.sort == "const" else None)
        return const("".join(part or "" for part in parts)) if None not in parts else Data("unknown", token=("at", id(node)))

    def attribute(self, node: ast.Attribute) -> Value:
        """value.name."""
        return self.load_attr(self.evaluate(node.value), node.attr, node)

    def subscript(self, node: ast.Subscript) -> Value:
        """value[index]."""
        value = self.evaluate(node.value)
        index = self.evaluate(node.slice)
        return self.load_item(value, index, node)

    def slice(self, node: ast.Slice) -> Value:
        """a:b:c."""
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.evaluate(part)
        return Data("unknown", token=("slice", id(node)))

    def function(self, node: ast.Lambda) -> Value:
        """A lambda."""
        func = Func(node, self.frame.env, self.frame.module, "<lambda>")
        func.site = self.site()
        return func

    def comprehension(self, node: Any) -> Value:
        """A list, set, dict or generator, filled from two rounds of its loops."""
        kind = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict", ast.GeneratorExp: "list"}[type(node)]
        box = Box(kind)
        box.made = self.phase
        frame = self.frame
        outer, frame.env = frame.env, Env("comprehension", frame.env)
        try:
            self._rounds(node, 0, box)
        finally:
            frame.env = outer
        return box

    def _rounds(self, node: Any, level: int, box: Box) -> None:
        if level == len(node.generators):
            if isinstance(node, ast.DictComp):
                token, value = self.token(self.evaluate(node.key)), self.evaluate(node.value)
                if token is None:
                    box.rest = value
                else:
                    box.items[token] = value
            else:
                box.items[("c", len(box.items))] = self.evaluate(node.elt)
            return
        part = node.generators[level]
        for item in self.iterate(self.evaluate(part.iter))[:4]:
            self.store(part.target, item)
            if all(self.truth(self.evaluate(test)) is not False for test in part.ifs):
                self._rounds(node, level + 1, box)

    def invoke(self, node: ast.Call) -> Value:
        """A call."""
        callee = self.evaluate(node.func)
        args: list[Value] = []
        for item in node.args:
            if isinstance(item, ast.Starred):
                args.extend(self.iterate(self.evaluate(item.value)))
            else:
                args.append(self.evaluate(item))
        kwargs: dict[str, Value] = {}
        for item in node.keywords:
            value = self.evaluate(item.value)
            if item.arg is not None:
                kwargs[item.arg] = value
            elif isinstance(value, Box):
                kwargs.update({key[1]: each for key, each in value.items.items() if key[0] == "c" and isinstance(key[1], str)})
        return self.call(callee, args, kwargs, node)

    def yielded(self, node: Any) -> Value:
        """yield, yield from."""
        value = self.evaluate(node.value)
        self.frame.yields.append(value)
        return UNKNOWN

    def iterate(self, value: Value) -> list[Value]:
        """What a loop over a value sees."""
        raise NotImplementedError


def _plain(value: Data) -> bool:
    return value.sort in ("const", "unknown") and not value.deps and not value.cuts


def _fold(op: ast.operator, left: Any, right: Any) -> Value:
    if (
        isinstance(left, bool)
        or isinstance(right, bool)
        or not isinstance(left, (int, float))
        or not isinstance(right, (int, float))
    ):
        return const(left + right) if isinstance(left, str) and isinstance(right, str) and isinstance(op, ast.Add) else UNKNOWN
    try:
        if isinstance(op, ast.Add):
            return const(left + right)
        if isinstance(op, ast.Sub):
            return const(left - right)
        if isinstance(op, ast.Mult):
            return const(left * right)
        if isinstance(op, ast.Mod):
            return const(left % right)
        if isinstance(op, ast.FloorDiv):
            return const(left // right)
    except (ArithmeticError, ValueError):
        return UNKNOWN
    return Data("unknown", token=("number", repr(left), type(op).__name__, repr(right)))


_BY_TYPE: dict[type, Callable[[Any, Any], Value]] = {
    ast.Name: Expressions.name,
    ast.Constant: Expressions.constant,
    ast.Attribute: Expressions.attribute,
    ast.Call: Expressions.invoke,
    ast.Subscript: Expressions.subscript,
    ast.BinOp: Expressions.binary,
    ast.UnaryOp: Expressions.unary,
    ast.Compare: Expressions.compare,
    ast.BoolOp: Expressions.boolean,
    ast.IfExp: Expressions.conditional,
    ast.NamedExpr: Expressions.walrus,
    ast.JoinedStr: Expressions.text,
    ast.List: Expressions.sequence,
    ast.Tuple: Expressions.sequence,
    ast.Set: Expressions.sequence,
    ast.Dict: Expressions.mapping,
    ast.Slice: Expressions.slice,
    ast.Lambda: Expressions.function,
    ast.ListComp: Expressions.comprehension,
    ast.SetComp: Expressions.comprehension,
    ast.DictComp: Expressions.comprehension,
    ast.GeneratorExp: Expressions.comprehension,
    ast.Yield: Expressions.yielded,
    ast.YieldFrom: Expressions.yielded,
    ast.Await: lambda self, node: self.evaluate(node.value),
    ast.Starred: lambda self, node: self.evaluate(node.value),
    ast.Index: lambda self, node: self.evaluate(node.value),
}
