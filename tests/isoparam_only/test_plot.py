"""The picture of a run: what is drawn is what the history holds, twice where there are two runs."""

import sys
from dataclasses import fields

import numpy as np
import pytest
from matplotlib.figure import Figure

import isoparam as iso
from isoparam import plot
from isoparam.errors import BackendError, SpecError

STEPS = 50


def a_run(backend="torch", shift=0.0, steps=STEPS, problem="demo", **more):
    """A run as `train` returns it, made up: x falls, w has three entries, large is recorded as its range."""
    step = np.arange(steps)
    fall = np.exp(-step / 5.0)
    history = {"step": step, "loss": fall, "grad_norm": 2 * fall + 1.0, "x": fall + shift}
    history["w"] = np.stack([0.2 + 0.1 * fall, 0.3 - 0.1 * fall, np.full(steps, 0.5)], axis=1)
    history |= {"large.min": -fall, "large.mean": 0 * fall, "large.max": fall}
    values = {"x": np.asarray(shift), "w": np.array([0.2, 0.3, 0.5]), "large": np.zeros(100)}
    given = {
        "values": values,
        "history": history,
        "problem": problem,
        "backend": backend,
        "steps": steps,
        "optimizer": iso.Adam(lr=0.05),
        "seed": 3,
        "dtype": "float64",
        "versions": {"torch": "2.13.0+cpu", "jax": "0.10.2"},
    } | more
    return iso.Run(**{entry.name: given.get(entry.name) for entry in fields(iso.Run)})


def panel(figure, label):
    """The axes with this label."""
    (found,) = [axes for axes in figure.axes if axes.get_ylabel() == label]
    return found


def drawn(axes, style):
    """The numbers of every line of this style."""
    return [line.get_ydata() for line in axes.lines if line.get_linestyle() == style]


def head(figure):
    """Title and entries of the legend above the panels."""
    (legend,) = figure.legends
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def test_one_run_has_a_panel_for_everything_recorded():
    run = a_run()
    figure = run.plot()
    assert isinstance(figure, Figure)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "gradient norm", "x", "w", "large"]
    assert head(figure) == ("demo: Adam(lr=0.05), float64, seed 3", ["torch 2.13.0, 50 steps"])
    for label, column in (("loss", "loss"), ("gradient norm", "grad_norm"), ("x", "x")):
        (line,) = panel(figure, label).lines
        np.testing.assert_array_equal(line.get_xdata(), run.history["step"])
        np.testing.assert_array_equal(line.get_ydata(), run.history[column])


def test_entries_are_lines_of_their_own_and_are_named():
    run = a_run()
    axes = panel(run.plot(), "w")
    np.testing.assert_array_equal([line.get_ydata() for line in axes.lines], run.history["w"].T)
    assert len({line.get_color() for line in axes.lines}) == 3
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["[0]", "[1]", "[2]"]
    assert [handle.get_color() for handle in axes.get_legend().get_lines()] == [line.get_color() for line in axes.lines]


def test_many_entries_go_from_dark_to_light():
    history = {"step": np.arange(4), "loss": np.ones(4), "grad_norm": np.ones(4), "v": np.ones((4, 2, 10))}
    axes = panel(a_run(history=history, values={"v": np.ones((2, 10))}).plot(), "v")
    assert len(axes.lines) == 20
    assert axes.get_title(loc="left") == "20 entries, [0, 0] dark to [1, 9] light"
    brightness = [sum(line.get_color()[:3]) for line in axes.lines]
    assert brightness == sorted(brightness)


def test_a_large_value_is_its_mean_within_its_range():
    run = a_run()
    axes = panel(run.plot(), "large")
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), run.history["large.mean"])
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (-1.0, 1.0)
    assert axes.get_title(loc="left") == "mean, within min and max of 100 entries"


def test_two_runs_lie_over_each_other_and_can_be_told_apart():
    first, second = a_run("torch"), a_run("jax", shift=1e-9, steps=40)
    figure = first.plot(second)
    assert head(figure)[1] == ["torch 2.13.0, 50 steps", "jax 0.10.2, 40 steps"]
    wide, narrow = panel(figure, "x").lines
    np.testing.assert_array_equal(wide.get_ydata(), first.history["x"])
    np.testing.assert_array_equal(narrow.get_ydata(), second.history["x"])
    assert (wide.get_linestyle(), narrow.get_linestyle()) == ("-", "--")
    assert wide.get_linewidth() > 2 * narrow.get_linewidth()
    assert wide.get_alpha() < narrow.get_alpha()
    assert wide.get_zorder() <= narrow.get_zorder()
    (legend,) = figure.legends
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "--"]
    assert len(drawn(panel(figure, "w"), "-")) == len(drawn(panel(figure, "w"), "--")) == 3


