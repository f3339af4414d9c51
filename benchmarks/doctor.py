"""What watching costs: `python -m benchmarks.doctor [--rounds N] [--device cpu]`.

A model of ten million parameters is trained with and without `isoparam.torch.doctor.watch` around its steps, in rounds that
take turns, so that a busy machine slows both. A round of the watched loop begins a watch of its own, whose first steps are all
looked at; the ratio is that of all its steps, of the steps after `THOROUGH`, and of those after `steps=` has ended the watch.
"""

from benchmarks import settings  # isort: skip  # noqa: F401  before the framework is imported

import argparse
from statistics import median
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from torch_impl.doctor.watch import THOROUGH, Watch, watch

WIDTH, LAYERS, HEADS, TOKENS, BATCH = 320, 8, 8, 16, 8
STEPS = 2 * THOROUGH
BAR = 0.05  # of the time of a step


def trained(device: str) -> tuple[torch.nn.Module, torch.optim.Optimizer, Any]:
    """A transformer of ten million parameters, its optimizer, and a function that does one step."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True)
    model = torch.nn.Sequential(
        torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False), torch.nn.Linear(WIDTH, 16)
    )
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x, y = torch.randn(BATCH, TOKENS, WIDTH, device=device), torch.randn(BATCH, TOKENS, 16, device=device)

    def step() -> None:
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        optimizer.step()

    return model, optimizer, step


def timed(step: Any, count: int, device: str) -> list[float]:
    """The seconds of each of some steps."""
    seconds = []
    for _ in range(count):
        begun = perf_counter()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - begun)
    return seconds


def main() -> int:
    """Run the rounds, print the ratios, and tell whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each kind, taking turns")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    model, optimizer, step = trained(arguments.device)
    timed(step, 3, arguments.device)
    kinds: dict[str, list[float]] = {"plain": [], "watched": [], "watched, later steps": [], "after steps=1": []}
    for _ in range(arguments.rounds):
        kinds["plain"] += timed(step, STEPS, arguments.device)
        with watch(model, optimizer) as found:
            kinds["watched"] += timed(step, THOROUGH, arguments.device)
            kinds["watched, later steps"] += timed(step, STEPS - THOROUGH, arguments.device)
        _check(found)
        with watch(model, optimizer, steps=1) as found:
            step()
            kinds["after steps=1"] += timed(step, STEPS - 1, arguments.device)
        _check(found)
    base = median(kinds["plain"])
    ratios = {kind: median(seconds) / base - 1 for kind, seconds in kinds.items()}
    count = sum(p.numel() for p in model.parameters())
    table = Table(title=f"{count:,} parameters, Adam, {arguments.device}, median of {arguments.rounds} rounds of {STEPS} steps")
    for heading in ("steps", "ms per step", "more than plain"):
        table.add_column(heading, justify="left" if heading == "steps" else "right")
    for kind, seconds in kinds.items():
        table.add_row(kind, f"{1000 * median(seconds):.2f}", f"{100 * ratios[kind]:+.1f} %")
    Console(width=100).print(table)
    return 0 if ratios["watched"] < BAR and ratios["watched, later steps"] < BAR else 1


def _check(found: Watch) -> None:
    assert not found.findings, str(found)
    assert not found.notes, found.notes


if __name__ == "__main__":
    raise SystemExit(main())
