"""A parameter that is changed in place while gradients are recorded."""

import ast
import types
from typing import Any

from torch import Tensor as Array
from torch import nn

from isoparam.diagnosis import Finding
from torch_impl.doctor.names import Names
from torch_impl.doctor.source import function_at
from torch_impl.doctor.words import plain


def inplace_on_leaf(frames: list[types.FrameType], names: Names) -> Finding | None:
    """The finding for the line of the user's that changed a parameter."""
    for frame in frames:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in ("torch", "torch_impl", "isoparam"):
            continue
        leaf = _leaf_of_line(frame)
        params = (names.of(leaf),) if leaf is not None else ()
        name = names.of(leaf) if leaf is not None else "a parameter"
        attr = names.attr(name) if leaf is not None and id(leaf) in names.own else name
        written = _line(frame)
        message = f"{attr} is a leaf that requires grad, and is changed in place while gradients are recorded."
        fix = f"with torch.no_grad():  # after optimizer.step()\n    {written}"
        outcome = "raises at once: a leaf Variable that requires grad is being used in an in-place operation"
        return plain("inplace-on-leaf", attr, params, message, fix, outcome, (frame.f_code.co_filename, frame.f_lineno))
    return None


def _statements(frame: types.FrameType) -> list[ast.stmt]:
    function = function_at(frame.f_code)
    return [
        node
        for node in (ast.walk(function) if function is not None else ())
        if isinstance(node, ast.stmt) and node.lineno <= frame.f_lineno <= (node.end_lineno or 0) and node is not function
    ]


def _line(frame: types.FrameType) -> str:
    statements = _statements(frame)
    return ast.unparse(statements[-1]) if statements else "..."


def _leaf_of_line(frame: types.FrameType) -> Array | None:
    """The leaf that the running line names, read from the variables without running anything."""
    for statement in reversed(_statements(frame)):
        for node in ast.walk(statement):
            value = _read(node, frame) if isinstance(node, ast.Attribute | ast.Name) else None
            if isinstance(value, Array) and value.is_leaf and value.requires_grad:
                return value
    return None


def _read(node: ast.AST, frame: types.FrameType) -> Any:
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = _read(node.value, frame)
        if isinstance(owner, nn.Module):
            return {**owner._parameters, **owner._buffers, **owner._modules, **vars(owner)}.get(node.attr)
        return getattr(owner, "__dict__", {}).get(node.attr) if not isinstance(owner, Array | types.ModuleType) else None
    return None
