"""The picture of a run, or of two over each other: loss, gradient norm, every recorded value, and how far they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isoparam.errors import BackendError, SpecError
from isoparam.plan import FIXED, SUMMARY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from isoparam.run import Run

# Okabe and Ito (2008), "Color Universal Design": told apart with every common colour vision; yellow left out, too light.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PANELS = 12  # values drawn at most
LOG_FROM = 30.0  # largest over smallest number from which an axis is logarithmic
WIDTH, HEIGHT, DPI = 5.0, 2.7, 150  # inches of a panel


class Stroke(NamedTuple):
    """How the lines of one run are drawn: its hue tells entries apart, its stroke runs."""

    style: Any
    width: float
    alpha: float


ALONE = Stroke("-", 1.6, 1.0)
UNDER = Stroke("-", 4.5, 0.4)
OVER = Stroke("--", 1.4, 1.0)


def draw(runs: "Sequence[Run]", path: str | Path | None = None, published: Mapping[str, Any] | None = None) -> "Figure":
    """Draw one run, or two over each other: the first wide and pale, the second narrow and dashed on top.

    Panels share the axis of steps: the loss and the gradient norm, each logarithmic where it is positive and spans more
    than a factor 30; every recorded value, an entry per line, or of large ones the mean within the range from min to max;
    and with two runs the largest difference of a value, relative to its largest entry.

    Args:
        runs: one or two, of the same problem.
        path: write the picture here too; the ending says what it is: .png, .svg, .pdf.
        published: {name: value} to draw as dotted lines.

    Returns:
        A matplotlib Figure of its own, which no global state of matplotlib knows.

    Raises:
        BackendError: without matplotlib.
        SpecError: for a run that recorded nothing, two runs of different problems, or an ending that is no picture.
    """
    check_can_draw(path)
    from matplotlib.figure import Figure

    _check(runs)
    names = list(_values(runs[0]))
    titles = ["loss", "grad_norm", *names[:PANELS], *(["difference"] if len(runs) == 2 and names else [])]
    columns = min(2, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows + 0.9), layout="constrained", dpi=DPI)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    strokes = (UNDER, OVER) if len(runs) == 2 else (ALONE,)
    for axes, title in zip(grid, titles, strict=False):
        style(axes)
        if title == "difference":
            _difference(axes, runs)
        elif title in FIXED:
            _number(axes, runs, strokes, title)
        else:
            _value(axes, runs, strokes, title, (published or {}).get(title))
    _label_steps(grid, len(titles), columns)
    _head(figure, runs, strokes, dotted=bool(set(published or {}) & set(names)), left_out=len(names) - PANELS)
    if path is not None:
        save(figure, path)
    return figure


def check_can_draw(path: str | Path | None = None) -> None:
    """Raise BackendError without matplotlib, and SpecError for a file whose ending is no picture, before the work is done."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ModuleNotFoundError as error:
        raise BackendError(f"a plot needs {error.name}: pip install 'isoparam[plot]'") from error
    if path is not None and Path(path).suffix[1:].lower() not in FigureCanvasBase.filetypes:
        raise SpecError(f"cannot draw {fspath(path)!r}: its ending is no picture; name a file such as 'run.png'")


def _check(runs: "Sequence[Run]") -> None:
    if len({run.problem for run in runs}) > 1:
        raise SpecError(f"two runs of one problem can be drawn together, not of {' and '.join(run.problem for run in runs)}")
    for run in runs:
        if not len(run.history["step"]):
            raise SpecError(
                f"the run of {run.problem!r} on {run.backend} recorded nothing that could be drawn; train more steps"
            )


def _values(run: "Run") -> dict[str, tuple[str, ...]]:
    """The columns of each recorded value: one, or min, mean and max."""
    columns = [name for name in run.history if name not in FIXED]
    found: dict[str, tuple[str, ...]] = {}
    for column in columns:
        name, _, what = column.rpartition(".")
        parts = tuple(f"{name}.{each}" for each in SUMMARY)
        if what in SUMMARY and name in run.values and column not in run.values and all(part in columns for part in parts):
            found[name] = parts
        else:
            found[column] = (column,)
    return found


def _number(axes: "Axes", runs: "Sequence[Run]", strokes: Sequence[Stroke], column: str) -> None:
    """The loss or the gradient norm."""
    for run, stroke in zip(runs, strokes, strict=True):
        _line(axes, run.history["step"], run.history[column], stroke, COLOURS[0])
    axes.set_ylabel("loss" if column == "loss" else "gradient norm")
    _log_where_wide(axes, [run.history[column] for run in runs])


def _value(axes: "Axes", runs: "Sequence[Run]", strokes: Sequence[Stroke], name: str, published: Any) -> None:
    """One parameter: a line per entry, or mean and range."""
    for run, stroke in zip(runs, strokes, strict=True):
        columns = _values(run).get(name, ())
        steps = run.history["step"]
        if len(columns) == len(SUMMARY):
            low, mean, high = (run.history[column] for column in columns)
            axes.fill_between(steps, low, high, color=COLOURS[0], alpha=0.12, linewidth=0)
            _line(axes, steps, mean, stroke, COLOURS[0])
        elif columns:
            entries = run.history[name].reshape(len(steps), -1)
            for entry, colour in zip(entries.T, _colours(entries.shape[1]), strict=True):
                _line(axes, steps, entry, stroke, colour)
    axes.set_ylabel(_plain(name))
    shape = runs[0].values[name].shape
    if len(_values(runs[0])[name]) == len(SUMMARY):
        axes.set_title(f"mean, within min and max of {runs[0].values[name].size} entries", fontsize=9, loc="left")
    elif shape:
        _name_entries(axes, shape)
    if published is not None:
        numbers = np.asarray(published, dtype=np.float64).reshape(-1)
        for number in numbers:
            axes.axhline(number, color="black", linestyle=":", linewidth=1.1, zorder=1)


