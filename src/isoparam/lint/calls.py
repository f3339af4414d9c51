"""Calls: functions and classes of the project are followed, those of libraries are known by name."""

import ast
from typing import Any

from isoparam.lint import library
from isoparam.lint.attributes import Named
from isoparam.lint.joining import join
from isoparam.lint.objects import Objects
from isoparam.lint.project import ClassInfo, Module
from isoparam.lint.state import DEPTH, Frame
from isoparam.lint.values import (
    NONE,
    UNKNOWN,
    Box,
    Cls,
    Data,
    Env,
    Func,
    Lib,
    Method,
    Obj,
    Site,
    Value,
    Wrapped,
)


class Calls(Objects):
    """Following of calls."""

    def call(self, callee: Value, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        if isinstance(callee, Func):
            return self.call_function(callee, args, kwargs, node)
        if isinstance(callee, Lib):
            return self.call_library(callee.name, args, kwargs, node)
        if isinstance(callee, Method):
            return self.call_method(callee.of, callee.name, args, kwargs, node)
        if isinstance(callee, Named):
            return self.call_method(callee.of, callee.name, args, kwargs, node)
        if isinstance(callee, Cls):
            return self.construct(callee.info, args, kwargs, node)
        if isinstance(callee, Obj):
            return self.call_object(callee, args, kwargs, node)
        if isinstance(callee, Wrapped):
            return self.call_wrapped(callee, args, kwargs, node)
        if isinstance(callee, Box):
            return self.call_chain(callee, args, node)
        return self.call_unknown(args, kwargs, node)

    def call_function(self, func: Func, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A function of the project."""
        if func.args or func.kwargs:
            args, kwargs = [*func.args, *args], {**func.kwargs, **kwargs}
        if func.bound is not None:
            args = [func.bound, *args]
        if any(mark.endswith((".custom_vjp", ".custom_jvp")) for mark in func.marks):
            return self.derive([*args, *kwargs.values()], node)  # its gradient is written by hand, elsewhere
        if "cache" in func.marks:
            key = tuple(self.token(value) for value in args) + tuple(
                (name, self.token(value)) for name, value in kwargs.items()
            )
            owner = func.memo if func.memo is not None else func
            if key in owner.cache:
                site = self.decorator_site(func)
                return self.aged(owner.cache[key], "cache", lambda: func.name, site, owner, key)
            result = self.enter_function(func, args, kwargs, node)
            self.put(owner.cache, key, result)
            return result
        return self.enter_function(func, args, kwargs, node)

    def method(self, info: ClassInfo, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Func:
        key = (id(info), f"def {node.name}")
        found = self.class_values.get(key)
        if isinstance(found, Func):
            return found
        env = self.module_env(info.module) or Env("module", None)
        func = Func(node, env, info.module, node.name)
        func.cls = info
        self.frames.append(Frame(env, info.module, None))
        self.frame.stmt = node
        try:
            func.marks = self.marks(node, info.module)
        finally:
            self.frames.pop()
        self.class_values[key] = func
        return func

    def marks(self, node: Any, module: Module) -> frozenset[str]:
        """What decorators say of a function."""
        found = set()
        for decorator in node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            full = self.project.dotted(target, module)
            if full in ("functools.partial", "partial") and isinstance(decorator, ast.Call) and decorator.args:
                full = self.project.dotted(decorator.args[0], module)
            found.add(_MARKS.get(full) or ("no_grad" if full in library.NO_GRAD else "jit" if full in library.JIT else full))
        return frozenset(found)

    def bind(self, func: Func, value: Value) -> Func:
        copy = Func(func.node, func.env, func.module, func.name)
        copy.bound, copy.cls, copy.marks, copy.memo = value, func.cls, func.marks, func
        copy.site = func.site
        return copy

    def call_unknown(self, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A function that is not known: what was computed from parameters goes through it, a parameter as such does not."""
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Data) and (value.deps or value.tracer)]
        if not given:
            return Data("unknown", token=("at", id(node)))
        result = self.derive(given, node)
        result.sort = "unknown" if not result.deps else "tensor"
        return result

    # Functions

    def enter_function(self, func: Func, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """Run the body in a scope of its own."""
        if (
            len(self.frames) > DEPTH
            or sum(frame.func is not None and frame.func.node is func.node for frame in self.frames) > 1
        ):
            return self.derive([value for value in args if isinstance(value, Data)], node)
        self.spend()
        self.visited.add(id(func.node))
        start = self.clock
        env = Env("function", func.env)
        env.born = start
        frame = Frame(env, func.module, func)
        self.frames.append(frame)
        grad, missing = self.grad, self.missing
        self.missing = False
        kept_site = self.no_grad_site
        if "no_grad" in func.marks:
            self.grad = False
            self.no_grad_site = self.decorator_site(func)
        try:
            self.fill(func, env, args, kwargs)
            if isinstance(func.node, ast.Lambda):
                frame.stmt = func.node
                result = self.evaluate(func.node.body)
            else:
                self.run(func.node.body)
                for changes in frame.exits:
                    self.merge(changes, [])
                result = self.returned(frame)
        finally:
            self.frames.pop()
            self.grad, self.missing, self.no_grad_site = grad, missing, kept_site
        return self.rebased(result, start) if self.frames else result

    def decorator_site(self, func: Func) -> Site | None:
        """Where the first decorator of a function stands."""
        decorators = getattr(func.node, "decorator_list", ())
        return (
            Site(func.module.path, decorators[0].lineno, decorators[0].col_offset + 1, "cache", id(func.node))
            if decorators
            else None
        )

    def returned(self, frame: Frame) -> Value:
        """What a function gives back, by any of its ways."""
        if frame.yields:
            return Box("list", frame.yields)
        values = frame.returns
        if not values:
            return NONE
        result = values[0]
        for value in values[1:]:
            result = join(result, value)
        return result

    def rebased(self, value: Value, start: int) -> Value:
        """A graph that began within a call began, for the caller, at the call."""
        if isinstance(value, Box) and value.kind in ("tuple", "list"):
            for key, item in value.items.items():
                if isinstance(item, Data) and item.deps:
                    value.items[key] = self.rebased(item, start)
            return value
        if not isinstance(value, Data) or not value.deps or not any(dep.born > start for dep in value.deps.values()):
            return value
        site = self.site()
        deps = {param: dep._replace(site=site) if dep.born > start else dep for param, dep in value.deps.items()}
        copy = Data(value.sort, deps, value.cuts, value.const, value.param, value.token)
        copy.view, copy.maps, copy.tracer = value.view, value.maps, value.tracer
        return copy

    def fill(self, func: Func, env: Env, args: list[Value], kwargs: dict[str, Value]) -> None:
        """Arguments by position and name, defaults for the rest."""
        spec: ast.arguments = func.node.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
        bound = env.vars
        bound.update(zip(names, args, strict=False))
        if spec.vararg is not None:
            bound[spec.vararg.arg] = Box("tuple", args[len(names) :])
        rest = Box("dict")
        allowed = {*names, *(arg.arg for arg in spec.kwonlyargs)}
        for name, value in kwargs.items():
            if name in allowed:
                bound[name] = value
            else:
                rest.items[("c", name)] = value
        if spec.kwarg is not None:
            bound[spec.kwarg.arg] = rest
        defaults = zip(reversed(names), reversed(spec.defaults), strict=False)
        for name, default in (*defaults, *((a.arg, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True))):
            if name not in bound and default is not None:
                bound[name] = (
                    self.evaluate(default)
                    if isinstance(default, ast.Constant) and not isinstance(default.value, bool)
                    else UNKNOWN
                )
        for name in allowed:
            if name not in bound:
                bound[name] = Data("unknown", token=("arg", name))

    def decorated(self, func: Func, node: Any) -> Value:
        func.marks = self.marks(node, self.frame.module)
        value: Value = func
        for decorator in reversed(node.decorator_list):
            value = self.decorate(value, decorator)
        return value

    def decorate(self, value: Value, decorator: ast.expr) -> Value:
        """One decorator; one that is not known leaves the function as it is."""
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        full = self.project.dotted(target, self.frame.module)
        if full in library.JIT or full in library.TRACING or full in ("functools.partial", "partial"):
            applied = self.evaluate(decorator)
            if isinstance(decorator, ast.Call) and isinstance(applied, (Func, Lib, Wrapped)) and full in library.JIT:
                return self.wrap(full, value, decorator, {})
            if isinstance(applied, Wrapped) and applied.inner is UNKNOWN:
                applied.inner = value
                return applied
            if isinstance(applied, Lib):
                return self.call_library(applied.name, [value], {}, decorator)
        return value

    def wrap(self, full: str, inner: Value, node: ast.AST, kwargs: dict[str, Value]) -> Value:
        """A function under a transformation."""
        return Wrapped(full, inner, self.site(node))

    # Objects

    def call_wrapped(self, callee: Wrapped, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A function under a transformation."""
        return self.call(callee.inner, args, kwargs, node)

    def call_library(self, full: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A function or class of a library."""
        raise NotImplementedError

    def call_method(self, of: Value, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A method of data, of a container, of an object of a library."""
        raise NotImplementedError


_MARKS = {
    "property": "property",
    "functools.cached_property": "cached_property",
    "cached_property": "cached_property",
    "functools.lru_cache": "cache",
    "functools.cache": "cache",
    "lru_cache": "cache",
    "cache": "cache",
    "staticmethod": "static",
    "classmethod": "class",
    "torch.utils.data.cached_property": "cached_property",
    "linear_operator.utils.memoize.cached": "cached_method",
}
