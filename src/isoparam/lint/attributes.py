"""Attributes and items, read and written; the places that keep a value from one step to the next."""

import ast

from isoparam.lint import library
from isoparam.lint.project import ClassInfo, normal
from isoparam.lint.values import (
    UNKNOWN,
    Box,
    Cls,
    Data,
    Func,
    Lib,
    Method,
    Obj,
    Super,
    Token,
    Value,
    const,
    label_of,
)
from isoparam.lint.writing import Writing


class Attributes(Writing):
    """Reading and writing of attributes and items."""

    def load_attr(self, value: Value, name: str, node: ast.AST) -> Value:
        if isinstance(value, Obj):
            return self.of_object(value, name, node)
        if isinstance(value, Lib):
            return self.of_library(value, name)
        if isinstance(value, Data):
            return self.of_data(value, name, node)
        if isinstance(value, Super):
            return self.of_class(value.of, name, node, value.after) or Method(value, name, node)
        if isinstance(value, Cls):
            return self.of_class_itself(value.info, name)
        if isinstance(value, Func) and name in ("__wrapped__",):
            return value
        return Method(value, name, node)

    def of_library(self, value: Lib, name: str) -> Value:
        """A further part of a library, or of a module of the project."""
        full = normal(f"{value.name}.{name}")
        return self.imported(full)

    def imported(self, full: str) -> Value:
        """What a full name means."""
        raise NotImplementedError

    def of_object(self, value: Obj, name: str, node: ast.AST) -> Value:
        """An attribute of an instance."""
        if name in value.attrs:
            found = value.attrs[name]
            if name in value.parametrized:
                return self.derive([found], node)
            sort = "buffer" if name in value.buffers else "attr"
            self.captured_attr(value, name, found, node)
            if isinstance(found, Data) and found.deps:
                return self.aged(found, sort, lambda: label_of(value, name), value.sites.get(name), value, name)
            return found
        if name == "training":
            return const(True)
        if value.info is not None:
            method = self.of_class(value, name, node, None)
            if method is not None:
                return method
            if name in value.info.fields:
                return UNKNOWN
            if value.info.kind in ("torch", "nnx", "linen", "eqx", "struct") and name in _OBJECT_METHODS:
                return Method(value, name, node)
            if value.info.complete and value.info.kind in ("torch", "", "dataclass", "nnx"):
                self.missing = True
            return Method(value, name, node) if value.info.kind else Data("unknown", token=("attr", id(value), name))
        if value.extra and name not in _OBJECT_METHODS and not value.lib.startswith("torch.nn."):
            return self.held(value, node) if name in _HELD_ATTRS else Method(value, name, node)
        return Method(value, name, node)

    def held(self, value: Obj, node: ast.AST) -> Value:
        """What an object of a library computes from what it was given."""
        result = self.derive(value.extra, node)
        if value.buffers:
            name = next(iter(value.buffers))
            return self.aged(result, "buffer", lambda: label_of(value, name), value.made, value, name)
        if value.lib.startswith("functools.partial"):
            return self.aged(result, "closure", lambda: label_of(value, ""), value.made, value, "")
        return self.aged(result, "attr", lambda: label_of(value, "") or value.lib.rsplit(".", 1)[-1], value.made, value, "")

    def captured_attr(self, value: Obj, name: str, found: Value, node: ast.AST) -> None:
        """Told by the part that follows JAX's tracing."""

    def of_class(self, value: Obj, name: str, node: ast.AST, after: ClassInfo | None) -> Value | None:
        """A method, bound; a property, called; a value of the class body."""
        info: ClassInfo = value.info
        if info is None:
            return None
        found = info.find(name, after)
        if found is not None:
            func = self.method(found[0], found[1])
            if func.marks & {"property", "cached_property"}:
                return self.read_property(value, func, name, node)
            if "static" in func.marks:
                return func
            return self.bind(func, Cls(info) if "class" in func.marks else value)
        for each in info.mro:
            if name in each.values or each.fields.get(name) is not None:
                expr = each.values.get(name, each.fields.get(name))
                return self.class_value(each, name, expr)
        return None

    def read_property(self, value: Obj, func: Func, name: str, node: ast.AST) -> Value:
        """A property is computed again; a cached one keeps what it was."""
        result = self.call(self.bind(func, value), [], {}, node)
        if "cached_property" in func.marks:
            self.put(value.attrs, name, result)
            decorators = func.node.decorator_list
            self.put(
                value.sites,
                name,
                self.site(decorators[0] if decorators else func.node)._replace(phase="cache", file=func.module.path),
            )
        return result

    def class_value(self, info: ClassInfo, name: str, expr: ast.expr | None) -> Value:
        """A value of the class body, evaluated once."""
        key = (id(info), name)
        if key not in self.class_values:
            self.class_values[key] = UNKNOWN
            env = self.module_env(info.module)
            if env is not None and expr is not None:
                self.class_values[key] = self.inside(info.module, env, expr)
        return self.class_values[key]

    def of_class_itself(self, info: ClassInfo, name: str) -> Value:
        """Class.name."""
        found = info.find(name)
        if found is not None:
            func = self.method(found[0], found[1])
            return self.bind(func, Cls(info)) if "class" in func.marks else func
        for each in info.mro:
            if name in each.values:
                return self.class_value(each, name, each.values[name])
        return UNKNOWN

    def of_data(self, value: Data, name: str, node: ast.AST) -> Value:
        """An attribute of a tensor, or of what is not known."""
        if name in ("value", "raw_value") and value.param is not None and value.param.sort == "nnx":
            return self.derive([value], node)
        if name == "data" and (value.param is not None or value.deps):
            return self.severed([value], node)
        if name == "grad":
            return Data("unknown")
        if name == "_version":
            param = value.param or next(iter(value.deps), None)
            return Data("unknown", token=("version", id(param), param.stepped) if param is not None else None)
        if name in library.META_ATTRS:
            base = value.token if value.token is not None else ("param", id(value.param)) if value.param else ("at", id(node))
            return Data("unknown", token=("meta", name, base))
        if name in library.VIEW_ATTRS and (value.param is not None or value.deps):
            return self.viewed(value, self.derive([value], node))
        if value.sort == "unknown" and not value.deps and not value.cuts and value.param is None:
            token = ("attr", value.token, name) if value.token is not None else None
            return Method(value, name, node) if value.token is None else _Named(value, name, node, token)
        return Method(value, name, node)

    def viewed(self, source: Data, result: Data) -> Data:
        """A view of a parameter that is nothing else stays a view."""
        param = source.view or (source.param if not source.deps else None)
        if param is not None and len(result.deps) == 1:
            result.view = param
        return result

    def load_item(self, value: Value, index: Value, node: ast.AST) -> Value:
        """value[index]."""
        if isinstance(value, Box):
            token = self.token(index)
            found = value.items.get(token) if token is not None else None
            if token is not None and token[0] == "c" and isinstance(token[1], int) and token[1] < 0 and value.kind != "dict":
                items = list(value.items.values())
                found = items[token[1]] if len(items) >= -token[1] else None
            if token is not None and token[0] == "slice":
                return value
            if found is None:
                found = value.rest
            if found is None:
                if value.kind == "dict" and token is not None:
                    self.missing = True
                return value.all()[-1] if value.all() and value.kind != "dict" else UNKNOWN
            site = value.sites.get(token) or value.sites.get("rest")
            self.captured_item(value, token, found, node)
            return self.aged(found, "item", lambda: f"{label_of(value.owner, value.attr)}[...]", site, value, token)
        if isinstance(value, Data):
            if not value.deps and value.param is None and not value.cuts and value.maps == ():
                inner, key = value.token, self.token(index)
                result = Data(
                    value.sort if value.sort == "tensor" else "unknown", token=("item", inner, key) if inner and key else None
                )
                result.tracer = value.tracer
                return result
            result = self.derive([value], node)
            basic = isinstance(node, ast.Subscript) and not any(
                isinstance(part, (ast.Call, ast.List, ast.Attribute, ast.Compare)) for part in ast.walk(node.slice)
            )
            if basic and isinstance(index, (Data, Box)) and not isinstance(node, ast.Name):
                named = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and not _whole_number(index)
                return result if named else self.viewed(value, result)
            return result
        if isinstance(value, Method) and value.name == "__dict__" and isinstance(index, Data) and index.sort == "const":
            return self.load_attr(value.of, str(index.const), node)
        if isinstance(value, Obj) and value.info is None and value.lib.startswith("torch.nn."):
            return next((each for each in value.attrs.values() if isinstance(each, Obj)), UNKNOWN)
        return UNKNOWN

    def captured_item(self, value: Box, token: object, found: Value, node: ast.AST) -> None:
        """Told by the part that follows JAX's tracing."""

    # Writing

    # What other parts say

    def token(self, value: Value) -> Token | None:
        """What stands for a value as a key."""
        raise NotImplementedError

    def method(self, info: ClassInfo, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Func:
        """A method as a function, with what its decorators say."""
        raise NotImplementedError

    def bind(self, func: Func, value: Value) -> Func:
        """The function with its self."""
        raise NotImplementedError

    def module_env(self, module: object) -> object:
        """The variables of a module."""
        raise NotImplementedError

    def inside(self, module: object, env: object, expr: ast.expr) -> Value:
        """An expression, evaluated at the top of a module."""
        raise NotImplementedError


class _Named(Data):
    """An attribute of something unknown: itself unknown, equal to itself, and a method when it is called."""

    __slots__ = ("name", "node", "of")

    def __init__(self, of: Data, name: str, node: ast.AST, token: tuple[object, ...] | None) -> None:
        super().__init__("unknown", token=token)
        self.of = of
        self.name = name
        self.node = node


Named = _Named
_OBJECT_METHODS = {
    "parameters", "named_parameters", "children", "named_children", "modules", "named_modules", "state_dict",
    "load_state_dict", "to", "cuda", "cpu", "float", "double", "half", "train", "eval", "requires_grad_", "apply",
    "zero_grad", "register_buffer", "register_parameter", "register_module", "add_module", "buffers", "named_buffers",
    "register_forward_pre_hook", "register_forward_hook", "register_full_backward_hook", "type", "share_memory",
    "get_parameter", "get_submodule", "bfloat16", "compile", "log", "log_dict", "manual_backward", "optimizers", "init",
    "param", "variable", "put_variable", "sow", "replace", "bind", "save_hyperparameters", "lr_schedulers",
    "__class__", "items", "keys", "values", "__dict__", "_buffers", "_parameters", "_modules",
    "register_load_state_dict_pre_hook", "_register_load_state_dict_pre_hook", "_register_state_dict_hook", "get_buffer",
    "register_state_dict_pre_hook", "named_priors", "register_prior", "register_constraint", "forward", "__call__",
    "extra_repr",
}  # fmt: skip
_HELD_ATTRS = {
    "mean", "stddev", "variance", "scale", "loc", "covariance_matrix", "scale_tril", "precision_matrix", "probs", "logits",
    "base_dist", "weight", "mode", "concentration", "rate", "df",
}  # fmt: skip


def _whole_number(index: Value) -> bool:
    return isinstance(index, Data) and index.sort == "const"
