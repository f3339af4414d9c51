"""Objects: made, called, asked for their parameters."""

import ast
from typing import Any

from isoparam.lint import library
from isoparam.lint.project import ClassInfo
from isoparam.lint.statements import Statements
from isoparam.lint.values import UNKNOWN, Box, Data, Dep, Func, Obj, Param, Value


class Objects(Statements):
    """Instances of classes of the project and of libraries."""

    def construct(self, info: ClassInfo, args: list[Value], kwargs: dict[str, Value], node: ast.AST | None) -> Value:
        """A new object of a class of the project."""
        obj = Obj(info, made=self.site() if self.frames and self.frame.stmt is not None else None)
        phase, self.phase = self.phase, "init"
        obj.phase = phase
        grad, self.grad = self.grad, True if phase == "import" else self.grad
        try:
            for base in info.bases:
                last = base.rsplit(".", 1)[-1]
                if base.startswith("torch.nn.") and library.has_parameters(last) and last not in library.MODULE_LISTS:
                    self.own(obj, last, [])
            found = info.find("__init__")
            if found is not None:
                self.call_function(self.bind(self.method(*found), obj), args, kwargs, node or info.node)
            else:
                self.fill_fields(obj, info, args, kwargs)
                after = info.find("__post_init__")
                if after is not None:
                    self.call_function(self.bind(self.method(*after), obj), [], {}, node or info.node)
        finally:
            self.phase, self.grad = phase, grad
        self.constructed(obj, args, kwargs, node)
        return obj

    def constructed(self, obj: Obj, args: list[Value], kwargs: dict[str, Value], node: ast.AST | None) -> None:
        """Told by the part that follows JAX."""

    def fill_fields(self, obj: Obj, info: ClassInfo, args: list[Value], kwargs: dict[str, Value]) -> None:
        """Fields of a dataclass, in order of the classes."""
        names = list(dict.fromkeys(name for each in reversed(info.mro) for name in each.fields))
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            self.store_attr(obj, name, value, info.node)

    def own(self, obj: Obj, name: str, args: list[Value]) -> None:
        """Parameters of a module of torch.nn."""
        for attr in _OWNED.get(name, ("weight", "bias")):
            param = self.new_param("torch", attr)
            param.owner, param.registered = obj, True
            obj.attrs[attr] = Data("param", param=param)

    def new_param(self, sort: str, attr: str = "") -> Param:
        """A parameter that did not exist."""
        param = Param(sort, self.site(), attr)
        param.born = self.tick()
        self.world.append(param)
        return param

    def call_object(self, obj: Obj, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """An instance that is called: its forward, after the hooks that come before it."""
        for hook in obj.hooks:
            self.call(hook, [obj, Box("tuple", args)], {}, node)
        if obj.info is not None:
            self.forwards[id(obj.info)] = self.forwards.get(id(obj.info), 0) + 1
            for name in ("__call__", "forward"):
                found = obj.info.find(name)
                if found is not None:
                    if obj.info.kind == "linen":
                        self.setup(obj)
                    return self.call_function(self.bind(self.method(*found), obj), args, kwargs, node)
        inner = obj.attrs.get("module")
        if obj.lib == "wrapper" and isinstance(inner, Obj):
            return self.call_object(inner, args, kwargs, node)
        own = self.params_of(obj)
        result = self.derive([*args, *kwargs.values(), *obj.extra], node)
        if own:
            graph = {param: self.dep() for param in own if param.trainable}
            if not self.grad:
                cuts = {**result.cuts, **{param: self.site() for param in graph}}
                result = Data("tensor", result.deps, cuts, token=result.token)
            elif graph:
                tracer = result.tracer
                result = Data("tensor", {**graph, **result.deps}, result.cuts, token=result.token)
                result.tracer = tracer
        if obj.extra and obj.info is None:
            aged = self.held(obj, node)
            if isinstance(aged, Data) and aged.deps:
                result = Data("tensor", {**result.deps, **aged.deps}, result.cuts, token=result.token)
        if obj.lib.rsplit(".", 1)[-1] in _PAIRS:
            return Box("tuple", [result, result])
        return result

    def dep(self) -> Any:
        """A computation from a parameter, here and now."""
        return Dep(self.tick(), self.site())

    def setup(self, obj: Obj) -> None:
        """What flax runs again at each apply."""
        found = obj.info.find("setup")
        if found is not None:
            self.call_function(self.bind(self.method(*found), obj), [], {}, obj.info.node)

    def call_chain(self, box: Box, args: list[Value], node: ast.AST) -> Value:
        """A Sequential."""
        value = args[0] if args else UNKNOWN
        for item in box.all():
            value = self.call(item, [value], {}, node)
        return value

    def params_of(self, value: Value, depth: int = 0, seen: set[int] | None = None) -> list[Param]:
        seen = set() if seen is None else seen
        if depth > 8 or id(value) in seen:
            return []
        seen.add(id(value))
        if isinstance(value, Data):
            return [value.param] if value.param is not None and value.param.sort != "array" else []
        if isinstance(value, Obj):
            found = []
            for item in value.attrs.values():
                if (isinstance(item, (Obj, Data))) or (isinstance(item, Box) and item.kind in library.MODULE_LISTS):
                    found.extend(self.params_of(item, depth + 1, seen))
            return list(dict.fromkeys(found))
        if isinstance(value, Box):
            return list(dict.fromkeys(p for item in value.all() for p in self.params_of(item, depth + 1, seen)))
        return []

    def call_function(self, func: Func, args: list[Value], kwargs: dict[str, Value], node: ast.AST) -> Value:
        """A function of the project."""
        raise NotImplementedError


_OWNED = {
    "LSTM": ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
    "GRU": ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
    "RNN": ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
    "LSTMCell": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    "GRUCell": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    "RNNCell": ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    "Embedding": ("weight",),
    "EmbeddingBag": ("weight",),
    "PReLU": ("weight",),
    "MultiheadAttention": ("in_proj_weight", "in_proj_bias"),
}


_PAIRS = {"LSTM", "GRU", "RNN", "LSTMCell", "MultiheadAttention"}
