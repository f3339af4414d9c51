"""Calls of libraries by name: torch, its modules and optimizers, and Python's own functions."""

import ast
from typing import Any

from isoparam.lint import library
from isoparam.lint.calls import Calls
from isoparam.lint.values import NONE, UNKNOWN, Box, Cls, Data, Func, Lib, Method, Obj, Optim, Param, Super, Value, const

Args = list[Value]
Named = dict[str, Value]


class Libraries(Calls):
    """Functions and classes of libraries."""

    def call_library(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        if full.startswith("builtins."):
            return self.call_builtin(full[9:], args, kwargs, node)
        if full.startswith("torch."):
            return self.call_torch(full, args, kwargs, node)
        if full.startswith(("functools.", "copy.", "itertools.", "contextlib.", "collections.", "weakref.")):
            return self.call_standard(full, args, kwargs, node)
        if full.startswith(("jax.", "flax.", "equinox.", "optax.")):
            return self.call_jax(full, args, kwargs, node)
        if full.startswith(library.CUT_PREFIXES):
            return self.severed([*args, *kwargs.values()], node)
        if full.startswith(library.TENSOR_PREFIXES):
            return self.derive([*args, *kwargs.values()], node, full.rsplit(".", 1)[-1])
        last = full.rsplit(".", 1)[-1]
        if last[:1].isupper() or full.startswith(("gpytorch.", "pyro.", "linear_operator.")):
            return self.holder(full, args, kwargs, node)
        return self.call_unknown(args, kwargs, node)

    def holder(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """An object of a class that is not known: it keeps what it is given."""
        obj = Obj(lib=full, made=self.site())
        obj.extra = [*args, *kwargs.values()]
        return obj

    def call_jax(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """Told by the part that follows JAX."""
        raise NotImplementedError

    def call_torch(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """torch."""
        last = full.rsplit(".", 1)[-1]
        given = [*args, *kwargs.values()]
        if full in ("torch.nn.Parameter", "torch.nn.Buffer"):
            return self.parameter(args, kwargs)
        if full in library.NEW_FUNCTIONS:
            return self.leaf_or_new(full, given, kwargs, node)
        if full in library.COPY_FUNCTIONS:
            if _true(kwargs.get("requires_grad")):
                return self.leaf(node)
            return self.severed(given, node)
        if full in library.NO_GRAD:
            return self.grad_switch(full, args, node)
        if full in ("torch.set_grad_enabled", "torch.autograd.set_grad_enabled"):
            obj = Obj(lib="torch.set_grad_enabled")
            obj.extra = args
            return obj
        if full == "torch.is_grad_enabled":
            return const(self.grad)
        if full.startswith("torch.optim.") and last[:1].isupper() and "lr_scheduler" not in full:
            return self.optimizer(full, args, kwargs, node)
        if full.startswith("torch.nn.init."):
            return args[0] if args else UNKNOWN
        if full in library.SAME_OBJECT or full.startswith("torch.nn.utils.prune."):
            return args[0] if args else UNKNOWN
        if full.startswith("torch.nn.utils."):
            return self.torch_utils(full, last, args, kwargs, node)
        if last == "autocast" and any(_false(kwargs.get(name)) for name in ("cache_enabled", "enabled")):
            return UNKNOWN
        if full.startswith(("torch.distributions.", "torch.autocast", "torch.amp.", "torch.cuda.amp.", "torch.cpu.amp.")):
            return self.holder(full, args, kwargs, node)
        if full.startswith("torch.nn.functional.") or (
            full.startswith("torch.") and full.count(".") == 1 and not last[:1].isupper()
        ):
            return self.torch_function(full, last, args, kwargs, node)
        if full.startswith("torch.nn.") and last[:1].isupper():
            return self.torch_module(full, last, args, kwargs, node)
        if full.startswith("torch.__future__."):
            if last == "set_overwrite_module_params_on_conversion":
                self.overwrite = _true(args[0]) if args else True
            return NONE
        if full in ("torch.autograd.grad", "torch.autograd.backward"):
            return self.autograd(last, args, kwargs, node)
        if full in (
            "torch.utils.checkpoint.checkpoint",
            "torch.func.functional_call",
            "torch.nn.utils.stateless.functional_call",
        ):
            return self.call(args[0], args[1:] if last == "checkpoint" else args[2:], {}, node) if args else UNKNOWN
        if last[:1].isupper():
            return self.holder(full, args, kwargs, node)
        if full.startswith(
            ("torch.linalg.", "torch.fft.", "torch.special.", "torch.nn.", "torch.sparse.", "torch.autograd.functional.")
        ):
            return self.derive(given, node, last)
        if full.startswith("torch.func.") or full in ("torch.vmap",):
            return self.derive([value for value in given if not isinstance(value, Func)], node)
        return UNKNOWN

    def torch_function(self, full: str, last: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A function of tensors."""
        given = [*args, *kwargs.values()]
        if last.endswith("_") and not last.endswith("__") and args and isinstance(args[0], Data):
            where = node.args[0] if isinstance(node, ast.Call) and node.args else node
            return self.in_place(where, args[0], given, node, last)
        if last in library.META_METHODS:
            return Data("unknown", token=("at", id(node)))
        result = self.derive(given, node, last)
        if last in library.VIEWS and args and isinstance(args[0], Data):
            return self.viewed(args[0], result)
        return result

    def leaf_or_new(self, full: str, given: Args, kwargs: Named, node: ast.AST) -> Value:
        """A new tensor; one that requires a gradient is a parameter that nobody owns yet."""
        if _true(kwargs.get("requires_grad")):
            return self.leaf(node)
        del full, given
        return Data("tensor", token=("at", id(node)))

    def leaf(self, node: ast.AST) -> Value:
        """A tensor with requires_grad=True."""
        del node
        return Data("param", param=self.new_param("leaf"))

    def parameter(self, args: Args, kwargs: Named) -> Value:
        """nn.Parameter: a new leaf, whatever it was computed from."""
        param = self.new_param("torch")
        asked = kwargs.get("requires_grad") or (args[1] if len(args) > 1 else None)
        if asked is not None:
            param.trainable = isinstance(asked, Data) and asked.sort == "const" and bool(asked.const)
        return Data("param", param=param)

    def grad_switch(self, full: str, args: Args, node: ast.AST) -> Value:
        """no_grad() as a context, or around a function."""
        if args and isinstance(args[0], Func):
            func = args[0]
            func.marks |= {"no_grad"}
            return func
        del node
        return Obj(
            lib="torch.no_grad" if not (args and isinstance(args[0], Data) and args[0].const is False) else "torch.enable_grad"
        )

    def torch_module(self, full: str, last: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A module of torch.nn."""
        if last in library.MODULE_LISTS:
            return self.module_list(last, args)
        if last == "DataParallel" and args:
            return args[0]
        obj = Obj(lib=f"torch.nn.{last}", made=self.site())
        if last == "Module":
            return obj
        if library.has_parameters(last):
            self.own(obj, last, args)
            if isinstance(kwargs.get("bias"), Data) and kwargs["bias"].const is False:  # type: ignore[union-attr]
                obj.attrs.pop("bias", None)
        else:
            obj.extra = [value for value in (*args, *kwargs.values()) if isinstance(value, Data) and value.deps]
            for attr in ("weight", "pos_weight") if last.endswith("Loss") else ():
                given = kwargs.get(attr) or (args[0] if args and attr == "weight" else None)
                if isinstance(given, Data) and given.deps:
                    obj.buffers[attr] = True
        return obj

    def module_list(self, kind: str, args: Args) -> Value:
        """A container that registers what it holds."""
        box = Box(kind)
        box.made = self.phase
        items = args if kind == "Sequential" else (args[0].all() if args and isinstance(args[0], Box) else [])
        tokens = list(args[0].items) if args and isinstance(args[0], Box) and kind.endswith("Dict") else []
        for n, item in enumerate(items):
            if isinstance(item, Data) and item.sort == "tensor" and kind.startswith("Parameter"):
                item = self.parameter([item], {})
            box.items[tokens[n] if n < len(tokens) else ("c", n)] = item
            if isinstance(item, (Obj, Box)) and item.owner is None:
                item.owner, item.attr = box, str(n)
            for param in self.params_of(item):
                param.registered = True
                if param.owner is None:
                    param.owner, param.attr = box, str(n)
        return box

    def torch_utils(self, full: str, last: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """torch.nn.utils: what replaces a parameter, and what computes it anew."""
        target = args[0] if args else UNKNOWN
        if last == "register_parametrization" and isinstance(target, Obj) and len(args) > 1 and isinstance(args[1], Data):
            target.parametrized.add(str(args[1].const))
            return target
        if last == "weight_norm" and isinstance(target, Obj):
            name = args[1].const if len(args) > 1 and isinstance(args[1], Data) else "weight"
            old = target.attrs.get(str(name))
            if isinstance(old, Data) and old.param is not None:
                fresh = self.new_param("torch", f"{name}_v")
                fresh.owner, fresh.registered = target, True
                self.replaces(target, str(name), old, fresh)
                target.attrs[str(name)] = Data("param", param=fresh)
                target.parametrized.add(str(name))
            return target
        if last == "cached":
            return self.holder(full, [], {}, node)
        if last in ("parameters_to_vector",):
            return self.derive(args, node)
        if last == "vector_to_parameters":
            self.step(self.params_of(args[1]) if len(args) > 1 else [])
            return NONE
        return target if isinstance(target, Obj) else UNKNOWN

    def optimizer(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """An optimizer, and what it is given."""
        optim = Optim(full, self.site(node))
        given = args[0] if args else kwargs.get("params", UNKNOWN)
        self.hand(optim, given, node)
        self.optimizers.append(optim)
        return optim

    def hand(self, optim: Optim, given: Value, node: ast.AST, depth: int = 0) -> None:
        """Parameters for an optimizer, groups included."""
        if isinstance(given, Box):
            items = given.all()
            if given.kind == "dict":
                items = [given.items[("c", "params")]] if ("c", "params") in given.items else items
            for item in items if depth < 5 else ():
                self.hand(optim, item, node, depth + 1)
            if not items:
                optim.known = False
        elif isinstance(given, Data) and given.param is not None and not given.deps:
            optim.params[given.param] = None
            given.param.optimizers.append(optim)
        elif isinstance(given, Data) and given.deps and given.param is None:
            from isoparam.lint.state import Found

            names = tuple(param.name for param in given.deps)
            self.found.append(Found("stale-optimizer", "", names, self.site(), "derived"))
        else:
            optim.known = False

    def autograd(self, last: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """torch.autograd.grad and backward."""
        if last == "backward":
            self.backward(args[0] if args else UNKNOWN, kwargs, node)
            return NONE
        inner = _true(kwargs.get("create_graph"))
        sources = args[:1]
        for value in sources:
            self.sink(value, "backward", node, retain=_true(kwargs.get("retain_graph")))
        result = self.derive(sources, node) if inner else Data("tensor", token=("at", id(node)))
        wanted = args[1] if len(args) > 1 else kwargs.get("inputs", UNKNOWN)
        count = len(wanted.all()) if isinstance(wanted, Box) else 1
        return Box("tuple", [result] * max(count, 1))

    def backward(self, value: Value, kwargs: Named, node: ast.AST) -> None:
        """A loss is differentiated."""
        self.backwards += 1
        self.sink(value, "backward", node, retain=_true(kwargs.get("retain_graph")))

    # Python

    def call_builtin(self, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A function of Python itself."""
        first = args[0] if args else UNKNOWN
        if name in library.CAST_BUILTINS:
            result = self.severed(args, node, "unknown")
            return (
                result
                if result.cuts
                else Data("unknown", token=("cast", name, self.token(first)) if self.token(first) else None)
            )
        if name == "super":
            return self.parent(args)
        if name in ("getattr", "hasattr", "setattr", "delattr"):
            return self.reflection(name, args, node)
        if name in ("list", "tuple", "set", "sorted", "reversed", "iter"):
            if not args:
                return Box("list" if name != "set" else "set")
            return Box("list" if name != "tuple" else "tuple", self.iterate(first))
        if name == "dict":
            box = Box("dict")
            if isinstance(first, Box):
                box.items.update(first.items)
            box.items.update({("c", key): value for key, value in kwargs.items()})
            return box
        if name == "range":
            return self.counted(args)
        if name in ("enumerate", "zip"):
            return self.paired(name, args)
        if name == "len":
            token = self.token(first) if isinstance(first, Data) else None
            return Data("unknown", token=("meta", "len", token)) if token else Data("unknown")
        if name == "id":
            return Data("unknown", token=("id", id(first.param) if isinstance(first, Data) and first.param else id(first)))
        if name == "next":
            items = self.iterate(first)
            return items[0] if items else UNKNOWN
        if name in ("sum", "max", "min", "abs", "pow", "divmod", "round"):
            values = [item for value in args for item in (self.iterate(value) if isinstance(value, Box) else [value])]
            return self.derive(values, node, name)
        if name in ("map", "filter") and len(args) > 1:
            if name == "filter":
                return Box("list", self.iterate(args[1]))
            return Box("list", [self.call(first, [item], {}, node) for item in self.iterate(args[1])])
        if name == "property" and isinstance(first, Func):
            first.marks |= {"property"}
            return first
        if name == "callable":
            return UNKNOWN
        if name == "isinstance":
            return self.instance(first, args[1] if len(args) > 1 else UNKNOWN)
        return UNKNOWN

    def instance(self, value: Value, kind: Value) -> Value:
        """Isinstance(), where it can be told."""
        if isinstance(value, Obj) and isinstance(kind, Cls) and value.info is not None:
            return const(True) if kind.info in value.info.mro else UNKNOWN
        if isinstance(value, Data) and value.param is not None and isinstance(kind, Lib) and kind.name == "torch.nn.Parameter":
            return const(True)
        if (
            isinstance(value, Data)
            and value.sort in ("tensor", "param")
            and isinstance(kind, Lib)
            and kind.name == "torch.Tensor"
        ):
            return const(True)
        return UNKNOWN

    def parent(self, args: Args) -> Value:
        """super()."""
        for frame in reversed(self.frames):
            func = frame.func
            if func is not None and func.cls is not None and isinstance(func.bound, Obj):
                return Super(func.bound, func.cls)
        del args
        return UNKNOWN

    def reflection(self, name: str, args: Args, node: ast.AST) -> Value:
        """Getattr and its like."""
        if len(args) < 2:
            return UNKNOWN
        owner, key = args[0], args[1]
        known = str(key.const) if isinstance(key, Data) and key.sort == "const" else ""
        if name == "setattr":
            if known:
                self.store_attr(owner, known, args[2] if len(args) > 2 else UNKNOWN, node)
            elif isinstance(owner, Obj) and len(args) > 2:
                self.store_attr(owner, f"<{len(owner.attrs)}>", args[2], node)
            return NONE
        if name == "delattr":
            if isinstance(owner, Obj) and known in owner.attrs:
                from isoparam.lint.state import ABSENT

                self.put(owner.attrs, known, ABSENT)
            return NONE
        if not known:
            return UNKNOWN
        if name == "hasattr":
            if isinstance(owner, Obj):
                if known in owner.attrs or (owner.info is not None and owner.info.find(known)):
                    return const(True)
                return const(False) if owner.info is not None and owner.info.complete else UNKNOWN
            return UNKNOWN
        missing = self.missing
        value = self.load_attr(owner, known, node)
        absent, self.missing = self.missing and not missing, missing
        if (absent or (isinstance(value, Method) and isinstance(owner, Obj))) and len(args) > 2:
            return args[2]
        return value

    def counted(self, args: Args) -> Value:
        """range(): two rounds, or fewer where the text says so."""
        stop = args[1] if len(args) > 1 else args[0] if args else UNKNOWN
        if isinstance(stop, Data) and isinstance(stop.const, int) and len(args) == 1 and stop.const < 4:
            return Box("tuple", [const(n) for n in range(stop.const)])
        return Box("tuple", [const(0), const(1)] if len(args) < 2 else [UNKNOWN, UNKNOWN])

    def paired(self, name: str, args: Args) -> Value:
        """Enumerate, zip."""
        if name == "enumerate":
            return Box(
                "list",
                [Box("tuple", [const(n), item]) for n, item in enumerate(self.iterate(args[0] if args else UNKNOWN)[:4])],
            )
        rows = [self.iterate(value)[:4] for value in args]
        known = [len(row) for row, value in zip(rows, args, strict=True) if isinstance(value, Box)]
        count = min(known) if known else 2
        return Box("list", [Box("tuple", [row[n] if n < len(row) else UNKNOWN for row in rows]) for n in range(count)])

    def iterate(self, value: Value) -> list[Value]:
        if isinstance(value, Box):
            if value.kind == "dict":
                return [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in value.items] or (
                    [UNKNOWN] * 2 if value.rest else []
                )
            found = value.all()
            if value.kind in ("ModuleDict", "ParameterDict"):
                return [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in value.items]
            return found
        if isinstance(value, Data) and (value.deps or value.cuts or value.tracer):
            each = Data("tensor", value.deps, value.cuts)
            each.tracer = value.tracer
            return [each, each]
        if isinstance(value, Obj) and value.info is None:
            return [item for item in value.attrs.values() if isinstance(item, Obj)] or [UNKNOWN, UNKNOWN]
        return [UNKNOWN, UNKNOWN]

    def call_standard(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """functools, copy and the like."""
        first = args[0] if args else UNKNOWN
        if full == "functools.partial":
            return self.partial(first, args[1:], kwargs, node)
        if full in ("functools.lru_cache", "functools.cache"):
            if isinstance(first, Func):
                first.marks |= {"cache"}
                return first
            return Lib("functools.cache")
        if full in ("copy.copy", "copy.deepcopy"):
            return self.copied(first, node)
        if full in ("contextlib.nullcontext", "contextlib.suppress"):
            return UNKNOWN
        if full in ("collections.OrderedDict", "collections.defaultdict"):
            return Box("dict") if not isinstance(first, Box) else first
        if full == "collections.deque":
            return Box("list", self.iterate(first) if isinstance(first, Box) else [])
        if full.startswith("itertools."):
            return Box(
                "list",
                [item for value in args for item in self.iterate(value)] if full.endswith("chain") else [UNKNOWN, UNKNOWN],
            )
        return UNKNOWN

    def partial(self, first: Value, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """functools.partial: the function with what it keeps."""
        if isinstance(first, Func):
            func = self.bind(first, first.bound) if first.bound is not None else self.unbound(first)
            func.args, func.kwargs = [*first.args, *args], {**first.kwargs, **kwargs}
            func.site = self.site()
            for item in node.args[1:] if isinstance(node, ast.Call) else ():
                env = self.frame.env if isinstance(item, ast.Name) else None
                while env is not None and isinstance(item, ast.Name):
                    if item.id in env.vars:
                        func.captured[item.id] = (env.vars, env.vars[item.id])
                        break
                    env = env.parent
            return func
        if isinstance(first, Lib) and (first.name in library.JIT or first.name in library.TRACING):
            return self.wrap(first.name, UNKNOWN, node, kwargs)
        if isinstance(first, Lib) and args:
            obj = self.holder(f"functools.partial({first.name})", args, kwargs, node)
            return obj
        return first

    def unbound(self, first: Func) -> Func:
        """A copy of a function."""
        copy = Func(first.node, first.env, first.module, first.name)
        copy.marks, copy.memo, copy.cls = first.marks, first, first.cls
        return copy

    def copied(self, value: Value, node: ast.AST) -> Value:
        """A copy with parameters of its own."""
        if isinstance(value, Data) and value.param is not None and not value.deps:
            param = self.new_param(value.param.sort)
            param.trainable = value.param.trainable
            return Data("param", param=param)
        if isinstance(value, Obj) and self.params_of(value):
            copy = Obj(value.info, value.lib, value.made)
            copy.buffers, copy.parametrized, copy.hooks = value.buffers, value.parametrized, value.hooks
            for name, item in value.attrs.items():
                new = self.copied(item, node) if isinstance(item, (Obj, Data, Box)) else item
                copy.attrs[name] = new
                if isinstance(new, Data) and new.param is not None:
                    new.param.owner, new.param.attr, new.param.registered = copy, name, True
                elif isinstance(new, (Obj, Box)):
                    new.owner, new.attr = copy, name
            return copy
        if isinstance(value, Box):
            copy_box = Box(value.kind)
            copy_box.items = {key: self.copied(item, node) for key, item in value.items.items()}
            return copy_box
        return value


def _false(value: Any) -> bool:
    return isinstance(value, Data) and value.sort == "const" and value.const is False


def _true(value: Any) -> bool:
    return isinstance(value, Data) and value.sort == "const" and bool(value.const)


__all__ = ["Libraries", "Param"]
