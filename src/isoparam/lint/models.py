"""A model class on its own: made once, then called before and after an update of its parameters."""

import ast
from dataclasses import dataclass, field

from isoparam.lint.examine import _HOOKS, Machine, Run
from isoparam.lint.project import ClassInfo
from isoparam.lint.state import Found, Use
from isoparam.lint.values import Box, Data, Func, Obj, Param, Site, Value, path_of


@dataclass
class Kept:
    """A value with a graph that an object has held since it was made."""

    label: str
    value: Value
    site: Site
    table: dict[str, Value]
    sites: dict[str, Site]
    attr: str
    buffer: bool
    params: tuple[Param, ...]
    closure: str = ""


@dataclass
class Looked:
    """What the examination of a class showed."""

    run: Run
    kept: list[Kept] = field(default_factory=list)
    methods: dict[int, str] = field(default_factory=dict)  # use -> method
    cached: set[tuple[int, str]] = field(default_factory=set)
    root: Obj | None = None
    severed: list[tuple[Param, Site]] = field(default_factory=list)


def look(machine: Machine, info: ClassInfo) -> Looked:
    """The class, made and used."""
    looked = Looked(Run())
    looked.run = machine.entry(info.module, lambda: _live(machine, info, looked))
    return looked


def _live(machine: Machine, info: ClassInfo, looked: Looked) -> None:
    obj = machine.construct(info, [], {}, info.node)
    if not isinstance(obj, Obj):
        return
    looked.root = obj
    machine.step([param for param in machine.world if param.trainable])
    _initial(machine, obj, obj, looked, 0, set())
    _unregistered(machine, obj, looked)
    if not _worth_calling(machine, info, looked):
        return
    frozen = machine.left
    outputs: list[tuple[str, Value]] = []
    for again in (False, True):
        machine.left = frozen
        if again:
            machine.step([param for param in machine.world if param.trainable])
        start = machine.clock
        for name in _entries(info):
            found = info.find(name)
            if found is None:
                continue
            func = machine.method(*found)
            if func.marks & {"static", "class", "no_grad"}:
                continue
            before = len(machine.uses)
            func = machine.bind(func, obj)
            result = (
                machine.call_function(func, [], {}, func.node)
                if name != "forward"
                else machine.call_object(obj, _given(func), {}, func.node)
            )
            machine.missing = False
            machine.frame.stmt = func.node
            machine.sink(result, "return", func.node)
            for use in machine.uses[before:]:
                looked.methods[id(use)] = name
            if not again:
                outputs.append((name, result))
        if again:
            _growing(machine, obj, looked, start)
    _cut_off(machine, info, obj, outputs, looked)


def _given(func: Func) -> list[Value]:
    names = [arg.arg for arg in (*func.node.args.posonlyargs, *func.node.args.args)][1:]
    count = len(names) - len(func.node.args.defaults)
    return [Data("unknown", token=("arg", name)) for name in names[: max(count, 0)]]


def _entries(info: ClassInfo) -> list[str]:
    names = dict.fromkeys(name for each in info.mro for name in each.methods)
    first = [name for name in ("forward", "__call__") if name in names]
    rest = [
        name for name in names if name not in first and not (name.startswith("__") or name in _HOOKS or name.startswith("_"))
    ]
    return first + rest


def _worth_calling(machine: Machine, info: ClassInfo, looked: Looked) -> bool:
    """Whether anything in the class can keep a value, or cut one."""
    if looked.kept:
        return True
    params = {param for param in machine.world if param.trainable}
    env = machine.module_env(info.module)
    if env is not None and any(isinstance(value, Data) and value.deps for value in env.vars.values()):
        return True
    if not params:
        return False
    for each in info.mro:
        inner = machine.names.inner.get(id(each), {})
        if any(methods - {"__init__"} for methods in inner.values()):
            return True
        for node in each.methods.values():
            if node.decorator_list and machine.marks(node, each.module) & {"cached_property", "cache", "no_grad"}:
                return True
        text = each.module.source.text
        if any(
            word in text for word in (".data", ".item()", ".detach()", "torch.tensor(", "float(", ".numpy()", "no_grad", "_(")
        ):
            return True
    return False


