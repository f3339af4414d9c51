"""A picture of a spec: its value and the derivative while one raw number moves from -4 to 4, as text or as a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isoparam.backends import load
from isoparam.plot import COLOURS, check_can_draw, save, style
from isoparam.specs import Spec
from isoparam.specs.examples import EXAMPLES, Example

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH = 4.0  # how far the raw number moves to both sides
ENTRIES = 4  # entries of a value drawn at most
MARKS = "ox+*"
COLUMNS, ROWS = 61, 11


@dataclass(frozen=True)
class Sketch:
    """The map of a spec along one raw number, the others standing at the start of the spec.

    Attributes:
        spec: the example that was drawn.
        backend: where it was computed.
        raw: the raw number, from -4 to 4.
        values: {name of an entry: its numbers}; entries that do not move are left out, and those after the fourth.
        slopes: their derivatives, by the same names.
    """

    spec: Spec
    backend: str
    raw: np.ndarray
    values: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]


def sketch(spec: type[Spec] | Example, backend: str, points: int = 161) -> Sketch:
    """Compute the picture of a spec of the catalogue, or of an `Example` of your own.

    Raises:
        BackendError: for an unknown or missing backend.

    Example:
        >>> import isoparam as iso
        >>> from isoparam.sketch import sketch
        >>> picture = sketch(iso.Interval, "torch", points=3)
        >>> picture.raw.tolist(), [round(float(v), 4) for v in picture.values["value[0]"]]
        ([-4.0, 0.0, 4.0], [-0.946, 0.5, 1.946])
    """
    example = spec if isinstance(spec, Example) else EXAMPLES[spec]
    if "forward" in example.spec.absent:  # there is no map of its own to draw
        return Sketch(example.spec, backend, np.linspace(-REACH, REACH, points), {}, {})
    start = example.spec.start(example.value_shape)
    moving = np.zeros_like(start)
    if moving.size:
        moving.reshape(-1)[-1 if example.spec.start(example.value_shape).any() else 0] = 1.0
    at = np.linspace(-REACH, REACH, points)
    raws = start + at.reshape(-1, *[1] * start.ndim) * moving
    values, slopes = load(backend).sketch.along(example.spec, raws, moving)
    indices = list(np.ndindex(example.value_shape))
    moved = np.flatnonzero(np.ptp(values, axis=0) > 0)[:ENTRIES]
    names = {int(k): f"value[{', '.join(map(str, indices[k]))}]" for k in moved}
    return Sketch(
        example.spec,
        backend,
        at,
        {name: values[:, k] for k, name in names.items()},
        {name: slopes[:, k] for k, name in names.items()},
    )


def as_text(picture: Sketch) -> str:
    """Two panels of characters, value above derivative, 80 columns wide at most."""
    head = f"{picture.spec}, one raw number from {-REACH:g} to {REACH:g}, by {picture.backend}"
    if not picture.values:
        return f"{head}: no entry moves"
    legend = "   ".join(f"{mark} {name}" for mark, name in zip(MARKS, picture.values, strict=False))
    panels = [_panel("value", picture.raw, picture.values), _panel("derivative", picture.raw, picture.slopes)]
    return "\n".join([head, legend, *panels])


def draw_sketch(picture: Sketch, path: str | Path | None = None) -> "Figure":
    """The same as a matplotlib figure, written to a file whose ending says what it is: .png, .svg, .pdf.

    Raises:
        BackendError: without matplotlib.
        SpecError: for an ending that is no picture.
    """
    check_can_draw(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.0), layout="constrained", dpi=150)
    for axes, (title, lines) in zip(
        figure.subplots(1, 2), (("value", picture.values), ("derivative", picture.slopes)), strict=True
    ):
        style(axes)
        for colour, (name, line) in zip(COLOURS, lines.items(), strict=False):
            axes.plot(picture.raw, line, color=colour, label=name)
        axes.set_xlabel("raw")
        axes.set_ylabel(title)
        if lines:
            axes.legend(frameon=False, fontsize="small")
    figure.suptitle(str(picture.spec), fontsize="medium")
    if path is not None:
        save(figure, path)
    return figure


def _panel(title: str, raw: np.ndarray, lines: dict[str, np.ndarray]) -> str:
    """One panel of characters; where lines meet, the first is seen."""
    low, high = min(map(np.min, lines.values())), max(map(np.max, lines.values()))
    span = high - low if high > low else 1.0
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    columns = np.round((raw + REACH) / (2 * REACH) * (COLUMNS - 1)).astype(int)
    for mark, line in reversed(list(zip(MARKS, lines.values(), strict=False))):
        for column, height in zip(columns, np.round((line - low) / span * (ROWS - 1)).astype(int), strict=True):
            grid[ROWS - 1 - height][column] = mark
    labels = {0: f"{high:.4g}", ROWS - 1: f"{low:.4g}", ROWS // 2: title}
    return "\n".join(f"{labels.get(row, ''):>12} |{''.join(cells).rstrip()}" for row, cells in enumerate(grid))
