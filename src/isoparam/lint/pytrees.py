"""Pytrees as they are made: a leaf that follows from another one, a static field that follows from a leaf."""

import ast
from typing import TYPE_CHECKING

from isoparam.lint import library
from isoparam.lint.project import ClassInfo
from isoparam.lint.state import Found
from isoparam.lint.values import Data, Obj, Param

if TYPE_CHECKING:
    from isoparam.lint.tracing import Tracing


def look_at(machine: "Tracing", obj: Obj, node: ast.AST | None) -> None:
    """Every attribute of a new pytree, compared with the leaves that it holds."""
    info: ClassInfo = obj.info
    leaves = {value.param: name for name, value in obj.attrs.items() if isinstance(value, Data) and value.param is not None}
    static = static_fields(machine, info)
    own_init = info.find("__init__") is not None
    for name, value in obj.attrs.items():
        if not isinstance(value, Data):
            continue
        if value.param is not None and not value.deps:
            if name in static and value.param.sort == "array" and own_init:
                machine.found.append(
                    Found("static-field", f"{info.name}.{name}", (name,), obj.sites.get(name) or machine.site(), "array")
                )
            continue
        sources = [param for param in (*value.deps, *value.cuts) if param in leaves or info.kind == "linen"]
        site = obj.sites.get(name) if own_init else machine.site()
        if not sources or site is None:
            continue
        names = tuple(leaves.get(param) or param.name or "the leaf" for param in sources)
        mapped = set(value.maps) & library.CONSTRAINT_MAPS and "random" not in value.maps
        label = f"{info.name}.{name}"
        if info.kind == "linen":
            if mapped:
                machine.found.append(Found("jit-captured-param", label, (), site, "field"))
        elif name in static:
            machine.found.append(Found("static-field", label, names, site, ""))
        elif value.deps and _decoupled(info, sources, value, bool(mapped)):
            machine.found.append(Found("decoupled-derived-leaf", label, names, site, info.kind))


def _decoupled(info: ClassInfo, sources: list[Param], value: Data, mapped: bool) -> bool:
    if info.kind in ("dataclass", "pytree"):
        return False
    if info.kind == "nnx":
        return any(param.sort == "nnx" and param in value.deps for param in sources)
    return mapped


def static_fields(machine: "Tracing", info: ClassInfo) -> set[str]:
    """Fields that belong to the structure of a pytree, not to its leaves."""
    found: set[str] = set()
    for each in info.mro:
        for name, value in each.fields.items():
            if isinstance(value, ast.Call):
                found.update(name for item in value.keywords if _says_static(item))
        for decorator in each.node.decorator_list:
            for item in decorator.keywords if isinstance(decorator, ast.Call) else ():
                if item.arg == "meta_fields":
                    found.update(str(part.value) for part in ast.walk(item.value) if isinstance(part, ast.Constant))
    return found | _registered_static(info)


def _registered_static(info: ClassInfo) -> set[str]:
    found: set[str] = set()
    for stmt in info.module.tree.body:
        call = stmt.value if isinstance(stmt, (ast.Expr, ast.Assign)) else None
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == info.name:
            for item in call.keywords:
                if item.arg == "meta_fields":
                    found.update(str(part.value) for part in ast.walk(item.value) if isinstance(part, ast.Constant))
    return found


def _says_static(item: ast.keyword) -> bool:
    if not isinstance(item.value, ast.Constant):
        return False
    return (item.arg == "static" and item.value.value is True) or (item.arg == "pytree_node" and item.value.value is False)