def _initial(machine: Machine, root: Obj, holder: Obj, looked: Looked, depth: int, seen: set[int]) -> None:
    """Values with a graph that are there before the first call."""
    if id(holder) in seen or depth > 4:
        return
    seen.add(id(holder))
    for name, value in holder.attrs.items():
        site = holder.sites.get(name)
        if name.startswith("<") or site is None:
            continue
        params, where, closure = _graph_of(machine, value)
        if params:
            label = path_of(holder, name)
            looked.kept.append(
                Kept(label, value, where or site, holder.attrs, holder.sites, name, name in holder.buffers, params, closure)
            )
        elif isinstance(value, Obj):
            for attr in value.buffers if value.info is None else ():
                extra = [param for item in value.extra for param in machine.deps(item)]
                if extra:
                    label = path_of(value, attr)
                    looked.kept.append(Kept(label, value, site, holder.attrs, holder.sites, name, True, tuple(extra)))
            _initial(machine, root, value, looked, depth + 1, seen)
        elif isinstance(value, Box):
            for item in value.all():
                if isinstance(item, Obj):
                    _initial(machine, root, item, looked, depth + 1, seen)


def _graph_of(machine: Machine, value: Value, depth: int = 0) -> tuple[tuple[Param, ...], Site | None, str]:
    """Parameters that a kept value was computed from, and where."""
    if isinstance(value, Data):
        live = {param: dep for param, dep in value.deps.items() if param.trainable}
        return tuple(live), next((dep.site for dep in live.values()), None), ""
    if isinstance(value, Box) and depth < 3:
        for item in value.all():
            found = _graph_of(machine, item, depth + 1)
            if found[0]:
                others = [param for each in value.all() for param in _graph_of(machine, each, depth + 1)[0]]
                return tuple(dict.fromkeys(others)), found[1], found[2]
    if isinstance(value, Obj) and value.info is None and value.extra and not value.buffers:
        deps = machine.deps(value)
        if deps and not value.lib.startswith(("torch.optim", "optax")):
            closure = "argument" if value.lib.startswith("functools.partial") else ""
            return tuple(param for param in deps if param.trainable), next(iter(deps.values())).site, closure
    if isinstance(value, Func):
        return _closed_over(machine, value)
    return (), None, ""


