"""JAX: what a compiled function holds as a constant, what leaves a trace, which leaves of a pytree follow from others."""

import ast
import math
import re
from typing import Any

from isoparam.lint import library
from isoparam.lint.captures import Captures
from isoparam.lint.libraries import Args, Named
from isoparam.lint.project import ClassInfo
from isoparam.lint.state import Found
from isoparam.lint.values import NONE, UNKNOWN, Box, Data, Func, Obj, Param, Site, Value, Wrapped, const

_LEAVES = ("zeros", "ones", "full", "array", "asarray", "zeros_like", "ones_like", "full_like", "eye")
_TABLES = ("arange", "linspace", "logspace")
_FROZEN = re.compile(
    r"set_to_zero|multi_transform|optax\.masked|optax\.partition|eqx\.partition|filter_spec|nnx\.DiffState|freeze"
)
_MEANT = re.compile(r"frozen|target|teacher|ema|const|fixed|buffer|stat", re.IGNORECASE)
_SHAPES = {"shape", "ndim", "size", "result_type", "broadcast_shapes", "issubdtype", "iscomplexobj", "dtype", "promote_types"}
_FLAT = {"round", "rint", "floor", "ceil", "sign", "argmax", "argmin", "heaviside", "trunc", "fix"}


class Tracing(Captures):
    """JAX's transformations, read without running them."""

    def call_jax(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        last = full.rsplit(".", 1)[-1]
        first = args[0] if args else UNKNOWN
        given = [*args, *kwargs.values()]
        if full in library.JIT or (
            full in library.GRADS or full in ("jax.vmap", "jax.checkpoint", "jax.remat", "flax.nnx.vmap", "equinox.filter_vmap")
        ):
            return self.wrap(full, first, node, kwargs)
        if full in library.TRACING:
            return self.looped(full, args, kwargs, node)
        if last in _SHAPES:
            return Data("unknown", token=("at", id(node)))
        if full.startswith("jax.numpy.") or full.startswith("jax.random."):
            if full.startswith("jax.random.") and last not in (
                "key",
                "PRNGKey",
                "split",
                "fold_in",
                "randint",
                "choice",
                "permutation",
            ):
                return self.array(node, random=True)
            if last in _LEAVES and not any(isinstance(v, Data) and (v.deps or v.param or v.tracer) for v in given):
                return self.array(node, values=_stated(last, args))
            if last in _TABLES or full in library.NEW_FUNCTIONS or full.startswith("jax.random."):
                return self.derive([v for v in given if isinstance(v, Data) and v.tracer], node)
        if last in ("clip", "clamp") and args and self.tracing:
            self.clipped(args, kwargs)
        if last == "stop_gradient" or (full.startswith("jax.numpy.") and last in _FLAT):
            return self.severed(given, node)
        if last == "block_until_ready":
            return first
        if full.startswith("flax.nnx."):
            return self.call_nnx(last, args, kwargs, node)
        if full in ("optax.apply_updates", "equinox.apply_updates"):
            return self.derive(given, node)
        if (
            full.startswith("optax.")
            and full.count(".") == 1
            and last not in ("apply_updates", "global_norm")
            and not last.endswith("norm")
        ):
            return (
                Obj(lib=full, made=self.site())
                if not any(isinstance(v, Data) and v.deps for v in given)
                else self.derive(given, node)
            )
        if (
            full.startswith(("jax.debug.", "jax.config.", "jax.tree_util.register", "jax.effects"))
            or last == "register_dataclass"
        ):
            return first if last == "register_dataclass" else NONE
        if (last in ("map", "tree_map") and ".tree" in full) or last == "tree_map":
            return self.derive([item for value in args[1:] for item in self.leaves(value)], node)
        if full.startswith("equinox.nn.") and last[:1].isupper():
            obj = Obj(lib=full, made=self.site())
            for attr in ("weight", "bias"):
                obj.attrs[attr] = self.array(node)
            return obj
        if full.startswith("flax.linen.") and last[:1].isupper():
            return Obj(lib=full, made=self.site())
        return self.derive(given, node, last)

    def array(self, node: ast.AST, random: bool = False, values: tuple[float, ...] = ()) -> Data:
        """A new array: it may be a leaf that is trained."""
        param = self.new_param("array")
        param.values = values
        result = Data("param", param=param, token=("at", id(node)))
        result.maps = ("random",) if random else ()
        return result

    def call_nnx(self, last: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """flax.nnx."""
        first = args[0] if args else UNKNOWN
        if last in ("data", "static", "List", "Dict", "Sequential"):
            return first if last != "Sequential" else Box("Sequential", args)
        if last in ("Param", "Variable", "BatchStat", "Cache", "Intermediate", "LoRAParam"):
            param = self.new_param("nnx")
            param.trainable = last in ("Param", "LoRAParam", "Variable")
            return Data("param", param=param)
        if last in ("Optimizer", "ModelAndOptimizer", "Rngs"):
            obj = Obj(lib=f"flax.nnx.{last}", made=self.site())
            obj.attrs["model"] = first
            return obj
        if last == "update" and args:
            self.step(self.params_of(first))
            return NONE
        if last == "split" or last == "state":
            return self.derive([], node)
        if last[:1].isupper():
            obj = Obj(lib=f"flax.nnx.{last}", made=self.site())
            for attr in (
                ("kernel", "bias")
                if last in ("Linear", "Conv", "LinearGeneral", "Einsum")
                else ("scale", "bias")
                if "Norm" in last
                else ()
            ):
                param = self.new_param("nnx", attr)
                param.owner, param.registered = obj, True
                obj.attrs[attr] = Data("param", param=param)
            return obj
        return self.derive([*args, *kwargs.values()], node, last)

    def method_of_object(self, of: Obj, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        if of.lib == "flax.nnx.Optimizer" or of.lib == "flax.nnx.ModelAndOptimizer":
            if name == "update":
                self.step(self.params_of(args[0] if args and isinstance(args[0], Obj) else of.attrs["model"]))
            return NONE
        if of.lib.startswith("optax.") and of.info is None:
            if name == "update":
                updates = self.derive(args, node)
                return Box("tuple", [updates, Data("tensor")])
            return self.derive(args, node)
        if of.info is not None and of.info.kind in ("struct", "dataclass", "eqx") and name in ("replace", "_replace"):
            return self.replaced_fields(of, kwargs)
        return super().method_of_object(of, name, args, kwargs, node)

    def replaced_fields(self, of: Obj, kwargs: Named) -> Value:
        """A copy with other fields."""
        copy = Obj(of.info, of.lib, of.made)
        copy.attrs = {**of.attrs, **kwargs}
        return copy

    # Transformations

    def wrap(self, full: str, inner: Value, node: ast.AST, kwargs: Named) -> Value:
        wrapped = Wrapped(full, inner, self.site(node))
        if full in library.GRADS:
            given = kwargs.get("argnums", const(0))
            numbers = given.all() if isinstance(given, Box) else [given]
            wrapped.argnums = {each.const for each in numbers if isinstance(each, Data)}
        for name in ("static_argnums", "static_argnames"):
            given = kwargs.get(name)
            if given is None and isinstance(node, ast.Call):
                given = next((self.evaluate(item.value) for item in node.keywords if item.arg == name), None)
            for each in given.all() if isinstance(given, Box) else [given]:
                if isinstance(each, Data) and each.sort == "const":
                    wrapped.statics.add(each.const)
        return wrapped

    def call_wrapped(self, callee: Wrapped, args: Args, kwargs: Named, node: ast.AST) -> Value:
        if callee.inner is UNKNOWN and args and isinstance(args[0], (Func, Wrapped)):
            inner = Wrapped(callee.kind, args[0], callee.site)  # partial(jax.jit, ...)(f)
            inner.statics = callee.statics
            return inner
        if callee.kind in library.JIT:
            if callee.traced:
                self.recheck(callee)
            result = self.traced(callee, args, kwargs, node)
            callee.traced = True
            return result
        result = self.traced(callee, args, kwargs, node)
        if callee.kind in library.GRADS and isinstance(result, Data):
            self.zero_gradients(callee, args, result)
            grads = self.derive([Data("tensor", result.deps)], node)
            return Box("tuple", [result, grads]) if "value_and" in callee.kind else grads
        return result

    def traced(self, callee: Wrapped, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """The body of a function under a transformation, its arguments traced."""
        func = callee.inner
        marked = [
            value if n in callee.statics else self.as_tracer(value, callee, n in callee.argnums) for n, value in enumerate(args)
        ]
        named = {
            name: value if name in callee.statics else self.as_tracer(value, callee, name in callee.argnums)
            for name, value in kwargs.items()
        }
        outside = set(self.outside)
        self.tracing.append(callee)
        self.depth.append(len(self.frames))
        self.starts.append(self.tick())
        if isinstance(func, Func):
            for name, place in func.captured.items() if callee.kind in library.JIT and func.args else ():
                callee.captures.setdefault(("partial", name), ((place[0], name, 0), place[1], name, func.site or callee.site))
            self.outside.update(id(value) for value in func.args if isinstance(value, (Obj, Box)))
            if isinstance(func.bound, Obj) and callee.kind in library.JIT and "self" not in func.marks:
                self.outside.add(id(func.bound))
        try:
            result = self.call(func, marked, named, node)
        finally:
            self.tracing.pop()
            self.depth.pop()
            self.starts.pop()
            self.outside = outside
            if not self.tracing:
                self.ended()
        return self.released(result, callee)

    def released(self, value: Value, callee: Wrapped, depth: int = 0) -> Value:
        """A result as the caller sees it: no longer traced."""
        if isinstance(value, Data) and value.tracer is callee:
            copy = Data(value.sort, value.deps, value.cuts, value.const, value.param, value.token)
            copy.maps = value.maps
            return copy
        if isinstance(value, Box) and depth < 4:
            box = Box(value.kind)
            box.items = {key: self.released(item, callee, depth + 1) for key, item in value.items.items()}
            box.rest = value.rest
            return box
        return value

    def as_tracer(self, value: Value, callee: Wrapped, differentiated: object, depth: int = 0) -> Value:
        """An argument as the traced function sees it: for a gradient, leaves of their own."""
        if isinstance(value, Data) and value.sort != "const":
            copy = Data(
                "tensor" if value.sort == "unknown" else value.sort, value.deps, value.cuts, None, value.param, value.token
            )
            copy.tracer = callee
            if value.param is not None and value.param.sort == "array" and differentiated:
                copy.param = self.leaf_of(value.param, callee)
                copy.sort = "param"
            return copy
        if isinstance(value, Box) and depth < 4:
            box = Box(value.kind)
            box.owner, box.attr, box.made = value.owner, value.attr, "traced"
            box.items = {key: self.as_tracer(item, callee, differentiated, depth + 1) for key, item in value.items.items()}
            for key, item in box.items.items():
                if isinstance(item, Data) and item.param is not None and not item.param.attr and key[0] == "c":
                    item.param.attr = str(key[1])
            return box
        if (
            isinstance(value, Obj)
            and value.info is not None
            and value.info.kind in ("struct", "eqx", "dataclass")
            and depth < 4
        ):
            copy_obj = Obj(value.info, value.lib, value.made)
            copy_obj.sites = value.sites
            copy_obj.attrs = {key: self.as_tracer(item, callee, differentiated, depth + 1) for key, item in value.attrs.items()}
            return copy_obj
        return value

    def leaf_of(self, param: Param, callee: Wrapped) -> Param:
        """The traced stand-in of a leaf."""
        key = ("leaf", id(param))
        if key not in callee.captures:
            leaf = Param("array", param.site, param.attr)
            leaf.owner, leaf.values = param.owner, param.values
            callee.captures[key] = (leaf, param, param.attr, param.site)
            callee.captures["leaf of", id(leaf)] = callee.captures[key]
        return callee.captures[key][0]

    def zero_gradients(self, callee: Wrapped, args: Args, result: Data) -> None:
        """Leaves of the differentiated argument whose number reaches the loss, but not their gradient."""
        module = self.frame.module
        given = {param for value in args for param in _leaves(value)}
        for key, (leaf, param, _, _) in list(callee.captures.items()):
            if (
                key[0] != "leaf"
                or param not in given
                or leaf in result.deps
                or _MEANT.search(leaf.name)
                or _FROZEN.search(module.source.text)
            ):
                continue
            if leaf in result.cuts:
                self.found.append(Found("zero-gradient-leaf", leaf.name, (leaf.name,), result.cuts[leaf], "cut"))
            elif param in result.deps:
                self.found.append(
                    Found("zero-gradient-leaf", leaf.name, (leaf.name or "leaf",), result.deps[param].site, "outside")
                )

    def clipped(self, args: Args, kwargs: Named) -> None:
        """A leaf that is clipped where it is differentiated, with an entry beyond a bound from the start."""
        value = args[0]
        if not isinstance(value, Data) or value.param is None or value.deps or value.tracer is None:
            return
        low = _number(args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("a_min")), -math.inf)
        high = _number(args[2] if len(args) > 2 else kwargs.get("max", kwargs.get("a_max")), math.inf)
        leaf = value.param.sort == "array" and ("leaf of", id(value.param)) in value.tracer.captures
        if leaf and any(not low <= entry <= high for entry in value.param.values):
            self.found.append(Found("zero-gradient-leaf", value.param.name, (value.param.name,), self.site(), "clip"))

    def looped(self, full: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """scan, cond, while_loop: their functions are traced with what they are given."""
        functions = [value for value in args if isinstance(value, (Func, Wrapped))]
        rest = [value for value in (*args, *kwargs.values()) if not isinstance(value, (Func, Wrapped))]
        results: list[Value] = []
        for func in functions:
            wrapped = Wrapped(full, func, self.site(node))
            count = len(func.node.args.args) if isinstance(func, Func) else 1
            given: list[Value] = [self.derive(rest, node) if rest else UNKNOWN for _ in range(count)]
            results.append(self.traced(wrapped, given, {}, node))
        flat = [item for value in (*results, *rest) for item in self.leaves(value)]
        result = self.derive(flat, node)
        return Box("tuple", [result, result]) if full.endswith("scan") else result

    def leaves(self, value: Value) -> list[Value]:
        """Arrays of a pytree."""
        if isinstance(value, Box):
            return [leaf for item in value.all() for leaf in self.leaves(item)]
        if isinstance(value, Obj):
            return [leaf for item in value.attrs.values() if isinstance(item, (Data, Box)) for leaf in self.leaves(item)]
        return [value] if isinstance(value, Data) else []

    def enter_function(self, func: Func, args: Args, kwargs: Named, node: ast.AST) -> Value:
        if (
            "jit" in func.marks
            and isinstance(func.node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and func.node not in [t.site for t in self.tracing]
        ):
            owner: Any = func.memo if func.memo is not None else func
            wrapped = owner.captured.get("jit")
            if wrapped is None:
                plain = self.unbound(func)
                plain.marks = func.marks - {"jit"}
                wrapped = owner.captured["jit"] = Wrapped("jax.jit", plain, func.site or self.site())
                decorator = func.node.decorator_list[0]
                wrapped.site = Site(
                    func.module.path, decorator.lineno, decorator.col_offset + 1, self.phase, id(decorator), self.clock
                )
                self.static_of(wrapped, func)
            if 0 in wrapped.statics and args and isinstance(args[0], Obj):
                self.outside.add(id(args[0]))
            return self.call_wrapped(wrapped, args, kwargs, node)
        return super().enter_function(func, args, kwargs, node)

    def static_of(self, wrapped: Wrapped, func: Func) -> None:
        """Static arguments that the decorator names."""
        names = [arg.arg for arg in func.node.args.args]
        for decorator in func.node.decorator_list:
            for item in decorator.keywords if isinstance(decorator, ast.Call) else ():
                for part in ast.walk(item.value):
                    if isinstance(part, ast.Constant) and item.arg in ("static_argnums", "static_argnames"):
                        wrapped.statics.add(names.index(part.value) if part.value in names else part.value)

    # Captures

    # Leaks

    # Pytrees

    def constructed(self, obj: Obj, args: Args, kwargs: Named, node: ast.AST | None) -> None:
        info: ClassInfo = obj.info
        if info.kind not in ("struct", "eqx", "nnx", "linen", "pytree", "dataclass"):
            return
        from isoparam.lint.pytrees import look_at

        look_at(self, obj, node)


def _number(value: Value | None, otherwise: float) -> float:
    if isinstance(value, Data) and value.sort == "const" and isinstance(value.const, (int, float)):
        return float(value.const)
    return otherwise


def _stated(name: str, args: Args) -> tuple[float, ...]:
    """The entries of a new array, where the text states them."""
    if name in ("zeros", "ones"):
        return (float(name == "ones"),)
    given = args[1] if name == "full" and len(args) > 1 else args[0] if args and name in ("array", "asarray") else None
    entries = given.all() if isinstance(given, Box) else [given]
    if all(isinstance(each, Data) and each.sort == "const" and isinstance(each.const, (int, float)) for each in entries):
        return tuple(_number(each, 0.0) for each in entries)
    return ()


def _leaves(value: Value, depth: int = 0) -> list[Param]:
    """The arrays that a pytree holds as its leaves."""
    if isinstance(value, Data):
        return [value.param] if value.param is not None else []
    if depth > 6 or not isinstance(value, (Box, Obj)):
        return []
    held = value.all() if isinstance(value, Box) else value.attrs.values()
    return [param for item in held for param in _leaves(item, depth + 1)]
