"""JAX: what a compiled function keeps from outside, what leaves a trace, updates that are thrown away."""

import ast
from typing import Any

from isoparam.lint import library
from isoparam.lint.methods import Methods
from isoparam.lint.state import Found
from isoparam.lint.values import UNKNOWN, Box, Data, Env, Func, Obj, Site, Value, Wrapped, path_of


class Captures(Methods):
    """Reading and writing while a function is traced."""

    outside: set[int]  # identities of what was made outside of the trace
    depth: list[int]  # number of frames, and the time, when each trace began
    starts: list[int]
    stashed: dict[tuple[int, str], tuple[Found, bool]]  # written in this trace; whether it was read after that
    asked: set[tuple[int, str]]  # read in this trace before it was written

    def capture(self, env: Env, key: str, value: Value, node: ast.AST) -> None:
        if not self.tracing or env.kind == "comprehension" or any(frame.env is env for frame in self.frames[self.depth[-1] :]):
            return
        if env.born >= self.starts[0]:  # made within the trace
            return
        if isinstance(value, (Obj, Box)):
            self.outside.add(id(value))
        self.note_capture(env.vars, key, value, key)

    def captured_attr(self, value: Obj, name: str, found: Value, node: ast.AST) -> None:
        if isinstance(found, Data) and found.tracer is not None and found.tracer not in self.tracing:
            label = f"{value.info.name + '.' if value.info else ''}{path_of(value, name)}"
            self.found.append(Found("leaked-tracer", label, (), value.sites.get(name) or self.site(), "attr"))
        if self.tracing and id(value) in self.outside:
            key = (id(value), name)
            if key in self.stashed:
                self.stashed[key] = (self.stashed[key][0], True)
            else:
                self.asked.add(key)
            if isinstance(found, (Obj, Box)):
                self.outside.add(id(found))
            self.note_capture(value.attrs, name, found, f"{value.info.name + '.' if value.info else ''}{path_of(value, name)}")

    def captured_item(self, value: Box, token: object, found: Value, node: ast.AST) -> None:
        if self.tracing and id(value) in self.outside:
            if isinstance(found, (Obj, Box)):
                self.outside.add(id(found))
            label = f"[{token[1]!r}]" if isinstance(token, tuple) and token[0] == "c" else "[...]"
            self.note_capture(value.items, token, found, path_of(value.owner, value.attr) + label)

    def note_capture(self, table: dict[Any, Any], key: Any, value: Value, name: str) -> None:
        """A compiled function has read a value from outside: it keeps it as a constant."""
        callee = self.tracing[0]
        if (
            callee.kind not in library.JIT
            or isinstance(value, (Func, Wrapped))
            or (isinstance(value, Data) and value.sort == "const")
        ):
            return
        frame = self.frames[self.depth[0]] if len(self.frames) > self.depth[0] else self.frame
        stmt = frame.stmt
        site = Site(frame.module.path, stmt.lineno, stmt.col_offset + 1, self.phase, id(stmt), self.clock)
        if callee.inner is not UNKNOWN and isinstance(callee.inner, Func) and 0 in callee.statics:
            site = callee.site
        stepped = value.param.stepped if isinstance(value, Data) and value.param is not None else 0
        callee.captures.setdefault((id(table), key), ((table, key, stepped), value, name, site))

    def recheck(self, callee: Wrapped) -> None:
        """A compiled function is called again, while what it keeps may have changed."""
        for key, (place, value, name, site) in callee.captures.items():
            if key[0] in ("leaf", "leaf of"):
                continue
            table, entry, stepped = place
            now = table.get(entry)
            moved = isinstance(value, Data) and value.param is not None and value.param.stepped != stepped
            if (now is not None and now is not value and not _same_constant(now, value)) or moved:
                self.found.append(Found("jit-captured-param", name, (name,), site, "captured"))

    def leaking_attr(self, owner: Obj, name: str, value: Value) -> None:
        if (
            self.tracing
            and id(owner) in self.outside
            and self.carries(value)
            and (owner.info is None or owner.info.kind != "linen")
        ):
            label = f"{owner.info.name + '.' if owner.info else ''}{path_of(owner, name)}"
            found = Found("leaked-tracer", label, (), self.site(), "attr")
            if (id(owner), name) in self.asked:
                self.found.append(found)
            else:
                self.stashed[id(owner), name] = (found, False)

    def ended(self) -> None:
        """The outermost trace has ended: what was stored and not read within it was stored for later."""
        self.found.extend(found for found, read in self.stashed.values() if not read)
        self.stashed.clear()
        self.asked.clear()

    def leaking_item(self, owner: Box, value: Value) -> None:
        if self.tracing and id(owner) in self.outside and self.carries(value):
            self.found.append(Found("leaked-tracer", path_of(owner.owner, owner.attr) or "container", (), self.site(), "item"))

    def leaking(self, value: Value, name: str) -> None:
        if self.tracing and self.carries(value):
            self.found.append(Found("leaked-tracer", name, (), self.site(), "name"))

    def carries(self, value: Value) -> bool:
        """Whether a value, or what it holds, is traced."""
        if isinstance(value, Data):
            return value.tracer is not None and value.tracer in self.tracing
        return isinstance(value, Box) and any(self.carries(item) for item in value.all())

    def in_place(self, where: ast.AST, owner: Data, given: list[Value], node: ast.AST, how: str) -> Value:
        if owner.param is not None and owner.param.sort == "nnx":
            holder = owner.param.owner
            if self.tracing and isinstance(holder, Obj) and id(holder) in self.outside and how == "item assignment":
                self.found.append(Found("leaked-tracer", owner.param.name, (owner.param.name,), self.site(), "variable"))
            return owner
        return super().in_place(where, owner, given, node, how)

    def assign(self, node: ast.Assign) -> str:
        end = super().assign(node)
        call = node.value
        if isinstance(call, ast.Call) and "optax" in self.frame.module.source.text:
            self.unread(node, call)
        return end

    def unread(self, node: ast.Assign, call: ast.Call) -> None:
        """An update whose result gets a name that nobody reads."""
        func = self.frame.func
        target = node.targets[0]
        if func is None or isinstance(func.node, ast.Lambda) or func.node.body[-1] is None:
            return
        full = self.project.dotted(call.func, self.frame.module)
        name: ast.expr | None = target if full in _DROPPED else None
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "update"
            and isinstance(target, ast.Tuple)
            and len(target.elts) == 2
        ):
            owner = self.evaluate(call.func.value)
            if isinstance(owner, Obj) and owner.lib.rsplit(".", 1)[-1] in _STATEFUL and _in_loop(func.node, node):
                name = target.elts[1]
        if isinstance(name, ast.Name) and not _read(func.node, name.id):
            self.found.append(Found("dropped-update", full or ast.unparse(call.func), (), self.site(), ast.unparse(call)))

    def dropped(self, node: ast.Expr, value: Value) -> None:
        call = node.value
        if not isinstance(call, ast.Call):
            return
        full = self.project.dotted(call.func, self.frame.module)
        func = call.func
        at = (
            isinstance(func, ast.Attribute) and func.attr in _AT and isinstance(func.value, ast.Subscript)
            and isinstance(func.value.value, ast.Attribute) and func.value.value.attr == "at"
        )  # fmt: skip
        mapped = (
            full in ("jax.tree.map", "jax.tree_map", "jax.tree_util.tree_map")
            and bool(call.args)
            and isinstance(call.args[0], ast.Lambda)
            and isinstance(call.args[0].body, ast.BinOp)
        )
        gradients = (
            isinstance(func, ast.Attribute) and func.attr == "apply_gradients" and any(k.arg == "grads" for k in call.keywords)
        )
        if full in _DROPPED or at or mapped or (gradients and "flax" in self.frame.module.source.text):
            self.found.append(Found("dropped-update", full or ast.unparse(func), (), self.site(), ast.unparse(call)))


_DROPPED = {
    "optax.apply_updates",
    "equinox.apply_updates",
    "equinox.tree_at",
    "optax.incremental_update",
    "optax.tree_utils.tree_add",
}


_STATEFUL = {
    "adam",
    "adamw",
    "rmsprop",
    "adagrad",
    "lion",
    "nadam",
    "radam",
    "adamax",
    "lamb",
    "yogi",
    "adabelief",
    "adafactor",
}


_AT = {"set", "add", "multiply", "mul", "divide", "min", "max", "power", "apply"}


def _read(node: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load) for part in ast.walk(node))


def _in_loop(node: ast.AST, stmt: ast.stmt) -> bool:
    loops = [part for part in ast.walk(node) if isinstance(part, (ast.For, ast.While))]
    return any(part is stmt for loop in loops for part in ast.walk(loop))


def _same_constant(now: Value, then: Value) -> bool:
    if isinstance(now, Data) and isinstance(then, Data):
        if now.sort == then.sort == "const":
            return now.const == then.const
        return now.token is not None and now.token == then.token and now.param is then.param
    return isinstance(now, Func) and isinstance(then, Func) and now.node is then.node
