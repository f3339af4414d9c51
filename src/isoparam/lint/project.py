"""The checked files as one project: modules by dotted name, what their names mean, classes with bases across files."""

import ast
import os
from collections.abc import Iterable

from isoparam.lint import library
from isoparam.lint.sources import Source
from isoparam.lint.values import Env


class Module:
    """One file: its imports in full names, its functions and classes."""

    def __init__(self, source: Source, name: str) -> None:
        assert source.tree is not None
        self.source = source
        self.path = source.path
        self.name = name
        self.tree = source.tree
        self.imports: dict[str, str] = {}
        self.classes: dict[str, ClassInfo] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.env: Env | None = None  # its variables, once it was run
        self.is_package = os.path.basename(source.path) == "__init__.py"
        self._collect(self.tree.body)

    def _collect(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = ClassInfo(node, self)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions[node.name] = node
            elif isinstance(node, (ast.If, ast.Try, ast.With)):
                self._collect(node.body)
                for part in getattr(node, "handlers", ()):
                    self._collect(part.body)
                self._collect(getattr(node, "orelse", ()))
        for node in ast.walk(self.tree) if body is self.tree.body else ():
            if isinstance(node, ast.ClassDef):
                if self.classes.get(node.name) is None or self.classes[node.name].node is not node:
                    self.classes[f"{node.name}:{node.lineno}"] = ClassInfo(node, self)  # within a function
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = f"{base}.{alias.name}" if base else alias.name

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        keep = len(parts) - node.level + (1 if self.is_package else 0)
        return ".".join([*parts[: max(keep, 0)], *([node.module] if node.module else [])])


class ClassInfo:
    """One class: methods, bases in full, and what kind of pytree or module it is."""

    def __init__(self, node: ast.ClassDef, module: Module) -> None:
        self.node = node
        self.module = module
        self.name = node.name
        self.methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.fields: dict[str, ast.expr | None] = {}  # annotated names of its body, in order
        self.values: dict[str, ast.expr] = {}  # plain assignments of its body
        for item in node.body:
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if not any(isinstance(d, ast.Attribute) and d.attr in ("setter", "deleter") for d in item.decorator_list):
                    self.methods[item.name] = item
            elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                self.fields[item.target.id] = item.value
            elif isinstance(item, ast.Assign):
                for target in item.targets:
                    if isinstance(target, ast.Name):
                        self.values[target.id] = item.value
        self.mro: list[ClassInfo] = [self]
        self.bases: list[str] = []  # full names of those outside of the project
        self.kind = ""  # torch, nnx, linen, eqx, struct, dataclass, "" for a plain class
        self.complete = True  # every base is known

    def find(
        self, name: str, after: "ClassInfo | None" = None
    ) -> "tuple[ClassInfo, ast.FunctionDef | ast.AsyncFunctionDef] | None":
        """The method of a name, and the class that has it; only in the classes behind `after`."""
        start = self.mro.index(after) + 1 if after in self.mro else 0
        for info in self.mro[start:]:
            if name in info.methods:
                return info, info.methods[name]
        return None

    def decorators(self, resolve: "Project") -> list[tuple[str, ast.expr]]:
        """Full names of its decorators, each with its node."""
        return [(resolve.dotted(d.func if isinstance(d, ast.Call) else d, self.module), d) for d in self.node.decorator_list]


class Project:
    """All modules of an examination."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.modules: dict[str, Module] = {}
        self.by_path: dict[str, Module] = {}
        for source in sources:
            if source.tree is not None:
                module = Module(source, module_name(source.path))
                self.modules.setdefault(module.name, module)
                self.by_path[source.path] = module
        self.tails: dict[str, list[Module]] = {}
        for module in self.by_path.values():
            self.tails.setdefault(module.name.rsplit(".", 1)[-1], []).append(module)
        for module in self.by_path.values():
            for info in module.classes.values():
                self._link(info, ())

    def dotted(self, node: ast.AST | None, module: Module) -> str:
        """Full name that an expression of names and attributes stands for; "" where it is none."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts.append(module.imports.get(node.id, node.id))
        return normal(".".join(reversed(parts)))

    def lookup(self, full: str, asking: Module) -> "tuple[Module, str] | None":
        """The module of the project and the name in it that a full name means to a module.

        The libraries that the lint knows are themselves to others, even where their text is checked too.
        """
        root = full.partition(".")[0]
        if root in _LIBRARIES and root != asking.name.partition(".")[0]:
            return None
        for _ in range(4):  # names that are imported on
            base, _, name = full.rpartition(".")
            found = self.module(base)
            if found is None or not name:
                return None
            if name in found.classes or name in found.functions or name not in found.imports:
                return found, name
            full = found.imports[name]
        return None

    def module(self, name: str) -> Module | None:
        """The module of a dotted name, as seen from any root."""
        if name in self.modules:
            return self.modules[name]
        if name.split(".")[0] in _LIBRARIES:
            return None
        for module in self.tails.get(name.rsplit(".", 1)[-1], ()):
            if module.name.endswith("." + name):
                return module
        return None

    def find_class(self, full: str, module: Module) -> ClassInfo | None:
        """The class of the project that a full name means in a module."""
        if full in module.classes:
            return module.classes[full]
        found = self.lookup(full, module)
        return found[0].classes.get(found[1]) if found else None

    def _link(self, info: ClassInfo, path: tuple[str, ...]) -> None:
        """Bases of a class, its order of resolution and its kind."""
        if info.kind or len(info.mro) > 1 or info.bases or info.name in path or len(path) > 20:
            return
        for node in info.node.bases:
            if isinstance(node, ast.Subscript):
                node = node.value
            full = self.dotted(node, info.module)
            base = self.find_class(full, info.module)
            if base is not None and base is not info:
                self._link(base, (*path, info.name))
                info.mro.extend(each for each in base.mro if each not in info.mro)
                info.bases.extend(base.bases)
                info.complete &= base.complete
            elif full:
                info.bases.append(full)
        known = {"object", "abc.ABC", "typing.Generic", "typing.Protocol", "torch.nn.Module"}
        info.complete &= all(base in known or _kind_of_base(base) for base in info.bases)
        info.kind = next((kind for kind in map(_kind_of_base, info.bases) if kind), "") or _kind_by_decorator(info, self)


_LIBRARIES = {
    "torch",
    "jax",
    "flax",
    "optax",
    "numpy",
    "equinox",
    "functools",
    "typing",
    "copy",
    "dataclasses",
    "math",
    "collections",
}


def module_name(path: str) -> str:
    """Dotted name of a file, from the topmost folder that is a package."""
    folder, file = os.path.split(os.path.abspath(path))
    parts = [] if file == "__init__.py" else [file.removesuffix(".py")]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.append(name)
    return ".".join(reversed(parts)) or file.removesuffix(".py")


_LONG = (
    ("torch.nn.modules.", "torch.nn."), ("torch.nn.parameter.", "torch.nn."), ("flax.experimental.nnx", "flax.nnx"),
    ("torch.functional.", "torch."), ("flax.nnx.", "flax.nnx."), ("jax.tree_util.tree_map", "jax.tree.map"),
)  # fmt: skip


def normal(full: str) -> str:
    """One name for what has several."""
    for long, short in _LONG:
        if full.startswith(long):
            full = short + full[len(long) :]
    if full.startswith("torch.nn.") and full.count(".") > 2 and full.split(".")[2] in ("linear", "conv", "module", "container"):
        full = "torch.nn." + full.rsplit(".", 1)[-1]
    return full


def _kind_of_base(full: str) -> str:
    if full in library.TORCH_BASES or (full.startswith("torch.nn.") and full.rsplit(".", 1)[-1][:1].isupper()):
        return "torch"
    if full in library.NNX_BASES:
        return "nnx"
    if full in library.LINEN_BASES:
        return "linen"
    if full in library.EQX_BASES:
        return "eqx"
    return "struct" if full in library.STRUCT_BASES else ""


def _kind_by_decorator(info: ClassInfo, project: Project) -> str:
    kind = ""
    for full, _ in info.decorators(project):
        if full in ("flax.struct.dataclass", "chex.dataclass", "flax.nnx.dataclass"):
            return "struct"
        if full.endswith(("register_dataclass", "register_pytree_node_class", "register_static")):
            return "struct" if full.endswith("register_dataclass") else "pytree"
        if full in ("functools.partial", "partial"):
            node = next(d for f, d in info.decorators(project) if f == full)
            first = node.args[0] if isinstance(node, ast.Call) and node.args else None
            if project.dotted(first, info.module).endswith("register_dataclass"):
                return "struct"
        if full in ("dataclasses.dataclass", "dataclass"):
            kind = "dataclass"
    return kind
