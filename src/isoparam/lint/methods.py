"""Methods of tensors, of containers, of modules and of optimizers."""

import ast
import re

from isoparam.lint import library
from isoparam.lint.containers import Containers
from isoparam.lint.joining import ABSENT
from isoparam.lint.libraries import Args, Named, _true
from isoparam.lint.state import Found
from isoparam.lint.values import NONE, UNKNOWN, Box, Data, Func, Lib, Method, Obj, Optim, Param, Super, Value, const

_OPTIMIZER = re.compile(r"opt|sgd|adam|lbfgs", re.IGNORECASE)
_SCHEDULER = re.compile(r"sched|scaler|env|writer|prof|bar|timer", re.IGNORECASE)


class Methods(Containers):
    """Calls of methods."""

    def call_method(self, of: Value, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        if isinstance(of, Data):
            return self.method_of_data(of, name, args, kwargs, node)
        if isinstance(of, Box):
            return self.method_of_box(of, name, args, kwargs, node)
        if isinstance(of, Obj):
            return self.method_of_object(of, name, args, kwargs, node)
        if isinstance(of, Optim):
            return self.method_of_optimizer(of, name, args, node)
        if isinstance(of, Super):
            if name == "__init__":
                return NONE
            if name == "__setattr__" and len(args) > 1 and isinstance(args[0], Data):
                self.store_attr(of.of, str(args[0].const), args[1], node)
                return NONE
            return self.method_of_object(of.of, name, args, kwargs, node)
        if isinstance(of, Method):
            return self.method_of_data(UNKNOWN, name, args, kwargs, node)
        if isinstance(of, Func) and name == "cache_clear":
            owner = of.memo if of.memo is not None else of
            for key in list(owner.cache):
                self.put(owner.cache, key, ABSENT)
            return NONE
        return self.call_unknown(args, kwargs, node)

    def method_of_data(self, of: Data, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A method of a tensor, or of what is not known."""
        given = [of, *args, *kwargs.values()]
        if name == "backward":
            if of.deps or of.sort == "tensor" or not args:
                self.backward(of, kwargs, node)
            else:
                self.backward(args[0], kwargs, node)
            return NONE
        if name == "manual_backward" and args:
            self.backward(args[0], kwargs, node)
            return NONE
        if name == "zero_grad":
            self.graded = {}
            return NONE
        if name == "step":
            self.unknown_step(args, node)
            return UNKNOWN
        if not (of.deps or of.param or of.cuts or of.sort == "tensor" or of.tracer):
            if name in ("shape", "size", "dim", "numel") and of.token is not None:
                return Data("unknown", token=("meta", name, of.token, *(self.token(value) for value in args)))
            if name == "set_to_none" or (name == "at" and not args):
                return UNKNOWN
            return self.call_unknown(args, kwargs, node)
        if name == "requires_grad_":
            asked = args[0] if args else kwargs.get("requires_grad", const(True))
            if of.param is not None and isinstance(asked, Data):
                self.put_trainable(of.param, asked)
                return of
            if not of.deps and _true(asked):
                return Data("param", param=self.new_param("leaf"))
            return of
        if name in library.CUT_METHODS:
            return self.severed([of], node)
        if name in library.META_METHODS:
            if name in ("size", "dim", "numel", "__len__", "stride", "data_ptr"):
                base = of.token if of.token is not None else ("param", id(of.param)) if of.param else ("at", id(node))
                return Data("unknown", token=("meta", name, base, *(self.token(value) for value in args)))
            return Data("tensor", token=("at", id(node)))
        if name.endswith("_") and not name.endswith("__"):
            if name in library.IN_PLACE_SAFE:
                if name == "detach_":
                    where = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
                    result = self.severed([of], node)
                    if where is not None:
                        self.write_back(where, result)
                    return result
                return of
            where = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else node
            return self.in_place(where, of, given, node, name)
        result = self.derive(given, node, name)
        if name in library.VIEWS:
            return self.viewed(of, result)
        if name in ("chunk", "split", "unbind", "tolist"):
            return Data("tensor", result.deps, result.cuts)
        return result

    def in_place(self, where: ast.AST, owner: Data, given: list[Value], node: ast.AST, how: str) -> Value:
        if owner.param is not None and not owner.deps:
            return self.change_leaf(owner, owner.param, given, node, how)
        others = [value for value in given if value is not owner]
        if how in ("copy_", "fill_", "zero_", "set_", "swap_") or owner.sort == "unknown":
            result = self.derive(others, node)
        else:
            result = self.derive([owner, *others], node)
        for param in owner.cuts:
            if _is_data(where) and self.phase != "init":
                param.stepped = self.tick()
        sources = [param for value in others for param in self.cuts(value)]
        if (
            how == "copy_"
            and self.phase == "init"
            and len(owner.cuts) == 1
            and len(sources) == 1
            and sources[0] not in owner.cuts
        ):
            target = next(iter(owner.cuts))
            if target.trainable and sources[0].trainable and not any(isinstance(v, Data) and v.maps for v in others):
                self.found.append(Found("tied-by-value", target.name, (sources[0].name,), self.site(), ""))
        if result.deps or owner.deps:
            self.write_back(where, result)
        return result

    def change_leaf(self, owner: Data, param: Param, given: list[Value], node: ast.AST, how: str) -> Value:
        """A parameter is changed in place: an error with gradients recorded, an update without."""
        if not self.grad:
            if self.phase != "init":
                param.stepped = self.tick()
            return owner
        if param.trainable and param.sort in ("torch", "leaf"):
            self.found.append(Found("inplace-on-leaf", "", (param.name,), self.site(), how))
        del given, node
        return owner

    def write_back(self, where: ast.AST, value: Data) -> None:
        """The tensor that a chain of in-place calls began with is now this one."""
        while isinstance(where, ast.Call) and isinstance(where.func, ast.Attribute):
            where = where.func.value
        while isinstance(where, ast.Subscript):
            where = where.value
        if isinstance(where, ast.Attribute) and where.attr == "data":
            return
        if isinstance(where, (ast.Name, ast.Attribute)):
            self.store(where, value)

    # Containers

    # Modules

    def method_of_object(self, of: Obj, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A method that modules have of themselves, or one of an object of a library."""
        first = args[0] if args else UNKNOWN
        known = str(first.const) if isinstance(first, Data) and first.sort == "const" else f"<{len(of.attrs)}>"
        if name == "register_buffer":
            value = args[1] if len(args) > 1 else kwargs.get("tensor", UNKNOWN)
            self.put(of.buffers, known, True)
            self.store_attr(of, known, value, node)
            return NONE
        if name in ("register_parameter", "add_module", "register_module"):
            value = args[1] if len(args) > 1 else next(iter(kwargs.values()), UNKNOWN)
            self.store_attr(of, known, value, node)
            if isinstance(value, Data) and value.param is not None:
                value.param.registered = True
            return NONE
        if name in ("parameters", "named_parameters", "children", "modules", "named_children", "named_modules", "state_dict"):
            return self.listed(of, name)
        if name in library.MODULE_SELF:
            return self.converted(of, name, args, kwargs)
        if name == "register_forward_pre_hook":
            of.hooks.append(self.handed_on(of, first, node))
            return UNKNOWN
        if name in ("forward", "__call__") and (of.info is None or not of.info.find(name)):
            return self.call_object(of, args, kwargs, node)
        if name in ("manual_backward", "backward") and args:
            self.backward(first, kwargs, node)
            return NONE
        if name == "zero_grad":
            self.graded = {}
            return NONE
        if name == "step":
            self.unknown_step(args, node)
            return UNKNOWN
        if name in ("apply", "init") and of.info is not None and of.info.kind == "linen":
            return self.call_object(of, args[1:], {}, node)
        if of.lib == "torch.nn.Embedding" and name == "from_pretrained":
            return UNKNOWN
        if name in ("sample", "sample_n") and of.lib.startswith("torch.distributions"):
            return Data("tensor", token=("at", id(node)))  # drawn without a graph; rsample has one
        if of.extra and of.info is None:
            held = self.held(of, node)
            return self.derive([held, *args, *kwargs.values()], node)
        if name in ("__getattr__", "get_parameter") and known in of.attrs:
            return of.attrs[known]
        return self.call_unknown(args, kwargs, node)

    def handed_on(self, of: Obj, callback: Value, node: ast.AST) -> Value:
        """A hook; where `type(self).refresh` says which, the method of that name."""
        given = node.args[0] if isinstance(node, ast.Call) and node.args else None
        if isinstance(callback, Func) or not isinstance(given, ast.Attribute) or of.info is None:
            return callback
        found = of.info.find(given.attr)
        return callback if found is None else self.method(*found)

    # Optimizers

    def method_of_optimizer(self, of: Optim, name: str, args: Args, node: ast.AST) -> Value:
        """step(), add_param_group()."""
        if name == "step":
            if args and isinstance(args[0], Func):
                self.call(args[0], [], {}, node)
                self.step(of.params or self.world)
                self.call(args[0], [], {}, node)
            self.step(list(of.params) if of.known else [*of.params, *self.owned_by_none()])
            for hook in of.hooks:
                self.call(hook, [of, UNKNOWN, UNKNOWN], {}, node)
        elif name in ("register_step_pre_hook", "register_step_post_hook") and args:
            of.hooks.append(args[0])
        elif name == "zero_grad":
            self.graded = {param: None for param in self.graded or () if param not in of.params}
        elif name == "add_param_group" and args:
            self.hand(of, args[0], node)
        return UNKNOWN

    def owned_by_none(self) -> list[Param]:
        """Parameters that no other optimizer holds, for one whose list is not known."""
        return [param for param in self.world if not param.optimizers] if self.unknown_optimizers <= 1 else []

    def unknown_step(self, args: Args, node: ast.AST) -> None:
        """`.step()` of something that is not known, told by its name."""
        for value in args:
            if isinstance(value, Optim):  # scaler.step(optimizer)
                self.step(value.params)
                return
        func = node.func if isinstance(node, ast.Call) else None
        owner = func.value if isinstance(func, ast.Attribute) else None
        if isinstance(owner, ast.Call):
            owner = owner.func
        name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
        named = [item.id for item in node.args if isinstance(item, ast.Name)] if isinstance(node, ast.Call) else []
        if any(_OPTIMIZER.search(each) for each in named) or (_OPTIMIZER.search(name) and not _SCHEDULER.search(name)):
            if args and isinstance(args[0], Func):
                self.call(args[0], [], {}, node)
            self.step(self.owned_by_none())

    # Contexts

    def enter(self, value: Value, node: ast.AST) -> None:
        name = value.lib if isinstance(value, Obj) else value.name if isinstance(value, Lib) else ""
        if name in library.NO_GRAD or name == "torch.no_grad":
            self.grad = False
        elif name == "torch.enable_grad":
            self.grad = True
        elif name == "torch.set_grad_enabled" and isinstance(value, Obj):
            asked = value.extra[0] if value.extra else UNKNOWN
            self.grad = not (isinstance(asked, Data) and asked.sort == "const" and not asked.const)
        elif name.endswith(("autocast", "parametrize.cached")):
            self.contexts.append((name, self.site(), self.steps))
            return
        self.contexts.append(("", self.site(), self.steps))

    def leave(self, depth: int) -> None:
        for name, site, steps in self.contexts[depth:]:
            if name and self.steps - steps > 1 and self.backwards:
                self.found.append(Found("stale-cache", name.rsplit(".", 1)[-1] + "()", self.shared(), site, "context"))
        del self.contexts[depth:]

    def shared(self) -> tuple[str, ...]:
        """Names of the parameters that were updated."""
        return tuple(dict.fromkeys(param.name for param in self.world if param.stepped and param.trainable))[:6]


def _is_data(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "data"
