"""`python -m benchmarks.floors [--rounds N] [--json FILE]`: what a map of torch takes at least, beside its peer in the races.

Processor time in us of value and gradient of 100 float32 entries, one thread. A hand-written gradient is a Python class,
`torch.autograd.Function`; torch's own operators have theirs in C++. The rows say what each part of such a map takes:
calling torch at all, the class with nothing in it, the class with the operations of one map and without a check, and the
map as users call it. The classes are called as the maps call theirs, without the part in Python of `Function.apply`.
"""

from benchmarks import settings  # isort: skip  # noqa: F401  before torch is imported

import argparse
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import isoparam as iso
from benchmarks.peers import Parametrized, torch_functional, torch_sigmoid
from isoparam import torch as on_torch

LEAST = 0.01  # seconds of one timing


class Nothing(torch.autograd.Function):
    """The identity, with a gradient in Python that does nothing."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A copy."""
        return x.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The cotangent itself."""
        return cotangent


class Bare(torch.autograd.Function):
    """The sigmoid with a gradient that is right in both tails, in as few operations as there are."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """sigmoid(x)."""
        ctx.save_for_backward(x)
        return torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """s(1 - s) with s = sigmoid(-|x|), where y(1 - y) would be falsely 0."""
        (x,) = ctx.saved_tensors
        s = torch.copysign(x, MINUS).sigmoid_()
        return SLOPED(cotangent, s, grad_input=s)


MINUS = torch.tensor(-1.0)
SLOPED = torch.ops.aten.sigmoid_backward.grad_input._op


def maps() -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """What is timed, in the order of the table."""
    unit, positive = iso.UnitInterval(), iso.Positive()
    nothing: Any = super(torch.autograd.Function, Nothing).apply  # pyright: ignore[reportAttributeAccessIssue]
    bare: Any = super(torch.autograd.Function, Bare).apply  # pyright: ignore[reportAttributeAccessIssue]
    return {
        "a copy by torch": torch.clone,
        "an empty gradient in Python": nothing,
        "the sigmoid by torch, y(1 - y)": torch.sigmoid,
        "the sigmoid, right in its tails, nothing else": bare,
        "UnitInterval()": lambda x: on_torch.forward(unit, x),
        "parametrize with the sigmoid": Parametrized(torch_sigmoid()),
        "Positive()": lambda x: on_torch.forward(positive, x),
        "parametrize with softplus": Parametrized(torch_functional("softplus")),
    }


def main() -> int:
    """Time each in turn, several rounds; the fastest counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds; the fastest of each counts")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    leaf, cotangent = torch.nn.Parameter(torch.linspace(-3, 3, 100)), torch.ones(100)
    found = {name: 1e6 * seconds for name, seconds in timed(maps(), leaf, cotangent, arguments.rounds).items()}
    table = Table(title="value and gradient of 100 entries")
    table.add_column("what")
    table.add_column("us", justify="right")
    for name, microseconds in found.items():
        table.add_row(name, f"{microseconds:.1f}")
    console = Console(width=100)
    console.print(table)
    console.print(
        f"{platform.machine()}, torch {version('torch')}, one thread, fastest of {arguments.rounds} interleaved rounds"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    return 0


def timed(calls: dict[str, Callable[..., Any]], leaf: Any, cotangent: Any, rounds: int) -> dict[str, float]:
    """Seconds of processor time of each call with its gradient."""

    def repeated(call: Callable[..., Any], times: int) -> float:
        begun = process_time()
        for _ in range(times):
            torch.autograd.grad(call(leaf), leaf, cotangent)
        return (process_time() - begun) / times

    repeats = {name: max(1, int(LEAST / max(repeated(call, 3), 1e-7))) for name, call in calls.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], repeated(call, repeats[name]))
    return best


if __name__ == "__main__":
    raise SystemExit(main())