def _closed_over(machine: Machine, func: Func) -> tuple[tuple[Param, ...], Site | None, str]:
    """What a function that is kept has taken with it."""
    for item in (*func.args, *func.kwargs.values()):
        if isinstance(item, Data) and item.deps:
            return tuple(item.deps), next(iter(item.deps.values())).site, "argument"
    if func.bound is not None:
        return (), None, ""
    own = {arg.arg for arg in ast.walk(func.node) if isinstance(arg, ast.arg)}
    for node in ast.walk(func.node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in own:
            env = func.env
            while env is not None and env.kind != "module":
                value = env.vars.get(node.id)
                if isinstance(value, Data) and value.deps and any(param.trainable for param in value.deps):
                    return tuple(value.deps), next(iter(value.deps.values())).site, node.id
                env = env.parent
    return (), None, ""


def _unregistered(machine: Machine, root: Obj, looked: Looked) -> None:
    """Trainable tensors and modules that parameters() does not list."""
    if root.info is None or root.info.kind != "torch":
        return
    listed = set(machine.params_of(root))
    held = {param for optim in machine.optimizers for param in optim.params}
    for name, value in root.attrs.items():
        site = root.sites.get(name)
        if site is None or name in machine.names.optimized or isinstance(value, Func):
            continue
        if isinstance(value, Data) and value.param is not None and value.param.sort == "leaf" and value.param.trainable:
            _note(looked, root, name, site, "leaf", machine)
        elif isinstance(value, Data) and value.deps and _unowned(value, site):
            looked.kept = [kept for kept in looked.kept if kept.table is not root.attrs or kept.attr != name]
            _note(looked, root, name, site, "converted", machine)
        elif isinstance(value, Box) and value.kind in ("list", "tuple", "dict", "set"):
            inside = [param for item in value.all() for param in _members(machine, item)]
            lost = [
                p
                for p in inside
                if p not in listed and p not in held and p.trainable and p.sort == "torch" and not _elsewhere(p, root)
            ]
            if lost and len(value.all()) > 1 and len(lost) == len(inside):
                _note(looked, root, name, site, "container", machine)


def _unowned(value: Data, site: Site) -> bool:
    """Whether a value was computed from one nn.Parameter that was made for it and belongs to nothing."""
    param = next(iter(value.deps))
    made_here = param.site.file == site.file and param.sort == "torch"
    return len(value.deps) == 1 and made_here and param.owner is None and not param.registered


def _elsewhere(param: Param, root: Obj) -> bool:
    """Whether a parameter belongs to something that was not made here."""
    del root
    return param.site.phase != "init"


def _members(machine: Machine, item: Value) -> list[Param]:
    if isinstance(item, Data):
        return [item.param] if item.param is not None and not item.deps else []
    return machine.params_of(item) if isinstance(item, Obj) else []


def _note(looked: Looked, root: Obj, name: str, site: Site, detail: str, machine: Machine) -> None:
    label = f"{root.info.name}.{path_of(root, name)}"
    machine.found.append(Found("unregistered-parameter", label, (name,), site, detail))


def _growing(machine: Machine, obj: Obj, looked: Looked, start: int) -> None:
    """Attributes that are written in each call and keep the graphs of earlier calls, though no loss asks for them."""
    for name, value in obj.attrs.items():
        if isinstance(value, Box) and value.kind in ("list", "dict"):
            _collected(machine, obj, name, value, start)
        site = obj.sites.get(name)
        if site is None or site.time < start or not isinstance(value, Data) or (id(obj), name) in machine.sunk:
            continue
        old = [param for param, dep in value.deps.items() if machine.stale(param, dep)]
        if old:
            label = path_of(obj, name)
            machine.found.append(Found("graph-growth", label, tuple(param.name for param in old), site, "attribute"))


def _collected(machine: Machine, obj: Obj, name: str, value: Box, start: int) -> None:
    """A list of an object to which each call adds a value with its graph."""
    site = value.sites.get("appended")
    if site is None or site.phase == "init" or site.time < start:
        return
    kept = [item for item in value.all() if isinstance(item, Data) and item.sort == "tensor"]
    old = [param for item in kept for param, dep in item.deps.items() if machine.stale(param, dep)]
    if old and len(kept) > 1:
        machine.found.append(
            Found("graph-growth", path_of(obj, name), tuple(param.name for param in old), site, "attribute list")
        )


def _cut_off(machine: Machine, info: ClassInfo, obj: Obj, outputs: list[tuple[str, Value]], looked: Looked) -> None:
    """Own parameters whose number is in the result of forward, and whose gradient is in none."""
    forward = next((value for name, value in outputs if name in ("forward", "__call__")), None)
    if forward is None or info.kind != "torch":
        return
    alive: set[Param] = set()
    for _, value in outputs:
        alive.update(machine.deps(value))
    written = {name for each in info.mro for name in machine.names.inner.get(id(each), {})}
    for param, site in machine.cuts(forward).items():
        own = param.owner is obj and param.sort == "torch" and param.registered
        if own and param.trainable and param not in alive and not _updated_by_hand(machine, info, param.attr, written):
            looked.severed.append((param, site))


def _updated_by_hand(machine: Machine, info: ClassInfo, attr: str, written: set[str]) -> bool:
    """Whether the class itself writes a parameter in place: then no gradient is meant to."""
    for each in info.mro:
        for name, method in each.methods.items():
            if name in ("__init__", "reset_parameters", "_reset_parameters", "init_weights"):
                continue
            for node in ast.walk(method):
                in_place = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_")
                if in_place and f"'{attr}'" in ast.dump(node):
                    return True
                if isinstance(node, (ast.Assign, ast.AugAssign)):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    if any(f"attr='{attr}'" in ast.dump(target) for target in targets):
                        return True
    del machine, written
    return False


def use_method(looked: Looked, use: Use) -> str:
    """The method whose call showed a stale value."""
    return looked.methods.get(id(use), "")
