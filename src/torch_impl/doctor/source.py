"""Where in the text something was assigned: read from the source of classes and functions, never run."""

import ast
import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

from torch_impl.doctor.state import Held

_GROWING = frozenset(["append", "extend", "add", "insert", "appendleft", "update", "setdefault"])
_BORN = ("__init__", "__post_init__", "__new__", "__setstate__")


class Place(NamedTuple):
    """One assignment.

    Attributes:
        file: path of the file.
        line: its line, from 1.
        function: name of the function around it; "" for none.
        value: the right side as text; "" where there is none.
        kind: "assign", "augment", "mutate" (append and the like), "decorate" or "buffer".
        guarded: whether it stands under an `if`.
        argument: whether the right side is an argument of the function as it came.
    """

    file: str
    line: int
    function: str
    value: str
    kind: str
    guarded: bool = False
    argument: bool = False


@functools.lru_cache(maxsize=256)
def tree_of(file: str) -> ast.Module | None:
    """The syntax tree of a file; None where it cannot be read."""
    try:
        with open(file, encoding="utf-8") as text:
            return ast.parse(text.read())
    except (OSError, SyntaxError, ValueError):
        return None


def file_of(kind: type) -> str:
    """The file of a class; "" where there is none."""
    for value in vars(kind).values():
        function = inspect.unwrap(value) if callable(value) else getattr(value, "fget", None) or getattr(value, "func", None)
        if isinstance(function, types.FunctionType) and function.__module__ == kind.__module__:
            return function.__code__.co_filename
    try:
        return inspect.getsourcefile(kind) or ""
    except (OSError, TypeError):
        return ""


def class_node(kind: type) -> ast.ClassDef | None:
    """The definition of a class in its file."""
    tree: Any = tree_of(file_of(kind))
    lines = [value.__code__.co_firstlineno for value in vars(kind).values() if isinstance(value, types.FunctionType)]
    best = None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            if any(node.lineno <= line <= (node.end_lineno or 0) for line in lines):
                return node
            best = best or node
    return best


