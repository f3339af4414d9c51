"""Tests that the text decides: identity with None, entries of containers, equality of what is unknown."""

import ast
from typing import Any

from isoparam.lint.attributes import Attributes
from isoparam.lint.values import Box, Cls, Data, Func, Lib, Method, Obj, Optim, Token, Value


class Deciding(Attributes):
    """Comparisons and truth."""

    def token(self, value: Value) -> Token | None:
        """What stands for a value as a key."""
        if isinstance(value, Data):
            if value.sort == "const":
                try:
                    hash(value.const)
                except TypeError:
                    return None
                return ("c", value.const)
            return value.token
        if isinstance(value, Box) and value.kind == "tuple":
            parts = [self.token(item) for item in value.items.values()]
            return ("t", *parts) if all(part is not None for part in parts) else None
        if isinstance(value, (Lib,)):
            return ("l", value.name)
        return ("o", id(value)) if isinstance(value, (Obj, Func, Cls, Box, Optim)) else None

    def decide(self, op: ast.cmpop, left: Value, right: Value) -> bool | None:
        """A comparison of two values; None where it is not known."""
        if isinstance(op, (ast.Is, ast.IsNot)):
            same = self.same(left, right)
            return same if same is None or isinstance(op, ast.Is) else not same
        if isinstance(op, (ast.In, ast.NotIn)):
            held = self.holds(right, left)
            return held if held is None or isinstance(op, ast.In) else not held
        one, other = self.token(left), self.token(right)
        if one is None or other is None:
            return None
        if one[0] == "c" and other[0] == "c":
            return _ordered(op, one[1], other[1])
        if one == other:
            return isinstance(op, (ast.Eq, ast.LtE, ast.GtE))
        if _clocked(one) and _clocked(other):  # a version of a parameter, taken at another time
            return isinstance(op, ast.NotEq) if isinstance(op, (ast.Eq, ast.NotEq)) else None
        return None

    def same(self, left: Value, right: Value) -> bool | None:
        """Identity, where one of the two is None, True or False."""
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Data) and one.sort == "const":
                if isinstance(other, Data):
                    if other.sort == "const":
                        return one.const is other.const
                    return False if other.sort in ("tensor", "param") or other.deps else None
                return False
        return None

    def holds(self, box: Value, item: Value) -> bool | None:
        """Whether a container has an entry."""
        if isinstance(box, Method) and box.name == "__dict__" and isinstance(box.of, Obj) and isinstance(item, Data):
            return item.const in box.of.attrs
        if isinstance(box, Box):
            token = self.token(item)
            if token is not None and (
                token in box.items or (box.kind != "dict" and token in map(self.token, box.items.values()))
            ):
                return True
            if box.rest is not None:
                return True if token is None else None
            return False if token is not None else None if box.items else False
        return None

    def truth(self, value: Value) -> bool | None:
        """Whether a value counts as true."""
        if isinstance(value, Data):
            return bool(value.const) if value.sort == "const" else None
        if isinstance(value, Box):
            return True if value.all() else False if value.kind in ("list", "dict", "set", "tuple") else None
        return True


def _clocked(token: Any) -> bool:
    return isinstance(token, tuple) and (token[:1] == ("version",) or any(map(_clocked, token)))


def _ordered(op: ast.cmpop, left: Any, right: Any) -> bool | None:
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return (left == right) is isinstance(op, ast.Eq)
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        compared: dict[type[ast.cmpop], bool] = {
            ast.Lt: left < right, ast.LtE: left <= right, ast.Gt: left > right, ast.GtE: left >= right,
        }  # fmt: skip
        return compared.get(type(op))
    return None
