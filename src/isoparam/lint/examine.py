"""The examination: a module is imported, its functions are called twice, its classes made and stepped and called again."""

import ast
import re
from typing import Any

from isoparam.lint.index import Names, attributes_of, collect
from isoparam.lint.project import ClassInfo, Module, Project
from isoparam.lint.state import BUDGET, Found, Frame, OutOfBudget, Use
from isoparam.lint.tracing import Tracing
from isoparam.lint.values import Box, Data, Env, Func, Obj, Param, Site, Value, Wrapped

_MODEL_NAMES = {"m", "model", "net", "network", "module", "mod", "self_model", "mdl"}
_GENERIC = {
    "parameters", "named_parameters", "train", "eval", "zero_grad", "state_dict", "load_state_dict", "to", "cuda", "forward",
    "cpu", "modules", "children", "requires_grad_", "apply", "training", "double", "float", "half", "init", "__class__",
}  # fmt: skip
_BY_HAND = re.compile(r"\.grad = |functional_call|\.copy_\(|\.grad\.copy_")  # gradients or values handed over without autograd
_HOOKS = {
    "__repr__",
    "extra_repr",
    "__str__",
    "__getstate__",
    "__setstate__",
    "__del__",
    "__deepcopy__",
    "__reduce__",
    "__getattr__",
}


