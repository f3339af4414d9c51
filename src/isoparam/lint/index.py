"""What a project says in names alone: who is called, which attributes are written from outside, where training happens."""

import ast
from dataclasses import dataclass, field
from typing import Any

from isoparam.lint.project import ClassInfo, Module, Project

_LIVELY = {
    "backward", "step", "jit", "grad", "value_and_grad", "parameters", "apply_updates", "filter_jit", "autocast", "cached",
    "apply_gradients", "scan", "vmap", "make_jaxpr", "filter_grad", "filter_value_and_grad", "manual_backward",
    "Parameter", "at",
}  # fmt: skip


@dataclass
class Names:
    """Names of a project.

    Attributes:
        calls: names called as attributes, each with the functions that do so.
        stores: attribute names written on something else than self, each with the functions that do so.
        inner: attribute names written on self, by class and method.
        optimized: attribute names within the arguments of an optimizer.
        trains: whether backward() is called anywhere.
    """

    calls: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    stores: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    inner: dict[int, dict[str, set[str]]] = field(default_factory=dict)
    optimized: set[str] = field(default_factory=set)
    trains: bool = False
    lively: set[int] = field(default_factory=set)
    called: dict[int, set[str]] = field(default_factory=dict)


def near(found: set[tuple[str, str]], name: str, info: ClassInfo, project: Project) -> set[str]:
    """Functions that name an attribute where it can be one of a class: in its file, or where its file is imported."""
    home = info.module
    homes = {each.module.path for each in info.mro}
    package = home.name.split(".")[0]
    result = set()
    for function, path in found:
        other = project.by_path[path]
        known = path in homes or any(full.startswith(home.name) for full in other.imports.values())
        if known or (len(name) > 3 and "." in home.name and other.name.split(".")[0] == package):
            result.add(function)
    return result


def collect(project: Project) -> Names:
    """The names of all modules of a project."""
    names = Names()
    for module in project.by_path.values():
        _visit(module.tree, names, "", None, module)
    for module in project.by_path.values():
        _spread(module, names)
    return names


def _visit(root: ast.AST, names: Names, function: str, info: ClassInfo | None, module: Module) -> None:
    stack: list[tuple[Any, str, ClassInfo | None, int]] = [(root, function, info, 0)]
    while stack:
        node, function, info, owner = stack.pop()
        kind = type(node)
        if kind is ast.ClassDef:
            info = module.classes.get(f"{node.name}:{node.lineno}") or module.classes.get(node.name, info)
            function, owner = "", 0
        elif kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
            if not owner:
                function, owner = node.name, id(node)
        elif kind is ast.Call:
            func = node.func
            for given in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(given, ast.Attribute):  # a method that is handed on, to be called by others
                    names.calls.setdefault(given.attr, set()).add((function, module.path))
            if isinstance(func, ast.Attribute):
                names.calls.setdefault(func.attr, set()).add((function, module.path))
                if func.attr == "backward":
                    names.trains = True
                if func.attr.endswith("_") and isinstance(func.value, ast.Attribute):
                    _stored(func.value, names, function, info, module)
                if func.attr in ("clear", "pop") and isinstance(func.value, ast.Attribute):
                    _stored(func.value, names, function, info, module)
                if func.attr[:1].isupper() and "optim" in ast.dump(func.value):
                    names.optimized.update(
                        part.attr for arg in node.args for part in ast.walk(arg) if isinstance(part, ast.Attribute)
                    )
            elif isinstance(func, ast.Name):
                names.called.setdefault(owner, set()).add(func.id)
        elif kind is ast.Attribute:
            if isinstance(node.ctx, (ast.Store, ast.Del)):
                _stored(node, names, function, info, module)
            if node.attr in _LIVELY and owner:
                names.lively.add(owner)
        elif kind is ast.Subscript and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Attribute):
            _stored(node.value, names, function, info, module)
        elif kind is ast.Name and owner and node.id in _LIVELY:
            names.lively.add(owner)
        for name in node._fields:  # ast.iter_child_nodes, without its generators
            value = getattr(node, name, None)
            if isinstance(value, list):
                stack.extend((each, function, info, owner) for each in value if isinstance(each, ast.AST))
            elif isinstance(value, ast.AST) and value._fields:
                stack.append((value, function, info, owner))


def _stored(node: ast.Attribute, names: Names, function: str, info: ClassInfo | None, module: Module) -> None:
    if isinstance(node.value, ast.Name) and node.value.id == "self" and info is not None:
        names.inner.setdefault(id(info), {}).setdefault(node.attr, set()).add(function)
    else:
        names.stores.setdefault(node.attr, set()).add((function, module.path))


def _spread(module: Module, names: Names) -> None:
    """A function that calls a lively one is lively."""
    changed = True
    nodes = module.functions
    while changed:
        changed = False
        for node in nodes.values():
            if id(node) not in names.lively:
                for called in names.called.get(id(node), ()):
                    target = nodes.get(called)
                    if target is not None and id(target) in names.lively:
                        names.lively.add(id(node))
                        changed = True
                        break


def attributes_of(info: ClassInfo) -> set[str]:
    """Every name that instances of a class are known to have."""
    found: set[str] = set()
    for each in info.mro:
        found.update(each.methods, each.fields, each.values)
        for node in ast.walk(each.node):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") == "self":
                found.add(node.attr)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("register_"):
                found.update(str(first.value) for first in node.args[:1] if isinstance(first, ast.Constant))
    return found