def functions_in(kind: type) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(file, definition) of every method that a class has from files of the user."""
    for base in kind.__mro__:
        theirs = base.__module__.partition(".")[0] in ("torch", "builtins")
        if theirs and not base.__module__.startswith("torch.distributions"):
            continue
        node, file = class_node(base), file_of(base)
        for entry in node.body if node else ():
            if isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef):
                yield file, entry


def born_with(kind: type) -> set[str]:
    """The methods that run when an object of the class is made: __init__ and what it calls."""
    calls: dict[str, set[str]] = {}
    for _, function in functions_in(kind):
        found = calls.setdefault(function.name, set())
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found.add(node.func.attr)
    reached, waiting = set(), [name for name in _BORN if name in calls]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(calls.get(name, ()))
    return reached


def places_in_class(kind: type, attr: str) -> list[Place]:
    """Every place in a class where an attribute of this name is set, of any object."""
    return [place for file, function in functions_in(kind) for place in _places(function, attr, file, _attribute_named)]


def is_run_later(kind: type, name: str) -> bool:
    """Whether a method that `__init__` uses is called, or handed on, by anything else in the file of its class too."""
    if name in _BORN:
        return False
    tree, born = tree_of(file_of(kind)), born_with(kind)
    inside = {id(part) for _, method in functions_in(kind) if method.name in born for part in ast.walk(method)}
    return any(
        isinstance(node, ast.Attribute) and node.attr == name and id(node) not in inside
        for node in (ast.walk(tree) if tree is not None else ())
    )


def is_set_later(kind: type, attr: str) -> bool:
    """Whether objects of a class set an attribute of their own after they were made."""
    born = born_with(kind)
    return any(
        place.function not in born
        for file, function in functions_in(kind)
        for place in _places(function, attr, file, _own_attribute_named)
        if not is_constant(place)
    )


def places_in_function(code: types.CodeType, name: str) -> list[Place]:
    """Every place in a function where a variable is set."""
    function = function_at(code)
    return [] if function is None else list(_places(function, name, code.co_filename, _variable_named))


def places_in_file(file: str, name: str) -> list[Place]:
    """Every place at the top of a file where a variable is set."""
    tree = tree_of(file)
    return [] if tree is None else [p for p in _places(tree, name, file, _variable_named) if p.function == ""]


def function_at(code: types.CodeType) -> ast.AST | None:
    """The definition of a function by its code; the whole file for the code of a file."""
    tree: Any = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    fitting = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and min([node.lineno, *(entry.lineno for entry in getattr(node, "decorator_list", ()))]) == code.co_firstlineno
    ]
    return next((node for node in fitting if getattr(node, "name", "<lambda>") == code.co_name), None)


def _attribute_named(target: ast.AST, name: str) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == name


def _own_attribute_named(target: ast.AST, name: str) -> bool:
    return _attribute_named(target, name) and isinstance(target.value, ast.Name) and target.value.id == "self"  # type: ignore[attr-defined]


def _variable_named(target: ast.AST, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _places(top: ast.AST, name: str, file: str, is_target: Any) -> Iterator[Place]:
    """Walk with the function and the `if` around in mind."""
    waiting: list[tuple[ast.AST, str, tuple[str, ...], bool]] = [(top, getattr(top, "name", ""), (), False)]
    while waiting:
        node, function, arguments, guarded = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name if node is not top else function
            arguments = tuple(entry.arg for entry in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
            for decorator in node.decorator_list:
                if node.name == name and "cache" in ast.unparse(decorator):
                    yield Place(file, decorator.lineno, function, _returned(node), "decorate")
        found = _place(node, name, is_target)
        if found is not None:
            line, value, kind = found
            text = ast.unparse(value) if value is not None else ""
            yield Place(file, line, function, text, kind, guarded, isinstance(value, ast.Name) and value.id in arguments)
        inside = guarded or isinstance(node, ast.If)
        waiting.extend((child, function, arguments, inside) for child in reversed(list(ast.iter_child_nodes(node))))


def _place(node: ast.AST, name: str, is_target: Any) -> tuple[int, ast.expr | None, str] | None:
    if isinstance(
        node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For | ast.withitem | ast.comprehension
    ):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", getattr(node, "optional_vars", None))]
        )
        value = None if isinstance(node, ast.comprehension) else getattr(node, "value", None)
        flat = [
            entry for target in targets for entry in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
        ]
        for target in flat:
            inner = target
            while isinstance(inner, ast.Subscript | ast.Starred):
                inner = inner.value
            if inner is not None and is_target(inner, name):
                kind = "augment" if isinstance(node, ast.AugAssign) else "assign" if inner is target else "mutate"
                return getattr(node, "lineno", target.lineno), value, kind  # type: ignore[union-attr]
    elif isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute):
            inner = called.value
            while isinstance(inner, ast.Call | ast.Attribute) and not is_target(inner, name):
                inner = inner.func if isinstance(inner, ast.Call) else inner.value  # self.center.mul_(0.9).add_(...)
            if is_target(inner, name) and (called.attr in _GROWING or (called.attr.endswith("_") and called.attr[0] != "_")):
                return node.lineno, node.args[0] if node.args else None, "mutate"
            if called.attr in ("register_buffer", "__setattr__") and len(node.args) > 1 and _names(node.args, name):
                return node.lineno, node.args[-1 if called.attr == "__setattr__" else 1], "buffer"
        elif isinstance(called, ast.Name) and called.id == "setattr" and len(node.args) == 3 and _names(node.args, name):
            return node.lineno, node.args[2], "assign"
    return None


def _names(arguments: list[ast.expr], name: str) -> bool:
    return any(isinstance(entry, ast.Constant) and entry.value == name for entry in arguments)


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return ast.unparse(values[-1]) if values else ""


def is_constant(place: Place) -> bool:
    """Whether what is assigned cannot have come from a parameter: a literal, or a tensor made from nothing."""
    if place.kind in ("decorate", "mutate", "augment") or not place.value:
        return False
    value = ast.parse(place.value, mode="eval").body
    if isinstance(value, ast.Constant | ast.Dict | ast.Set):
        return True
    if isinstance(value, ast.List | ast.Tuple):
        return not value.elts
    if isinstance(value, ast.Call):
        maker = ast.unparse(value.func)
        plain = maker in ("dict", "list", "set", "deque", "OrderedDict", "collections.deque", "defaultdict")
        return plain or maker in ("torch.zeros", "torch.ones", "torch.empty", "torch.randn", "torch.rand", "torch.tensor")
    return False


def places_of(held: Held, model: Any) -> list[Place]:
    """Every place where the root of what is held is set: in its own class, then in the other classes of the model."""
    if isinstance(held.owner, types.CodeType):
        return places_in_function(held.owner, held.root)
    if isinstance(held.owner, str):
        return places_in_file(held.owner, held.root)
    owner = held.owner if isinstance(held.owner, type) else type(held.owner)
    places = places_in_class(owner, held.root)
    modules = model.modules() if isinstance(model, nn.Module) else ()
    for kind in {type(module): None for module in modules if type(module) is not owner}:
        places += places_in_class(kind, held.root)
    return places


def with_line(frame: types.FrameType | None, name: str) -> tuple[str, int]:
    """The file and line of the `with` around what runs now, in any of the running functions, that names something."""
    while frame is not None:
        function = function_at(frame.f_code)
        for node in ast.walk(function) if function is not None else ():
            around = isinstance(node, ast.With) and node.lineno <= frame.f_lineno <= (node.end_lineno or 0)
            if around and any(name in ast.unparse(entry.context_expr) for entry in node.items):  # type: ignore[union-attr]
                return frame.f_code.co_filename, node.lineno  # type: ignore[union-attr]
        frame = frame.f_back
    return "", 0