def test_the_difference_is_relative_and_taken_at_common_steps():
    first, second = a_run("torch"), a_run("jax", steps=40)
    second.history["w"][7, 1] += 1e-12
    axes = panel(first.plot(second), "largest relative difference")
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [7]
    np.testing.assert_allclose(line.get_ydata(), [1e-12 / 0.5], rtol=1e-3)  # 1e-12 is rounded by 5e-17
    assert axes.get_yscale() == "log"
    assert axes.get_title(loc="left") == "no point: equal to the last bit (39 of 40 steps)"


def test_runs_equal_to_the_last_bit_say_so():
    axes = panel(a_run("torch").plot(a_run("jax")), "largest relative difference")
    assert not axes.lines
    assert [text.get_text() for text in axes.texts] == ["equal to the last bit\nat every step"]


def test_published_values_are_dotted_lines():
    figure = a_run().plot(published={"w": [0.2, 0.3, 0.5], "x": 0.0})
    assert [line[0] for line in drawn(panel(figure, "w"), ":")] == [0.2, 0.3, 0.5]
    assert [line[0] for line in drawn(panel(figure, "x"), ":")] == [0.0]
    assert head(figure)[1] == ["torch 2.13.0, 50 steps", "published"]


def test_axes_are_logarithmic_where_positive_and_wide():
    figure = a_run().plot()
    assert panel(figure, "loss").get_yscale() == "log"
    assert panel(figure, "gradient norm").get_yscale() == "linear"  # from 3 to 1
    history = a_run().history
    for loss in (history["loss"] - 0.5, np.full(STEPS, np.nan)):
        assert panel(a_run(history=history | {"loss": loss}).plot(), "loss").get_yscale() == "linear"


def test_steps_stand_below_each_column():
    figure = a_run().plot(a_run("jax"))
    assert [axes.get_xlabel() for axes in figure.axes] == [""] * 4 + ["step (updates done)"] * 2
    assert [axes.get_xlabel() for axes in a_run().plot().axes] == [""] * 3 + ["step (updates done)"] * 2


def test_more_values_than_panels_are_counted():
    history = {"step": np.arange(4), "loss": np.ones(4), "grad_norm": np.ones(4)}
    many = {f"v{i}": np.ones(4) for i in range(15)}
    run = a_run(history=history | many, values={name: np.ones(()) for name in many})
    figure = run.plot()
    assert len(figure.axes) == 2 + plot.PANELS
    assert head(figure)[0].endswith("; 3 more values were recorded")


def test_a_name_is_no_formula(tmp_path):
    history = {"step": np.arange(4), "loss": np.ones(4), "grad_norm": np.ones(4), "a$b_$": np.ones(4)}
    a_run(history=history, values={"a$b_$": np.ones(())}, problem="$x$").plot(path=tmp_path / "run.svg")
    assert "a$b_$" in (tmp_path / "run.svg").read_text()


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_says_what_is_written(tmp_path, ending, start):
    path = tmp_path / f"run.{ending}"
    a_run().plot(a_run("jax"), path)
    assert path.read_bytes().startswith(start)


def test_nothing_of_matplotlib_is_changed():
    import matplotlib

    before, loaded = matplotlib.rcParams.copy(), "matplotlib.pyplot" in sys.modules
    a_run().plot(a_run("jax"))
    assert matplotlib.rcParams.copy() == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: a_run().plot(a_run("jax", problem="other")), r"not of demo and other"),
        (lambda path: a_run(steps=0).plot(), r"the run of 'demo' on torch recorded nothing that could be drawn"),
        (lambda path: a_run().plot(path=path / "run.txt"), r"run.txt': its ending is no picture; name a file such as"),
        (lambda path: a_run().plot(path=path / "no" / "run.png"), r"run.png': No such file or directory; name a file in"),
    ],
    ids=["problems", "nothing", "ending", "folder"],
)
def test_a_fault_says_what_to_do(tmp_path, call, message):
    with pytest.raises(SpecError, match=message):
        call(tmp_path)


def test_matplotlib_missing_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BackendError, match=r"a plot needs matplotlib.*: pip install 'isoparam\[plot\]'$"):
        a_run().plot()


def test_a_file_in_the_place_of_the_second_run_is_refused():
    with pytest.raises(
        SpecError, match=r"other='run\.png' must be a second Run; for a file write run\.plot\(path='run\.png'\)"
    ):
        a_run().plot("run.png")
