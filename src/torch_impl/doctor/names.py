"""The parameters of what is examined, by name."""

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn

from torch_impl.doctor.graph import is_trainable_leaf
from torch_impl.doctor.keeping import Parts
from torch_impl.doctor.state import Search


def parameters_of(model: Any) -> dict[int, tuple[str, Array]]:
    """{id: (dotted name, parameter)} of a module, or of the modules and leaves that an object holds."""
    if isinstance(model, nn.Module):
        return {id(p): (name, p) for name, p in model.named_parameters() if not nn.parameter.is_lazy(p)}
    found: dict[int, tuple[str, Array]] = {}
    for path, tensor, _ in ObjectSearch().within(model, ""):
        if is_trainable_leaf(tensor):
            found.setdefault(id(tensor), (path.lstrip("."), tensor))
    return found


class ObjectSearch(Search):
    """A walk that enters the parameters of modules too."""

    def _parts(self, value: Any) -> Iterator[Any]:
        if isinstance(value, nn.Module):
            yield from ((f".{name}", p, None) for name, p in value._parameters.items())
        yield from super()._parts(value)


class Names:
    """How parameters are called: by the model, else by the optimizer that holds them, else by their shape."""

    def __init__(self, model: Any) -> None:
        self.title = type(model).__name__ if model is not None else ""
        self.model = model
        self.own: dict[int, tuple[str, Array]] = {}
        self.parts = Parts(None)
        self._others: dict[int, str] = {}
        self.refresh()

    def refresh(self) -> set[int]:
        """Read the model again; the ids that are new."""
        before = set(self.own)
        self.own = parameters_of(self.model) if self.model is not None else {}
        self.parts = Parts(self.model)
        return set(self.own) - before

    def learn(self, optimizer: torch.optim.Optimizer) -> None:
        """Take names from an optimizer for parameters that the model has not."""
        for number, group in enumerate(optimizer.param_groups):
            given = group.get("param_names")
            for index, parameter in enumerate(group["params"]):
                name = given[index] if given else f"param_groups[{number}]['params'][{index}]"
                self._others.setdefault(id(parameter), name)

    def of(self, leaf: Array) -> str:
        """The name of one."""
        if id(leaf) in self.own:
            return self.own[id(leaf)][0]
        if self.model is None and (owned := _in_a_module(leaf)):
            return owned
        return self._others.get(id(leaf), f"a leaf of shape {tuple(leaf.shape)}")

    def attr(self, path: str) -> str:
        """A path within the model, with the name of its class before it."""
        return f"{self.title}.{path}" if self.title else path


def _in_a_module(leaf: Array) -> str:
    """The class and the attribute of a module that holds a parameter, where no model was given; "" where none does."""
    holders = [(held, key) for held in gc.get_referrers(leaf) if isinstance(held, dict) for key in held if held[key] is leaf]
    for held, key in holders:
        for owner in gc.get_referrers(held):
            # The attributes of a module that has grown are a dict of their own, and its parameters one within that.
            modules = gc.get_referrers(owner) if isinstance(owner, dict) else (owner,)
            for module in modules:
                if isinstance(module, nn.Module) and module._parameters is held:
                    return f"{type(module).__name__}.{key}"
    return ""
