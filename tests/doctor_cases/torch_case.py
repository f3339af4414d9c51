"""What a case of the doctor in PyTorch is: a small program with one mistake, or one that only looks like one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Program = tuple[Any, list[torch.optim.Optimizer], Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """One program.

    Attributes:
        name: of its function.
        make: gives model, optimizers and a function that does one step.
        kind: what is wrong with it; None where nothing is.
        attr: what has to be named.
        line: text of the line that has to be found; "" where any will do.
    """

    name: str
    make: Callable[[], Program]
    kind: str | None = None
    attr: str = ""
    line: str = ""


BAD: list[Case] = []
CLEAN: list[Case] = []


def bad(kind: str, attr: str, line: str = "") -> Callable[[Callable[[], Program]], Callable[[], Program]]:
    """Enter a program with a mistake."""

    def enter(make: Callable[[], Program]) -> Callable[[], Program]:
        BAD.append(Case(make.__name__, make, kind, attr, line))
        return make

    return enter


def clean(make: Callable[[], Program]) -> Callable[[], Program]:
    """Enter a program without one."""
    CLEAN.append(Case(make.__name__, make))
    return make


def sgd(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    """The plainest optimizer of a model."""
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, **options})


def trained(model: nn.Module, *optimizers: torch.optim.Optimizer, **options: Any) -> Program:
    """A program whose step is the usual one, on an input of ones."""
    chosen = list(optimizers) or [sgd(model)]

    def step() -> None:
        for optimizer in chosen:
            optimizer.zero_grad()
        (model(torch.ones(3)) - 0.5).pow(2).mean().backward(**options)
        for optimizer in chosen:
            optimizer.step()

    return model, chosen, step
