"""The ways between parameters and loss that were cut: which, and where in the text."""

import ast
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

import torch
from torch import Tensor as Array
from torch import nn

from isoparam.diagnosis import Finding
from torch_impl.doctor.flow import Follower
from torch_impl.doctor.graph import Graph, is_custom, is_flat
from torch_impl.doctor.names import Names
from torch_impl.doctor.owners import held_by
from torch_impl.doctor.source import born_with, functions_in
from torch_impl.doctor.words import class_where, plain

FOLLOWED_STEPS = 3
_CUTS = ("data", "item", "detach", "detach_", "numpy", "tolist")
_MAKERS = (
    "torch.tensor",
    "torch.as_tensor",
    "torch.from_numpy",
    "torch.Tensor",
    "float",
    "int",
    "np.array",
    "np.asarray",
    "nn.Parameter",
)
_BLOCKS = ("no_grad", "inference_mode", "set_grad_enabled")


class Severed:
    """Watches which parameters of stepping optimizers never have a gradient, and follows these if it may."""

    def __init__(self, names: Names, follow: bool) -> None:
        self._names = names
        self.may_follow = follow
        self._follower: Follower | None = None
        self._steps: dict[int, int] = {}
        self._without: dict[int, tuple[nn.Parameter, int, Any]] = {}  # parameter, steps without gradient, entries at first
        self._with: set[int] = set()
        self._cut: set[int] = set()
        self._flat: set[int] = set()
        self._reached: set[int] = set()
        self._promised: set[int] = set()  # reached by functions that somebody wrote alone, which owe a gradient
        self._sloped: set[int] = set()
        self._followed_steps = 0

    def backward(self, outputs: list[Any], graph: Graph, whole: bool) -> None:
        """A pass begins: note what the loss comes from without leading back to it, or only by slopes of 0."""
        reached = {id(edge.leaf) for edge in graph.uses}
        flat = graph.only_through(is_flat)
        self._flat |= flat
        self._sloped |= reached - flat
        if self._follower is not None:
            self._cut |= self._follower.origins(outputs) - reached
        self._reached |= reached
        if whole:
            self._promised |= graph.only_through(is_custom)

    def before_step(self) -> None:
        """Stop to follow in time."""
        if self._follower is not None:
            self._followed_steps += 1
            self.close() if self._followed_steps >= FOLLOWED_STEPS else None

    def after_step(self, leaves: Iterable[Array], graded: set[int]) -> None:
        """Count who had a gradient, and begin to follow those without one."""
        for parameter in leaves:
            key = id(parameter)
            if key in graded:
                self._with.add(key)
                self._without.pop(key, None)
            elif parameter.requires_grad and key not in self._with:
                _, steps, entries = self._without.get(key, (parameter, 0, None))
                self._without[key] = (parameter, steps + 1, _entries(parameter) if entries is None else entries)  # type: ignore[assignment]
        if self.may_follow and self._without and self._followed_steps < FOLLOWED_STEPS:
            if self._follower is None:
                self._follower = Follower()
            self._follower.follow(p for key, (p, _, _) in self._without.items() if key not in self._with)

    def close(self) -> None:
        """Stop to follow."""
        if self._follower is not None:
            self._cut |= self._follower.left
            self._follower.release()
            self._follower = None

    def findings(self) -> list[Finding]:
        """Those that are cut off: without a gradient at each step, unmoved, and read."""
        self.close()
        found: dict[tuple[str, int], list[str]] = {}
        for key, (parameter, _, entries) in self._without.items():
            if key in self._with or not _same(_entries(parameter), entries):
                continue
            name = self._names.of(parameter)
            line = cut_line(self._names.model, name)
            cut = key in self._cut or (line is not None and self._followed_steps == 0)
            if key in self._promised or (cut and key not in self._reached):
                found.setdefault(line or class_where(self._names.model), []).append(name)
        flat = tuple(name for key, (name, _) in self._names.own.items() if key in self._flat - self._sloped)
        rounded = [severed(self._names, flat, class_where(self._names.model), flat=True)] if flat else []
        return [*rounded, *(severed(self._names, tuple(params), where) for where, params in found.items())]

    def is_idle(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether nothing that an optimizer holds has ever had a gradient."""
        held = [(key, p) for key, p in held_by([optimizer]).items() if p.requires_grad]
        return bool(held) and all(key in self._without and key not in self._with for key, _ in held)

    def has_gradient(self, parameter: Array) -> bool:
        """Whether a backward has reached a parameter."""
        return id(parameter) in self._with or id(parameter) in self._reached


def _entries(parameter: Array) -> Array | None:
    from torch_impl.doctor.ages import _sample

    return _sample(parameter)


def _same(left: Array | None, right: Array | None) -> bool:
    return left is None or right is None or (left.shape == right.shape and torch.equal(left, right))


def severed(
    names: Names, params: tuple[str, ...], where: tuple[str, int], *, raises: bool = False, flat: bool = False
) -> Finding:
    """The finding for some parameters whose way to the loss is cut at one place."""
    listed = ", ".join(params) or "the parameters"
    message = f"the loss is computed from {listed}, but not so that a gradient comes back: the way is cut."
    fix = "use the parameter itself, without .data, .item(), .detach(), torch.tensor(...), numpy or no_grad around it"
    if flat:
        message = f"the loss depends on {listed} only through round, floor, sign or the like, whose derivative is 0."
        fix = "x + (x.round() - x).detach()  # rounded on the way there, the slope of x on the way back"
    outcome = (
        "raises at the first backward: element 0 of tensors does not require grad"
        if raises
        else f"{listed} never moves, in silence: its gradient stays {'0' if flat else 'None'}"
    )
    return plain("severed-gradient", names.attr("forward"), params, message, fix, outcome, where)


def cut_line(model: Any, name: str) -> tuple[str, int] | None:
    """Where a class of the model cuts the way from a parameter, as far as its text tells."""
    attr = name.rpartition(".")[2]
    prefix = name.split(".")[0]
    kinds = {type(module): None for module in model.modules()} if isinstance(model, nn.Module) else {type(model): None}
    for wanted in (attr, prefix):
        for kind in kinds:
            for file, function in functions_in(kind):
                if function.name not in born_with(kind):
                    for line in _cuts(function, wanted):
                        return file, line
    return None


def _cuts(function: ast.AST, attr: str) -> Iterator[int]:
    """The lines where what an attribute holds is read and cut off."""
    decorators = getattr(function, "decorator_list", [])
    for decorator in decorators:
        if any(block in ast.unparse(decorator) for block in _BLOCKS) and _reads(function, attr):
            yield decorator.lineno
    for node in ast.walk(function):
        if (
            (isinstance(node, ast.Attribute) and node.attr in _CUTS and _reads(node.value, attr))
            or (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in _MAKERS
                and any(_reads(entry, attr) for entry in node.args)
            )
            or (_is_block(node) and any(_reads(entry, attr) for entry in node.body))
        ):
            yield node.lineno


def _is_block(node: ast.AST) -> TypeGuard[ast.With]:
    """Whether a node is a `with` that stops gradients."""
    return isinstance(node, ast.With) and any(block in ast.unparse(entry) for entry in node.items for block in _BLOCKS)


def _reads(node: ast.AST, attr: str) -> bool:
    return any(isinstance(entry, ast.Attribute) and entry.attr == attr for entry in ast.walk(node))


def cut_anywhere(model: Any) -> tuple[str, int] | None:
    """The first place where a method of the model's classes stops gradients."""
    for kind in {type(module): None for module in model.modules()} if isinstance(model, nn.Module) else {}:
        for file, function in functions_in(kind):
            for decorator in function.decorator_list:
                if any(block in ast.unparse(decorator) for block in _BLOCKS):
                    return file, decorator.lineno
            for node in ast.walk(function):
                if _is_block(node):
                    return file, node.lineno
                if isinstance(node, ast.Attribute) and node.attr in _CUTS and function.name not in born_with(kind):
                    return file, node.lineno
    return None