def _difference(axes: "Axes", runs: "Sequence[Run]") -> None:
    """How far the values of two runs are apart, at the steps that both recorded."""
    first, second = (run.history for run in runs)
    steps, here, there = np.intersect1d(first["step"], second["step"], return_indices=True)
    worst = np.zeros(len(steps))
    for name in _shared(first, second):
        a, b = (h[name][at].reshape(len(steps), -1).astype(np.float64) for h, at in ((first, here), (second, there)))
        size = np.maximum(np.max(np.abs(a), axis=1, initial=0.0), np.finfo(np.float64).tiny)
        worst = np.maximum(worst, np.max(np.abs(a - b), axis=1, initial=0.0) / size)
    axes.set_ylabel("largest relative difference")
    if np.any(worst > 0):
        seen = worst[worst > 0]
        axes.plot(steps[worst > 0], seen, ".", markersize=3, color=COLOURS[1])
        axes.set_yscale("log")
        axes.set_ylim(10.0 ** np.floor(np.log10(seen.min())), 10.0 ** (np.floor(np.log10(seen.max())) + 1))
        equal = len(steps) - len(seen)
        if equal:
            axes.set_title(f"no point: equal to the last bit ({equal} of {len(steps)} steps)", fontsize=9, loc="left")
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "equal to the last bit\nat every step", ha="center", va="center", transform=axes.transAxes)


def _shared(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> list[str]:
    return [name for name in first if name not in FIXED and name in second]


def _line(axes: "Axes", steps: np.ndarray, numbers: np.ndarray, stroke: Stroke, colour: Any) -> None:
    # A run of one row has no line; a point shows it.
    marker = "o" if len(steps) == 1 else None
    axes.plot(steps, numbers, color=colour, linestyle=stroke.style, linewidth=stroke.width, alpha=stroke.alpha, marker=marker)


def _colours(count: int) -> list[Any]:
    """A colour per entry: told apart by hue up to seven, then from dark to light."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return list(colormaps["cividis"](np.linspace(0.0, 0.92, count)))


def _name_entries(axes: "Axes", shape: tuple[int, ...]) -> None:
    """Which line is which entry."""
    from matplotlib.lines import Line2D

    indices = list(np.ndindex(shape))
    names = [f"[{', '.join(map(str, index))}]" for index in indices]
    if len(indices) > len(COLOURS):
        axes.set_title(f"{len(indices)} entries, {names[0]} dark to {names[-1]} light", fontsize=9, loc="left")
        return
    handles = [Line2D([], [], color=colour, linewidth=2.0) for colour in _colours(len(indices))]
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.0, "borderpad": 0.2}
    axes.legend(handles, names, fontsize=9, frameon=False, ncols=len(names), handlelength=1.0, columnspacing=1.2, **place)


def _log_where_wide(axes: "Axes", series: Sequence[np.ndarray]) -> None:
    numbers = np.concatenate([each[np.isfinite(each)] for each in series])
    positive = numbers[numbers > 0]
    if len(positive) and numbers.min() >= 0 and positive.max() > LOG_FROM * positive.min():
        axes.set_yscale("log")


def style(axes: "Axes") -> None:
    """The look of every panel."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _label_steps(grid: Any, used: int, columns: int) -> None:
    """The lowest panel of each column carries the steps; empty places go."""
    for index, axes in enumerate(grid):
        if index >= used:
            axes.remove()
        elif index + columns >= used:
            axes.set_xlabel("step (updates done)")
            axes.tick_params(labelbottom=True)


def _head(figure: "Figure", runs: "Sequence[Run]", strokes: Sequence[Stroke], *, dotted: bool, left_out: int) -> None:
    """What was run, above; which stroke is which run, below it."""
    from matplotlib.lines import Line2D

    first = runs[0]
    more = f"; {left_out} more values were recorded" if left_out > 0 else ""
    title = f"{_plain(first.problem)}: {_told(first.optimizer)}, {first.dtype}, seed {first.seed}{more}"
    handles = [
        Line2D([], [], color=COLOURS[0], linestyle=stroke.style, linewidth=stroke.width, alpha=stroke.alpha)
        for stroke in strokes
    ]
    names = [f"{run.backend} {run.versions[run.backend].partition('+')[0]}, {run.steps} steps" for run in runs]
    if dotted:
        handles.append(Line2D([], [], color="black", linestyle=":", linewidth=1.1))
        names.append("published")
    legend = figure.legend(
        handles, names, title=title, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=10, handlelength=3
    )
    legend.get_title().set_fontsize(12)


def _told(optimizer: Any) -> str:
    """An optimizer with what differs from its defaults, and its lr."""
    told = (entry for entry in fields(optimizer) if entry.name == "lr" or getattr(optimizer, entry.name) != entry.default)
    return f"{type(optimizer).__name__}({', '.join(f'{entry.name}={getattr(optimizer, entry.name)!r}' for entry in told)})"


def _plain(name: str) -> str:
    """A name as it is: matplotlib reads formulas between dollar signs."""
    return name.replace("$", r"\$")


def save(figure: "Figure", path: str | Path) -> None:
    """Write a figure; SpecError where the file cannot be written."""
    try:
        figure.savefig(path)
    except OSError as error:
        raise SpecError(f"cannot write {fspath(path)!r}: {error.strerror}; name a file in a folder that exists") from None
