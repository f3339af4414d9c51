"""The pitfall, its wrong fixes and its cures, as a user would write them; `isoparam.pitfalls` says what is compared."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as Array
from torch import nn

from isoparam.optimizers import Optimizer
from isoparam.pitfalls import Observation
from isoparam.specs import UnitInterval
from torch_impl.module import Constrained, values
from torch_impl.optim import optimizer
from torch_impl.tree import constrain
from torch_impl.verbs import project

Read = Callable[[], Array]


def observe(case: str, targets: tuple[float, ...], asked: Optimizer, steps: int) -> Observation:
    """Run one case of `isoparam.pitfalls.CASES`.

    Args:
        case: its name.
        targets: one per entry of x.
        asked: the optimizer.
        steps: updates.

    Returns:
        What the loss used at each step, what the monitor reads at the end, and what was raised.

    Example:
        >>> import isoparam as iso
        >>> from torch_impl.pitfalls import observe
        >>> observe("constrained", (0.9,), iso.Adam(lr=0.05), 1000).values[-1].round(6).tolist()
        [0.9]
    """
    with torch.enable_grad():
        return _CASES[case](_Trainer(targets, asked, steps))


class _StaticModel(nn.Module):
    """The pitfall: x is computed once, at construction."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.x_raw = nn.Parameter(torch.zeros(count, dtype=torch.float64))
        self.x = torch.sigmoid(self.x_raw)  # isoparam: ignore[SG101] the pitfall itself


class _ConstrainedModel(nn.Module):
    """The cure as an attribute: x is computed from x_raw at every read."""

    x = Constrained(UnitInterval())

    def __init__(self, count: int) -> None:
        super().__init__()
        self.x = torch.full((count,), 0.5, dtype=torch.float64)


class _ClampedModel(nn.Module):
    """clamp in the place of a smooth map: outside of [0, 1] the gradient is exactly 0."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.x_raw = nn.Parameter(torch.full((count,), 0.5, dtype=torch.float64))

    @property
    def x(self) -> Array:
        """Fresh at every read, like the cure, and still no cure."""
        return self.x_raw.clamp(0, 1)


class _Trainer:
    """The loop that all cases share: the squared error to the targets, and what was seen."""

    def __init__(self, targets: tuple[float, ...], asked: Optimizer, steps: int) -> None:
        self.targets = torch.tensor(targets, dtype=torch.float64)
        self.asked = asked
        self.steps = steps

    def __call__(
        self,
        leaf: Any,
        value: Read,
        monitor: Read | None = None,
        after: Callable[[Array], Array] | None = None,
        retain_graph: bool = False,
    ) -> Observation:
        """Move the leaf; `value` is x as the loss uses it, `monitor` what is read to watch it, `after` follows each update.

        # twin: torch reads and writes the leaf in place; JAX passes the leaves into `value` and gets new ones back.
        """
        algorithm = optimizer(self.asked, [leaf])
        seen, raised = [], None
        for _ in range(self.steps):
            algorithm.zero_grad()
            x = value()
            seen.append(_numbers(x))
            try:
                torch.sum((x - self.targets) ** 2).backward(retain_graph=retain_graph)
            except RuntimeError as error:
                raised = f"{type(error).__name__}: {error}"
                break
            algorithm.step()
            if after is not None:
                with torch.no_grad():
                    leaf.copy_(after(leaf))
        else:
            seen.append(_numbers(value()))
        return Observation(np.stack(seen), _numbers((monitor or value)()), raised)

    @property
    def count(self) -> int:
        """Entries of x."""
        return len(self.targets)


def _static(train: _Trainer) -> Observation:
    """The second backward finds the graph of the only sigmoid freed."""
    model = _StaticModel(train.count)
    return train(model.x_raw, lambda: model.x)


def _silent(train: _Trainer) -> Observation:
    """A sum saves nothing for its backward, so that nothing is missed: no error, and no movement."""
    x_raw = nn.Parameter(torch.zeros(train.count, dtype=torch.float64))
    x = x_raw + 0.5
    return train(x_raw, lambda: x)


def _retain_graph(train: _Trainer) -> Observation:
    """What the error message proposes keeps the old graph: the gradient of step 1, for ever."""
    model = _StaticModel(train.count)
    return train(model.x_raw, lambda: model.x, retain_graph=True)


def _constrained(train: _Trainer) -> Observation:
    model = _ConstrainedModel(train.count)
    return train(model.x_raw, lambda: model.x)


def _constrain(train: _Trainer) -> Observation:
    """The cure without a module: a pure function of the tree, inside the loss."""
    raw = {"x": torch.zeros(train.count, dtype=torch.float64, requires_grad=True)}
    return train(raw["x"], lambda: constrain(raw, {"x": UnitInterval()})["x"])


def _clamp(train: _Trainer) -> Observation:
    model = _ClampedModel(train.count)
    return train(model.x_raw, lambda: model.x)


def _projection(train: _Trainer) -> Observation:
    """Projected descent: x itself is the leaf, and is put back into the set after each step."""
    x = torch.full((train.count,), 0.5, dtype=torch.float64, requires_grad=True)
    return train(x, lambda: x, after=lambda point: project(UnitInterval(), point))


def _wrong_monitor(train: _Trainer) -> Observation:
    """The raw does move, so that what is recomputed from it looks like training."""
    model = _StaticModel(train.count)
    return train(model.x_raw, lambda: model.x, monitor=lambda: torch.sigmoid(model.x_raw), retain_graph=True)


def _right_monitor(train: _Trainer) -> Observation:
    model = _ConstrainedModel(train.count)
    return train(model.x_raw, lambda: model.x, monitor=lambda: values(model)["x"])


def _numbers(array: Array) -> np.ndarray:
    return array.detach().numpy().copy()


_CASES: dict[str, Any] = {
    "static": _static,
    "silent": _silent,
    "retain_graph": _retain_graph,
    "constrained": _constrained,
    "constrain": _constrain,
    "clamp": _clamp,
    "projection": _projection,
    "wrong_monitor": _wrong_monitor,
    "right_monitor": _right_monitor,
}
