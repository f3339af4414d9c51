"""Calls of libraries by name: torch, its modules and optimizers, and Python's own functions."""

import ast
from typing import Any

from isoparam.lint import library
from isoparam.lint.python import Python
from isoparam.lint.state import Found
from isoparam.lint.values import NONE, UNKNOWN, Box, Data, Func, Obj, Optim, Value, const

Args = list[Value]
Named = dict[str, Value]


class Libraries(Python):
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
        if full == "torch.nn.Parameter":
            return self.parameter(args, kwargs)
        if full == "torch.nn.Buffer":
            return self.derive(args[:1], node)
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


def _false(value: Any) -> bool:
    return isinstance(value, Data) and value.sort == "const" and value.const is False


def _true(value: Any) -> bool:
    return isinstance(value, Data) and value.sort == "const" and bool(value.const)