class Run:
    """What one examined function left behind."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.found: list[Found] = []
        self.severed: list[tuple[Param, Site]] = []
        self.replaced: list[tuple[Obj, str, Param, Site]] = []
        self.holes: list[Any] = []
        self.foreign: list[tuple[Site, tuple[str, ...]]] = []


class Machine(Tracing):
    """The whole of it."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.outside: set[int] = set()
        self.depth: list[int] = []
        self.starts: list[int] = []
        self.stashed = {}
        self.asked = set()
        self.entered = ""  # text of the module that was entered
        self.names: Names = collect(project)
        self.notes: list[str] = []
        self.proven: set[int] = set()  # classes that a training step of the project was seen to use

    # Modules

    def module_env(self, module: Any) -> Env | None:
        if module.env is None:
            module.env = Env("module", None)
            kept = (
                self.grad,
                self.phase,
                self.tracing,
                self.depth,
                self.starts,
                self.logging,
                self.missing,
                self.contexts,
                self.left,
            )
            self.grad, self.phase, self.tracing, self.depth, self.starts, self.logging, self.missing = (
                True,
                "import",
                [],
                [],
                [],
                0,
                False,
            )
            self.contexts, self.left = [], BUDGET
            self.frames.append(Frame(module.env, module, None))
            try:
                self.hoist(module)
                for node in module.tree.body:
                    if not _is_main(node):
                        self.run([node])
                        self.missing = False
            except (OutOfBudget, RecursionError):
                self.notes.append(f"{module.path}: too long to be followed to its end")
            finally:
                self.frames.pop()
                (
                    self.grad,
                    self.phase,
                    self.tracing,
                    self.depth,
                    self.starts,
                    self.logging,
                    self.missing,
                    self.contexts,
                    self.left,
                ) = kept
        return module.env

    def hoist(self, module: Module) -> None:
        """Functions exist before the statements that call them run."""
        for name, node in module.functions.items():
            func = Func(node, module.env or Env("module", None), module, name)
            self.frame.stmt = node
            func.site = self.site()
            func.marks = self.marks(node, module)
            self.frame.env.vars.setdefault(name, func)

    def inside(self, module: Any, env: Any, expr: ast.expr) -> Value:
        self.frames.append(Frame(env, module, None))
        self.frame.stmt = expr
        try:
            return self.evaluate(expr)
        finally:
            self.frames.pop()

    # Entries

    def entry(self, module: Module, action: Any) -> Run:
        """Something that runs on its own, and what it left."""
        self.uses, self.found, self.holes, self.replaced, self.contexts = [], [], [], [], []
        self.sunk, self.optimizers, self.reached, self.cut = set(), [], {}, {}
        self.world = [param for param in self.world if param.site.phase == "import"]
        self.backwards = self.steps = 0
        self.graded = None
        self.grad, self.phase, self.missing, self.overwrite, self.left = True, "run", False, False, BUDGET
        env = self.module_env(module)
        self.frames.append(Frame(env or Env("module", None), module, None))
        self.frame.stmt = module.tree.body[0] if module.tree.body else None
        depth = len(self.frames)
        try:
            action()
        except (OutOfBudget, RecursionError):
            self.uses = [use for use in self.uses if use.how == "backward"]
        except Exception as error:  # what it cannot follow must not hide what it found elsewhere
            place = self.frame.stmt
            self.notes.append(
                f"{self.frame.module.path}:{place.lineno if place else 1}: not followed ({type(error).__name__}: {error})"
            )
        finally:
            del self.frames[depth - 1 :]
            self.log.clear()
            self.logging = 0
            self.tracing, self.depth, self.starts, self.outside = [], [], [], set()
        self.entered = module.source.text
        return self.left_behind()

    def left_behind(self) -> Run:
        """Uses and finds of an entry, and what only its end can tell."""
        run = Run()
        run.uses, run.found, run.holes = self.uses, self.found, self.holes
        known = [optim for optim in self.optimizers if optim.known]
        held = {param for optim in self.optimizers for param in optim.params}
        if self.backwards and known and self.steps:
            run.severed = [(param, site) for param, site in self.cut.items() if param not in self.reached and param in held]
            for info in {id(p.owner.info) for p in self.reached if isinstance(p.owner, Obj) and p.owner.info is not None}:
                self.proven.add(info)
            run.foreign = self.foreign(known, held)
        run.replaced = [item for item in self.replaced if item[2] not in held and item[2].trainable and _still(item)]
        return run

    def foreign(self, known: list[Any], held: set[Param]) -> list[tuple[Site, tuple[str, ...]]]:
        """Optimizers that hold none of the parameters that a loss depends on."""
        if len(known) != len(self.optimizers) or not self.reached or any(param in held for param in self.reached):
            return []
        if not all(param.registered and param.sort == "torch" for param in self.reached):
            return []
        if _BY_HAND.search(self.entered):
            return []
        names = tuple(param.name for param in self.reached)
        return [(optim.site, names) for optim in known if optim.params]

    def call_twice(self, func: Func, module: Module) -> None:
        """A function with arguments that are not known, as a loop would call it."""
        args = self.arguments(func, module)
        self.unknown_optimizers = sum("opt" in arg.arg for arg in func.node.args.args)
        for _ in range(2):
            result = self.call_function(func, list(args), {}, func.node)
            self.missing = False
            for inner in result.all() if isinstance(result, Box) else [result]:  # a step that it makes
                if isinstance(inner, Func) and not inner.node.args.args and inner.bound is None:
                    self.call_function(inner, [], {}, func.node)
                    self.call_function(inner, [], {}, func.node)
                    self.missing = False
        if self.steps > 1 and self.backwards > 1 and module.env is not None:
            for name, value in module.env.vars.items():
                self.filled_list(name, value, module)

    def filled_list(self, name: str, value: Value, module: Module) -> None:
        """A list of the module to which each call adds a value with its graph."""
        site = value.sites.get("appended") if isinstance(value, Box) else None
        if isinstance(value, Box) and site is not None and site.phase == "run":
            kept = [item for item in value.all() if isinstance(item, Data) and item.sort == "tensor"]
            old = [param.name for item in kept for param, dep in item.deps.items() if self.stale(param, dep)]
            if old and len(kept) > 1:
                self.holes.append((value, name, tuple(old), site, id(module.env)))

    def arguments(self, func: Func, module: Module) -> list[Value]:
        """Arguments for a function: models where its annotations, or what it asks of them, say so."""
        found: list[Value] = []
        accessed: dict[str, set[str]] = {}
        called: set[str] = set()
        for node in ast.walk(func.node):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                accessed.setdefault(node.value.id, set()).add(node.attr)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called.add(node.func.id)
        for arg in (*func.node.args.posonlyargs, *func.node.args.args):
            info = self.class_for(arg, accessed.get(arg.arg, set()), arg.arg in called, module)
            if info is not None:
                found.append(self.construct(info, [], {}, info.node))
            elif accessed.get(arg.arg, set()) & {"parameters", "named_parameters", "zero_grad"} and "opt" not in arg.arg:
                found.append(self.stranger(arg.arg))
            else:
                found.append(Data("unknown", token=("arg", arg.arg)))
        return found

    def stranger(self, name: str) -> Obj:
        """A model of which nothing is known but that it has parameters."""
        obj = Obj(lib="model", made=self.site())
        obj.attr = name
        param = self.new_param("torch", "parameters()")
        param.owner, param.registered, param.whole = obj, True, True
        obj.attrs["*"] = Data("param", param=param)
        return obj

    def class_for(self, arg: ast.arg, asked: set[str], called: bool, module: Module) -> ClassInfo | None:
        """The class of the project that an argument must be of."""
        if arg.annotation is not None:
            node = arg.annotation
            full = (
                node.value
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
                else self.project.dotted(node, module)
            )
            info = self.project.find_class(full, module) if full else None
            return info if info is not None and info.kind in ("torch", "nnx") else None
        specific = asked - _GENERIC
        near = [info for info in module.classes.values() if info.kind in ("torch", "nnx")]
        if specific:
            near = [info for info in near if specific <= attributes_of(info)]
            return near[0] if len(near) == 1 else None
        if arg.arg not in _MODEL_NAMES and not called:
            return None
        if len(near) > 1:
            used = {
                node.func.id
                for info in near
                for node in ast.walk(info.node)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            near = [info for info in near if info.name not in used]
        return near[0] if len(near) == 1 and arg.arg in _MODEL_NAMES else None

    # Functions of a module

    def functions(self, module: Module) -> list[Run]:
        """Every function that trains, compiles or calls one that does; those that nobody calls come first."""
        runs = []
        self.module_env(module)
        main = [node for node in module.tree.body if _is_main(node)]
        makers = {
            name for name, info in module.classes.items() if info.kind in ("struct", "eqx", "linen", "pytree", "dataclass")
        }
        lively = [
            node
            for node in module.functions.values()
            if id(node) in self.names.lively or makers & self.names.called.get(id(node), set())
        ]
        called = {name for node in module.functions.values() for name in self.names.called.get(id(node), ())}
        if main:
            runs.append(
                self.entry(module, lambda: self.run([item for node in main if isinstance(node, ast.If) for item in node.body]))
            )
        for node in sorted(lively, key=lambda node: node.name in called):
            if id(node) not in self.visited:
                func = self.module_env(module)
                value = func.vars.get(node.name) if func is not None else None
                inner = value.inner if isinstance(value, Wrapped) else value
                if isinstance(inner, Func):
                    runs.append(self.entry(module, lambda inner=inner: self.call_twice(inner, module)))
        for info in list(module.classes.values()):
            if info.kind in ("", "dataclass", "pytree"):
                runs.extend(self.plain_class(info, module))
        return runs

    def plain_class(self, info: ClassInfo, module: Module) -> list[Run]:
        """Methods of a class that is no model: a trainer."""
        runs = []
        jitted = {name for name, node in info.methods.items() if id(node) in self.names.lively}
        for name, node in info.methods.items():
            calls_one = (
                any(isinstance(part, ast.Attribute) and part.attr in jitted for part in ast.walk(node)) if jitted else False
            )
            if (name in jitted or calls_one) and id(node) not in self.visited and not name.startswith("__"):
                if not node.args.args or node.args.args[0].arg != "self":
                    continue
                runs.append(self.entry(module, lambda node=node: self.on_instance(info, node, module)))
        return runs

    def on_instance(self, info: ClassInfo, node: Any, module: Module) -> None:
        """One method of a new instance, twice."""
        obj = self.construct(info, [], {}, info.node)
        if not isinstance(obj, Obj):
            return
        func = self.bind(self.method(info, node), obj)
        args = self.arguments(func, module)[1:]
        for _ in range(2):
            self.call_function(func, list(args), {}, node)
            self.missing = False


def _still(item: tuple[Obj, str, Param, Site]) -> bool:
    """Whether what took a place is there still."""
    owner, name, param, _ = item
    now = owner.attrs.get(name)
    return not isinstance(now, Data) or now.param is param


def _is_main(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )  # fmt: skip
