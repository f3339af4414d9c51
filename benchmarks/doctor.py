"""What watching costs: `python -m benchmarks.doctor [--rounds N] [--device cpu]`.

A model of ten million parameters is trained with and without `isoparam.torch.doctor.watch` around its steps, in rounds that
take turns, so that a busy machine slows both. Counted are the first steps of a watch, which are all looked at, those after
them, and those after `steps=` has ended the watch; of each the median step against the median step without a watch.
"""

from benchmarks import settings  # isort: skip  # noqa: F401  before the framework is imported

import argparse
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from torch_impl.doctor.watch import SPARSE, THOROUGH, watch

WIDTH, LAYERS, HEADS, TOKENS, BATCH = 320, 8, 8, 16, 8
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
    """The seconds of each of some steps: of the processor's time where it does the work, which other programs do not change."""
    seconds = []
    clock = process_time if device == "cpu" else perf_counter
    for _ in range(count):
        begun = clock()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(clock() - begun)
    return seconds


def main() -> int:
    """Run the rounds, print the ratios, and tell whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each kind, taking turns")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    model, optimizer, step = trained(arguments.device)
    timed(step, 3, arguments.device)
    rounds = [one_round(model, optimizer, step, arguments.device) for _ in range(arguments.rounds)]
    count = sum(p.numel() for p in model.parameters())
    table = Table(title=f"{count:,} parameters, Adam, {arguments.device}, {arguments.rounds} rounds")
    for heading in ("steps", "plain, ms", "watched, ms", "more"):
        table.add_column(heading, justify="left" if heading == "steps" else "right")
    most = 0.0
    for kind in rounds[0]:
        pairs = [done[kind] for done in rounds]
        more = median(watched / plain for plain, watched in pairs) - 1
        most = max(most, more)
        plain, watched = (1000 * median(pair[place] for pair in pairs) for place in (0, 1))
        table.add_row(kind, f"{plain:.1f}", f"{watched:.1f}", f"{100 * more:+.1f} %")
    Console(width=100).print(table)
    return 0 if most < BAR else 1


def one_round(model: Any, optimizer: Any, step: Any, device: str) -> dict[str, tuple[float, float]]:
    """{steps: (seconds of one without a watch, and of one with it)}; plain and watched steps follow each other closely."""
    plain: list[float] = []
    first: list[float] = []
    later: list[float] = []
    for many, into in ((THOROUGH, first), (SPARSE, later)):
        with watch(model, optimizer) as found:
            if into is later:
                timed(step, THOROUGH, device)
            into += timed(step, many, device)
        assert not found.findings, str(found)
        assert not found.notes, found.notes
        plain += timed(step, THOROUGH, device)
    with watch(model, optimizer, steps=1):
        step()
        after = timed(step, THOROUGH, device)
    base = median(plain)
    kinds = {f"the first {THOROUGH}": first, "those after": later, "after the end of the watch": after}
    return {kind: (base, median(seconds)) for kind, seconds in kinds.items()}


if __name__ == "__main__":
    raise SystemExit(main())
