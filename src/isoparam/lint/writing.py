"""Assignments: to names, attributes and items; what they replace, and what they are kept by."""

import ast

from isoparam.lint import library
from isoparam.lint.state import Found, State
from isoparam.lint.values import UNKNOWN, Box, Data, Method, Obj, Param, Token, Value


class Writing(State):
    """Writing of names, attributes and items."""

    def store(self, target: ast.AST, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.store_name(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.store_attr(self.evaluate(target.value), target.attr, value, target)
        elif isinstance(target, ast.Subscript):
            self.store_item(target, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.store(target.value, value if isinstance(value, Box) else Box("list", [value]))

    def store_name(self, name: str, value: Value) -> None:
        """A variable of this scope, or of the module where it says global."""
        env = self.frame.env
        while env.kind == "comprehension" and name not in env.vars and env.parent is not None and name in env.parent.vars:
            env = env.parent
        if name in env.globals:
            parent = env.parent
            while parent is not None and name not in parent.vars and parent.parent is not None:
                parent = parent.parent
            self.leaking(value, name)
            env = parent or env
        self.put(env.vars, name, value)
        self.put(env.sites, name, self.site())

    def leaking(self, value: Value, name: str) -> None:
        """Told by the part that follows JAX's tracing."""

    def unpack(self, targets: list[ast.expr], value: Value) -> None:
        """a, b = value."""
        if isinstance(value, Box) and not any(isinstance(each, ast.Starred) for each in targets):
            items = value.all()
            if len(items) == len(targets):
                for target, item in zip(targets, items, strict=True):
                    self.store(target, item)
                return
        each: Value = UNKNOWN
        if isinstance(value, Data) and (value.deps or value.cuts or value.tracer or value.maps):
            each = Data("tensor", value.deps, value.cuts)
            each.tracer, each.maps = value.tracer, value.maps
        elif isinstance(value, Box):
            each = self.derive([item for item in value.all() if isinstance(item, Data)])
        for n, target in enumerate(targets):
            if each is UNKNOWN and isinstance(value, Data) and value.token is not None:
                self.store(target, Data("unknown", token=("part", value.token, n)))
            else:
                self.store(target, each)

    def store_attr(self, owner: Value, name: str, value: Value, node: ast.AST) -> None:
        """owner.name = value."""
        if isinstance(owner, Data):
            if name == "requires_grad" and isinstance(value, Data) and owner.param is not None:
                self.put_trainable(owner.param, value)
            elif name == "data" and owner.param is not None:
                self.written_data(owner.param, value, node)
            return
        if isinstance(owner, Box):
            return
        if not isinstance(owner, Obj):
            return
        self.leaking_attr(owner, name, value)
        old = owner.attrs.get(name)
        if self.phase == "run" and (old is None or (isinstance(old, Data) and old.param is None)):
            self.arrives(owner, name, value)
        if isinstance(value, Data) and value.param is not None and value.param.sort != "array":
            self.replaces(owner, name, old, value.param)
            if value.param.owner is None:
                value.param.owner, value.param.attr = owner, name
            if owner.info is None or owner.info.kind in ("torch", "nnx"):
                value.param.registered = True
        elif isinstance(value, (Obj, Box)):
            if value.owner is None and value is not owner:
                value.owner, value.attr = owner, name
            self.replaces_all(owner, name, old, value)
        if isinstance(value, Obj) or (isinstance(value, Box) and value.kind in library.MODULE_LISTS):
            for param in self.params_of(value):
                param.registered = True
        self.put(owner.attrs, name, value)
        self.put(owner.sites, name, self.site())

    def leaking_attr(self, owner: Obj, name: str, value: Value) -> None:
        """Told by the part that follows JAX's tracing."""

    def put_trainable(self, param: Param, value: Data) -> None:
        """requires_grad of a parameter; where it is not known, it is taken as frozen."""
        if param.sort != "array":
            param.trainable = value.sort == "const" and bool(value.const)

    def written_data(self, param: Param, value: Value, node: ast.AST) -> None:
        """param.data = value: an update, and a copy where the value is of another parameter."""
        if param.stepped or self.phase != "init":
            self.put_step(param)
        sources = [each for each in self.cuts(value) if each is not param and each.trainable]
        if (
            self.phase == "init"
            and param.trainable
            and len(sources) == 1
            and isinstance(value, Data)
            and not set(value.maps) - {"clone", "copy", "detach"}
        ):
            self.found.append(Found("tied-by-value", param.name, (sources[0].name,), self.site(), ""))

    def put_step(self, param: Param) -> None:
        """An update by hand."""
        param.stepped = self.tick()

    def replaces(self, owner: Obj, name: str, old: Value | None, new: Param) -> None:
        """A parameter takes the place of one that an optimizer holds."""
        if isinstance(old, Data) and old.param is not None and old.param is not new and old.param.optimizers:
            self.replaced.append((owner, name, new, self.site()))

    def arrives(self, owner: Obj, name: str, value: Value) -> None:
        """A parameter or module that a model gets after the optimizer was built over what it had."""
        fresh = [param for param in self.params_of(value) if param.trainable and param.sort == "torch"]
        if fresh and not any(param.optimizers for param in fresh) and any(param.optimizers for param in self.params_of(owner)):
            self.replaced.append((owner, name, fresh[0], self.site()))

    def replaces_all(self, owner: Obj, name: str, old: Value | None, new: Value) -> None:
        """A module takes the place of one whose parameters an optimizer holds."""
        if old is None or old is new or not isinstance(new, (Obj, Box)):
            return
        before = self.params_of(old)
        after = [param for param in self.params_of(new) if param not in before]
        if after and any(param.optimizers for param in before) and not any(param.optimizers for param in after):
            self.replaced.append((owner, name, after[0], self.site()))

    def store_item(self, target: ast.Subscript, value: Value) -> None:
        """owner[index] = value."""
        owner = self.evaluate(target.value)
        index = self.evaluate(target.slice)
        if isinstance(owner, Box):
            token = self.token(index)
            self.leaking_item(owner, value)
            if token is None:
                self.put_rest(owner, value)
            else:
                self.put(owner.items, token, value)
            self.put(owner.sites, token or "rest", self.site())
        elif isinstance(owner, Method) and owner.name == "__dict__" and isinstance(index, Data) and index.sort == "const":
            self.store_attr(owner.of, str(index.const), value, target)
        elif isinstance(owner, Data):
            self.in_place(target.value, owner, [value], target, "item assignment")

    def leaking_item(self, owner: Box, value: Value) -> None:
        """Told by the part that follows JAX's tracing."""

    def put_rest(self, box: Box, value: Value) -> None:
        """An entry whose key is not known."""
        box.rest = value

    def in_place(self, where: ast.AST, owner: Data, given: list[Value], node: ast.AST, how: str) -> Value:
        """A change of a tensor in its place: of a leaf an error, of a buffer a way in for a graph."""
        raise NotImplementedError

    def params_of(self, value: Value) -> list[Param]:
        """Parameters that a module or a container registers."""
        raise NotImplementedError

    def token(self, value: Value) -> Token | None:
        """What stands for a value as a key."""
        raise NotImplementedError
