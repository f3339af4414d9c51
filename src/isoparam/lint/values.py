"""What an expression can be while the lint reads a program: data with its graph, objects, containers, functions.

The graph of a value is written as one `Dep` per parameter that it was computed from, with the time at which that
happened. A parameter knows when it was last updated. A value is stale where its time is the earlier one: that comparison,
and no shape of code, decides what the lint finds.
"""

import ast
from collections.abc import Iterable
from typing import Any, NamedTuple

Token = tuple[Any, ...]  # stands for a value that is unknown, but equal to itself


class Site(NamedTuple):
    """A statement, and in which phase of the examined program it ran."""

    file: str
    line: int
    column: int
    phase: str
    statement: int  # identity of its node
    time: int = 0


class Param:
    """One parameter: a torch Parameter, an nnx.Param, or an array that JAX code trains."""

    __slots__ = ("attr", "born", "optimizers", "owner", "registered", "site", "sort", "stepped", "trainable", "values", "whole")

    def __init__(self, sort: str, site: Site, attr: str = "") -> None:
        self.sort = sort
        self.site = site
        self.attr = attr
        self.owner: Obj | Box | None = None
        self.registered = False
        self.trainable = True
        self.stepped = 0
        self.optimizers: list[Optim] = []
        self.born = 0
        self.values: tuple[float, ...] = ()  # of an array, where the text states them
        self.whole = False  # stands for all parameters of a module that is not known

    @property
    def name(self) -> str:
        """Its dotted name below the outermost object that holds it."""
        return path_of(self.owner, self.attr)


class Dep(NamedTuple):
    """That a value was computed from a parameter: when, where, and what has held the value since."""

    born: int
    site: Site
    holder: "Holder | None" = None


class Holder(NamedTuple):
    """What kept a value until its parameter had moved on."""

    sort: str  # attr, buffer, item, closure, global, local, cache, context
    name: str
    site: Site
    scope: int = 0  # identity of the container
    owner: Any = None  # the object, the container or the scope itself
    key: Any = None


Deps = dict[Param, Dep]
NO_DEPS: Deps = {}
NO_CUTS: dict[Param, Site] = {}


class Value:
    """Anything that an expression can be."""

    __slots__ = ()


class Data(Value):
    """A tensor, a number, a string, None, or what is not known."""

    __slots__ = ("const", "cuts", "deps", "maps", "param", "sort", "token", "tracer", "view")

    def __init__(
        self,
        sort: str = "unknown",
        deps: Deps = NO_DEPS,
        cuts: dict[Param, Site] = NO_CUTS,
        const: Any = None,
        param: Param | None = None,
        token: Token | None = None,
    ) -> None:
        self.sort = sort  # unknown, tensor, const, param
        self.deps = deps
        self.cuts = cuts
        self.const = const
        self.param = param
        self.token = token
        self.view: Param | None = None
        self.tracer: Any = None
        self.maps: tuple[str, ...] = ()  # functions applied, the last one last


UNKNOWN = Data()
NONE = Data("const", const=None)


def const(value: Any) -> Data:
    """A value that the text states."""
    return Data("const", const=value)


class Obj(Value):
    """An instance of a class of the project (`info`) or of a library (`lib`)."""

    __slots__ = (
        "attr", "attrs", "buffers", "extra", "hooks", "info", "lib", "made", "owner", "parametrized", "phase", "sites",
        "version",
    )  # fmt: skip

    def __init__(self, info: Any = None, lib: str = "", made: Site | None = None) -> None:
        self.info = info
        self.lib = lib
        self.attrs: dict[str, Value] = {}
        self.sites: dict[str, Site] = {}
        self.buffers: dict[str, bool] = {}
        self.parametrized: set[str] = set()
        self.hooks: list[Value] = []
        self.owner: Obj | Box | None = None
        self.attr = ""
        self.made = made
        self.extra: list[Value] = []  # what its constructor was given, where the class is not known
        self.version = 0
        self.phase = ""


