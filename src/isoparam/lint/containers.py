"""Methods of containers, and those that modules share with the containers that register."""

import ast

from isoparam.lint import library
from isoparam.lint.joining import ABSENT
from isoparam.lint.libraries import Args, Libraries, Named
from isoparam.lint.values import NONE, UNKNOWN, Box, Data, Func, Obj, Value, const


class Containers(Libraries):
    """Lists, dicts, nn.ModuleList and its like."""

    def method_of_box(self, of: Box, name: str, args: Args, kwargs: Named, node: ast.AST) -> Value:
        """A method of a list, a dict, a container of modules."""
        first = args[0] if args else UNKNOWN
        if name in ("append", "add", "appendleft", "insert"):
            item = args[-1] if args else UNKNOWN
            self.leaking_item(of, item)
            self.put(of.items, ("c", len(of.items)), item)
            self.put(of.sites, "appended", self.site())
            if of.kind in library.MODULE_LISTS:
                self.register(of, item, str(len(of.items) - 1))
            return NONE
        if name in ("extend", "update") and args:
            if isinstance(first, Box) and of.kind == "dict":
                for key, item in first.items.items():
                    self.put(of.items, key, item)
            else:
                for item in self.iterate(first):
                    self.put(of.items, ("c", len(of.items)), item)
                    if of.kind in library.MODULE_LISTS:
                        self.register(of, item, str(len(of.items) - 1))
            return NONE
        if name in ("clear",):
            for key in list(of.items):
                self.put(of.items, key, ABSENT)
            of.rest = None
            return NONE
        if name in ("pop", "popitem", "popleft"):
            items = of.all()
            token = self.token(first) if args else None
            if token in of.items:
                value = of.items[token]
                self.put(of.items, token, ABSENT)
                return value
            return items[-1] if items else UNKNOWN
        if name in ("get", "setdefault") and args:
            return self.looked_up(of, name, args, node)
        if name == "items":
            keys = [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in of.items]
            return Box("list", [Box("tuple", [key, item]) for key, item in zip(keys, of.items.values(), strict=True)])
        if name == "values":
            return Box("list", of.all())
        if name == "keys":
            return Box("list", [Data("const", const=key[1]) if key[0] == "c" else UNKNOWN for key in of.items])
        if name == "copy":
            copy = Box(of.kind)
            copy.items, copy.rest = dict(of.items), of.rest
            return copy
        if name in ("parameters", "named_parameters", "children", "modules", "named_children", "named_modules"):
            return self.listed(of, name)
        if name in library.MODULE_SELF:
            return self.converted(of, name, args, kwargs)
        if name in ("add_module", "register_module") and len(args) > 1 and isinstance(first, Data):
            self.put(of.items, ("c", first.const), args[1])
            self.register(of, args[1], str(first.const))
            return NONE
        if name == "__getitem__":
            return self.load_item(of, first, node)
        return UNKNOWN

    def looked_up(self, of: Box, name: str, args: Args, node: ast.AST) -> Value:
        """get(), setdefault()."""
        token = self.token(args[0])
        default = args[1] if len(args) > 1 else NONE
        if token is not None and token not in of.items and of.rest is None:
            if name == "setdefault":
                self.put(of.items, token, default)
                self.put(of.sites, token, self.site())
            return default
        return self.load_item(of, args[0], node)

    def register(self, of: Box, item: Value, attr: str) -> None:
        """A container takes an object as its own."""
        if isinstance(item, (Obj, Box)) and item.owner is None:
            item.owner, item.attr = of, attr
        for param in self.params_of(item):
            param.registered = True
            if param.owner is None:
                param.owner, param.attr = of, attr

    def listed(self, of: Value, name: str) -> Value:
        """parameters() and the like, as a list."""
        if name == "parameters":
            return Box("list", [Data("param", param=param) for param in self.params_of(of)])
        if name == "named_parameters":
            pairs = [Box("tuple", [const(param.name), Data("param", param=param)]) for param in self.params_of(of)]
            return Box("list", pairs)
        if name == "state_dict":
            box = Box("dict")
            for param in self.params_of(of):
                box.items[("c", param.name)] = self.severed([Data("param", param=param)])
            return box
        items = (
            of.attrs
            if isinstance(of, Obj)
            else {str(key[1]): item for key, item in of.items.items()}
            if isinstance(of, Box)
            else {}
        )
        inner = [(key, item) for key, item in items.items() if isinstance(item, Obj)]
        if name.startswith("named_"):
            return Box("list", [Box("tuple", [const(key), item]) for key, item in inner])
        return Box("list", [*([of] if name == "modules" else []), *(item for _, item in inner)])

    def converted(self, of: Value, name: str, args: Args, kwargs: Named) -> Value:
        """to(), train(), requires_grad_(): the object itself, changed."""
        if name == "requires_grad_":
            asked = args[0] if args else kwargs.get("requires_grad", const(True))
            for param in self.params_of(of):
                if isinstance(asked, Data):
                    self.put_trainable(param, asked)
        if name in ("to", "double", "float", "half", "bfloat16", "cuda") and self.overwrite and isinstance(of, Obj):
            for param in self.params_of(of):
                if param.optimizers and isinstance(param.owner, Obj):
                    fresh = self.new_param("torch")
                    self.store_attr(param.owner, param.attr, Data("param", param=fresh), self.frame.stmt)
        if name == "apply" and args and isinstance(args[0], Func) and isinstance(of, Obj):
            self.call(args[0], [of], {}, self.frame.stmt)
        return of
