"""Calls of Python's own functions and of its standard library."""

import ast

from isoparam.lint import library
from isoparam.lint.calls import Calls
from isoparam.lint.joining import ABSENT
from isoparam.lint.values import NONE, UNKNOWN, Box, Cls, Data, Func, Lib, Method, Obj, Super, Value, const

Args = list[Value]
Named = dict[str, Value]


class Python(Calls):
    """builtins, functools, copy."""

    def call_builtin(self, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A function of Python itself."""
        first = args[0] if args else UNKNOWN
        if name in library.CAST_BUILTINS:
            result = self.severed(args, node, "unknown")
            return (
                result
                if result.cuts
                else Data("unknown", token=("cast", name, self.token(first)) if self.token(first) else None)
            )
        if name == "super":
            return self.parent(args)
        if name in ("getattr", "hasattr", "setattr", "delattr"):
            return self.reflection(name, args, node)
        if name in ("list", "tuple", "set", "sorted", "reversed", "iter"):
            if not args:
                return Box("list" if name != "set" else "set")
            return Box("list" if name != "tuple" else "tuple", self.iterate(first))
        if name == "dict":
            box = Box("dict")
            if isinstance(first, Box):
                box.items.update(first.items)
            box.items.update({("c", key): value for key, value in kwargs.items()})
            return box
        if name == "range":
            return self.counted(args)
        if name in ("enumerate", "zip"):
            return self.paired(name, args)
        if name == "len":
            token = self.token(first) if isinstance(first, Data) else None
            return Data("unknown", token=("meta", "len", token)) if token else Data("unknown")
        if name == "id":
            return Data("unknown", token=("id", id(first.param) if isinstance(first, Data) and first.param else id(first)))
        if name == "next":
            items = self.iterate(first)
            return items[0] if items else UNKNOWN
        if name in ("sum", "max", "min", "abs", "pow", "divmod", "round"):
            values = [item for value in args for item in (self.iterate(value) if isinstance(value, Box) else [value])]
            return self.derive(values, node, name)
        if name in ("map", "filter") and len(args) > 1:
            if name == "filter":
                return Box("list", self.iterate(args[1]))
            return Box("list", [self.call(first, [item], {}, node) for item in self.iterate(args[1])])
        if name == "property" and isinstance(first, Func):
            first.marks |= {"property"}
            return first
        if name == "callable":
            return UNKNOWN
        if name == "isinstance":
            return self.instance(first, args[1] if len(args) > 1 else UNKNOWN)
        return UNKNOWN

    def instance(self, value: Value, kind: Value) -> Value:
        """Isinstance(), where it can be told."""
        if isinstance(value, Obj) and isinstance(kind, Cls) and value.info is not None:
            return const(True) if kind.info in value.info.mro else UNKNOWN
        if isinstance(value, Data) and value.param is not None and isinstance(kind, Lib) and kind.name == "torch.nn.Parameter":
            return const(True)
        if (
            isinstance(value, Data)
            and value.sort in ("tensor", "param")
            and isinstance(kind, Lib)
            and kind.name == "torch.Tensor"
        ):
            return const(True)
        return UNKNOWN

    def parent(self, args: Args) -> Value:
        """super()."""
        for frame in reversed(self.frames):
            func = frame.func
            if func is not None and func.cls is not None and isinstance(func.bound, Obj):
                return Super(func.bound, func.cls)
        del args
        return UNKNOWN

    def reflection(self, name: str, args: Args, node: ast.AST) -> Value:
        """Getattr and its like."""
        if len(args) < 2:
            return UNKNOWN
        owner, key = args[0], args[1]
        known = str(key.const) if isinstance(key, Data) and key.sort == "const" else ""
        if name == "setattr":
            if known:
                self.store_attr(owner, known, args[2] if len(args) > 2 else UNKNOWN, node)
            elif isinstance(owner, Obj) and len(args) > 2:
                self.store_attr(owner, f"<{len(owner.attrs)}>", args[2], node)
            return NONE
        if name == "delattr":
            if isinstance(owner, Obj) and known in owner.attrs:
                self.put(owner.attrs, known, ABSENT)
            return NONE
        if not known:
            return UNKNOWN
        if name == "hasattr":
            if isinstance(owner, Obj):
                if known in owner.attrs or (owner.info is not None and owner.info.find(known)):
                    return const(True)
                return const(False) if owner.info is not None and owner.info.complete else UNKNOWN
            return UNKNOWN
        missing = self.missing
        value = self.load_attr(owner, known, node)
        absent, self.missing = self.missing and not missing, missing
        if (absent or (isinstance(value, Method) and isinstance(owner, Obj))) and len(args) > 2:
            return args[2]
        return value

    def counted(self, args: Args) -> Value:
        """range(): two rounds, or fewer where the text says so."""
        stop = args[1] if len(args) > 1 else args[0] if args else UNKNOWN
        if isinstance(stop, Data) and isinstance(stop.const, int) and len(args) == 1 and stop.const < 4:
            return Box("tuple", [const(n) for n in range(stop.const)])
        return Box("tuple", [const(0), const(1)] if len(args) < 2 else [UNKNOWN, UNKNOWN])

    def paired(self, name: str, args: Args) -> Value:
        """Enumerate, zip."""
        if name == "enumerate":
            return Box(
                "list",
                [Box("tuple", [const(n), item]) for n, item in enumerate(self.iterate(args[0] if args else UNKNOWN)[:4])],
            )
        rows = [self.iterate(value)[:4] for value in args]
        known = [len(row) for row, value in zip(rows, args, strict=True) if isinstance(value, Box)]
        count = min(known) if known else 2
        return Box("list", [Box("tuple", [row[n] if n < len(row) else UNKNOWN for row in rows]) for n in range(count)])

    def iterate(self, value: Value) -> list[Value]:
        if isinstance(value, Box):
            if value.kind == "dict":
                return [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in value.items] or (
                    [UNKNOWN] * 2 if value.rest else []
                )
            found = value.all()
            if value.kind in ("ModuleDict", "ParameterDict"):
                return [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in value.items]
            return found
        if isinstance(value, Data) and (value.deps or value.cuts or value.tracer):
            each = Data("tensor", value.deps, value.cuts)
            each.tracer = value.tracer
            return [each, each]
        if isinstance(value, Obj) and value.info is None:
            return [item for item in value.attrs.values() if isinstance(item, Obj)] or [UNKNOWN, UNKNOWN]
        return [UNKNOWN, UNKNOWN]

    def call_standard(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """functools, copy and the like."""
        first = args[0] if args else UNKNOWN
        if full == "functools.partial":
            return self.partial(first, args[1:], kwargs, node)
        if full in ("functools.lru_cache", "functools.cache"):
            if isinstance(first, Func):
                first.marks |= {"cache"}
                return first
            return Lib("functools.cache")
        if full in ("copy.copy", "copy.deepcopy"):
            return self.copied(first, node)
        if full in ("contextlib.nullcontext", "contextlib.suppress"):
            return UNKNOWN
        if full in ("collections.OrderedDict", "collections.defaultdict"):
            return Box("dict") if not isinstance(first, Box) else first
        if full == "collections.deque":
            return Box("list", self.iterate(first) if isinstance(first, Box) else [])
        if full.startswith("itertools."):
            return Box(
                "list",
                [item for value in args for item in self.iterate(value)] if full.endswith("chain") else [UNKNOWN, UNKNOWN],
            )
        return UNKNOWN

    def partial(self, first: Value, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """functools.partial: the function with what it keeps."""
        if isinstance(first, Func):
            func = self.bind(first, first.bound) if first.bound is not None else self.unbound(first)
            func.args, func.kwargs = [*first.args, *args], {**first.kwargs, **kwargs}
            func.site = self.site()
            for item in node.args[1:] if isinstance(node, ast.Call) else ():
                env = self.frame.env if isinstance(item, ast.Name) else None
                while env is not None and isinstance(item, ast.Name):
                    if item.id in env.vars:
                        func.captured[item.id] = (env.vars, env.vars[item.id])
                        break
                    env = env.parent
            return func
        if isinstance(first, Lib) and (first.name in library.JIT or first.name in library.TRACING):
            return self.wrap(first.name, UNKNOWN, node, kwargs)
        if isinstance(first, Lib) and args:
            return self.holder(f"functools.partial({first.name})", args, kwargs, node)
        return first

    def unbound(self, first: Func) -> Func:
        """A copy of a function."""
        copy = Func(first.node, first.env, first.module, first.name)
        copy.marks, copy.memo, copy.cls = first.marks, first, first.cls
        return copy

    def copied(self, value: Value, node: ast.AST) -> Value:
        """A copy with parameters of its own."""
        if isinstance(value, Data) and value.param is not None and not value.deps:
            param = self.new_param(value.param.sort)
            param.trainable = value.param.trainable
            return Data("param", param=param)
        if isinstance(value, Obj) and self.params_of(value):
            copy = Obj(value.info, value.lib, value.made)
            copy.buffers, copy.parametrized, copy.hooks = value.buffers, value.parametrized, value.hooks
            for name, item in value.attrs.items():
                new = self.copied(item, node) if isinstance(item, (Obj, Data, Box)) else item
                copy.attrs[name] = new
                if isinstance(new, Data) and new.param is not None:
                    new.param.owner, new.param.attr, new.param.registered = copy, name, True
                elif isinstance(new, (Obj, Box)):
                    new.owner, new.attr = copy, name
            return copy
        if isinstance(value, Box):
            copy_box = Box(value.kind)
            copy_box.items = {key: self.copied(item, node) for key, item in value.items.items()}
            return copy_box
        return value

    def holder(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """An object of a class that is not known: it keeps what it is given."""
        raise NotImplementedError