class Box(Value):
    """A list, tuple, set, dict, or one of torch's and nnx's registering containers."""

    __slots__ = ("attr", "items", "kind", "made", "owner", "rest", "sites")

    def __init__(self, kind: str = "list", items: Iterable[Value] = ()) -> None:
        self.kind = kind
        self.items: dict[Token, Value] = {("c", n): item for n, item in enumerate(items)}
        self.rest: Value | None = None
        self.owner: Obj | Box | None = None
        self.attr = ""
        self.sites: dict[Any, Site] = {}
        self.made = ""  # phase in which it was made

    def all(self) -> list[Value]:
        """Everything that it is known to hold."""
        found = list(self.items.values())
        if self.rest is not None:
            found.append(self.rest)
        return found


class Env:
    """Names of one scope, and the scope around it."""

    __slots__ = ("born", "globals", "kind", "parent", "sites", "vars")

    def __init__(self, kind: str, parent: "Env | None") -> None:
        self.kind = kind  # module, function
        self.born = 0
        self.parent = parent
        self.vars: dict[str, Value] = {}
        self.sites: dict[str, Site] = {}
        self.globals: set[str] = set()


class Func(Value):
    """A function of the project, with its scope, its bound self and what decorators made of it."""

    __slots__ = (
        "args", "bound", "cache", "captured", "cls", "env", "env_key", "kwargs", "marks", "memo", "module", "name", "node",
        "site", "statics", "traced",
    )  # fmt: skip

    def __init__(self, node: Any, env: Env, module: Any, name: str = "") -> None:
        self.node = node
        self.env = env
        self.module = module
        self.name = name
        self.bound: Value | None = None
        self.cls: Any = None
        self.marks: frozenset[str] = frozenset()  # no_grad, cache, property, cached_property, static, class, jit, traced
        self.args: list[Value] = []  # of functools.partial
        self.kwargs: dict[str, Value] = {}
        self.cache: dict[Any, Value] = {}
        self.captured: dict[Any, Any] = {}
        self.statics: set[Any] = set()
        self.site: Site | None = None
        self.traced = False
        self.memo: Any = None
        self.env_key = 0


class Wrapped(Value):
    """A function under jit, grad, vmap or the like."""

    __slots__ = ("argnums", "captures", "inner", "kind", "site", "statics", "traced")

    def __init__(self, kind: str, inner: Value, site: Site) -> None:
        self.kind = kind
        self.inner = inner
        self.argnums: set[Any] = set()
        self.site = site
        self.statics: set[Any] = set()
        self.traced = False
        self.captures: dict[Any, tuple[Any, Any, str, Site]] = {}


class Lib(Value):
    """A name of a library, in full: "torch.nn.functional.softplus"."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Cls(Value):
    """A class of the project."""

    __slots__ = ("info",)

    def __init__(self, info: Any) -> None:
        self.info = info


class Method(Value):
    """A method of data, of a container or of an object of a library, waiting for its call."""

    __slots__ = ("name", "node", "of")

    def __init__(self, of: Value, name: str, node: ast.AST) -> None:
        self.of = of
        self.name = name
        self.node = node


class Super(Value):
    """super() of an object, from a class on."""

    __slots__ = ("after", "of")

    def __init__(self, of: Obj, after: Any) -> None:
        self.of = of
        self.after = after


class Optim(Value):
    """An optimizer of torch, and the parameters that it holds."""

    __slots__ = ("hooks", "known", "lib", "params", "site", "sources", "token")

    def __init__(self, lib: str, site: Site) -> None:
        self.hooks: list[Value] = []  # what is called at each step
        self.lib = lib
        self.site = site
        self.params: dict[Param, None] = {}
        self.sources: list[Value] = []  # objects whose parameters() it was given
        self.known = True
        self.token: Token | None = None


def label_of(owner: "Obj | Box | None", attr: str) -> str:
    """The path with the class of the outermost holder before it: Model.head.scale."""
    root, seen = owner, 0
    while root is not None and root.owner is not None and seen < 20:
        root, seen = root.owner, seen + 1
    path = path_of(owner, attr)
    return f"{root.info.name}.{path}" if isinstance(root, Obj) and root.info is not None else path


def path_of(owner: "Obj | Box | None", attr: str) -> str:
    """Dotted path of an attribute below the outermost holder."""
    parts = [attr]
    seen = 0
    while owner is not None and seen < 20:
        if owner.attr:
            parts.append(owner.attr)
        owner = owner.owner
        seen += 1
    return ".".join(reversed([part for part in parts if part]))
