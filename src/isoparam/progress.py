"""A progress bar with the loss and a few constrained values. Imported only when one is asked for: rich takes its time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Show = Callable[[int, float, dict[str, np.ndarray]], None]


@contextmanager
def bar(title: str, steps: int, names: list[str], console: Console | None = None) -> Iterator[Show]:
    """A bar on the terminal; call the result as `show(step, loss, values)` after each chunk.

    Args:
        title: stands in front of the bar.
        steps: the length of the bar.
        names: the values to show, each in a few digits; an array as its range.
        console: where to draw; None draws on the terminal.
    """
    layout = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
    )
    with Progress(*layout, console=console) as progress:
        task = progress.add_task(title, total=steps, shown="")

        def show(step: int, loss: float, values: dict[str, np.ndarray]) -> None:
            shown = "  ".join([f"loss {loss:.6g}", *(f"{name} {short(values[name])}" for name in names)])
            progress.update(task, completed=step, shown=shown)

        yield show


def short(value: np.ndarray) -> str:
    """A value in one short word: a number, or the range of an array."""
    return f"{float(value):.6g}" if value.ndim == 0 else f"[{value.min():.4g}, {value.max():.4g}]"
