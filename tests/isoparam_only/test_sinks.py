"""Sinks: what is written is what was given, complete after every row, and a fault says what to do."""

import csv
import gc
import json
import subprocess
import sys

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import BackendError, SpecError
from isoparam.sinks import CSV, JSONL, Memory, Sink, TensorBoard, Watched


def rows(count=4, dtype=np.float64):
    """Rows with a whole number, numbers that are hard to print, a vector and a matrix."""
    rng = np.random.default_rng(0)
    limits = np.finfo(dtype)
    awkward = [0.1, 1 / 3, -0.0, limits.smallest_subnormal, limits.max, np.inf, -np.inf, np.nan]
    return [
        {
            "step": np.asarray(10 * k),
            "loss": np.asarray(awkward[k % len(awkward)], dtype),
            "w": rng.random(3).astype(dtype),
            "net.scale": rng.random((2, 2)).astype(dtype),
        }
        for k in range(count)
    ]


def table(path):
    """A CSV file as {column: float64 array}."""
    with path.open(newline="") as file:
        names, *lines = csv.reader(file)
    return {name: np.array([float(line[i]) for line in lines]) for i, name in enumerate(names)}


def scalars(folder):
    """What TensorBoard's own reader finds: {tag: [(step, number)]}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_memory_keeps_copies():
    memory = Memory()
    row = rows(1)[0]
    memory(row)
    row["w"][:] = 0.0
    memory(rows(2)[1])
    assert memory.history["w"].shape == (2, 3)
    assert np.all(memory.history["w"] > 0)
    assert memory.history["step"].tolist() == [0, 10]
    assert Memory().history == {}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_csv_reads_back_to_the_same_numbers(tmp_path, dtype):
    given = rows(8, dtype)
    with CSV(tmp_path / "run.csv") as sink:
        for row in given:
            sink(row)
    read = table(tmp_path / "run.csv")
    assert list(read)[:5] == ["step", "loss", "w[0]", "w[1]", "w[2]"]
    assert list(read)[5:] == ["net.scale[0,0]", "net.scale[0,1]", "net.scale[1,0]", "net.scale[1,1]"]
    for k, row in enumerate(given):
        np.testing.assert_array_equal(read["loss"][k], row["loss"])
        assert np.signbit(read["loss"][k]) == np.signbit(row["loss"])
        np.testing.assert_array_equal([read[f"w[{i}]"][k] for i in range(3)], row["w"])
        np.testing.assert_array_equal(read["net.scale[1,0]"][k], row["net.scale"][1, 0])


def test_jsonl_reads_back_to_the_same_arrays_and_is_strict_json(tmp_path):
    given = rows(8)
    with JSONL(tmp_path / "run.jsonl") as sink:
        for row in given:
            sink(row)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    read = [json.loads(line, parse_constant=refuse) for line in lines]
    assert len(read) == 8
    for found, row in zip(read, given, strict=True):
        assert list(found) == list(row)
        assert isinstance(found["step"], int)
        np.testing.assert_array_equal(float(found["loss"]), row["loss"])
        np.testing.assert_array_equal(found["net.scale"], row["net.scale"])
    assert [found["loss"] for found in read[5:]] == ["inf", "-inf", "nan"]


def test_tensorboard_reads_back_in_float32(tmp_path):
    given = rows(5)
    with TensorBoard(tmp_path / "events") as sink:
        for row in given:
            sink(row)
    read = scalars(tmp_path / "events")
    assert set(read) == {"loss", *(f"w/{i}" for i in range(3)), *(f"net.scale/{i},{j}" for i in range(2) for j in range(2))}
    assert [step for step, _ in read["w/2"]] == [0, 10, 20, 30, 40]
    assert [number for _, number in read["w/2"]] == [float(np.float32(row["w"][2])) for row in given]


@pytest.mark.parametrize("sink_class", [CSV, JSONL])
def test_a_file_is_complete_after_every_row(tmp_path, sink_class):
    path = tmp_path / "run"
    sink = sink_class(path)
    for k, row in enumerate(rows(3)):
        sink(row)
        text = path.read_text()
        assert text.endswith("\n")
        assert len(text.splitlines()) == k + 1 + (sink_class is CSV)


@pytest.mark.parametrize("sink_class", [CSV, JSONL, TensorBoard])
def test_a_sink_that_is_forgotten_closes_by_itself(tmp_path, sink_class):
    sink = sink_class(tmp_path / "run")
    sink(rows(1)[0])
    close = sink._close
    del sink
    gc.collect()  # a file left open would warn here, and warnings are errors
    assert not close.alive


@pytest.mark.parametrize("sink_class", ["CSV", "JSONL", "TensorBoard"])
def test_rows_survive_the_end_of_python(tmp_path, sink_class):
    code = (
        "import sys, isoparam as iso\n"
        f"sink = iso.sinks.{sink_class}(sys.argv[1])\n"
        "sink({'step': 7, 'loss': 0.5})\n"
        "kept_until_the_end = sink\n"
    )
    path = tmp_path / "run"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    if sink_class == "TensorBoard":
        assert scalars(path) == {"loss": [(7, 0.5)]}
    else:
        assert path.read_text() == ("step,loss\n7,0.5\n" if sink_class == "CSV" else '{"step": 7, "loss": 0.5}\n')


@pytest.mark.parametrize("sink_class", [CSV, JSONL, TensorBoard])
def test_closing_twice_is_harmless_and_a_row_after_it_is_refused(tmp_path, sink_class):
    sink = sink_class(tmp_path / "run")
    sink.close()
    sink.close()
    with pytest.raises(SpecError, match=r"run' was closed and takes no more rows; make a new sink"):
        sink(rows(1)[0])


@pytest.mark.parametrize("sink_class", [CSV, JSONL])
def test_append_goes_on_below(tmp_path, sink_class):
    path = tmp_path / "run"
    first, second = rows(2)
    for row, append in ((first, False), (second, True)):
        with sink_class(path, append=append) as sink:
            sink(row)
    with sink_class(tmp_path / "whole") as sink:
        sink(first)
        sink(second)
    assert path.read_text() == (tmp_path / "whole").read_text()
    with sink_class(path):
        pass
    assert path.read_text() == ""


def test_other_columns_are_refused(tmp_path):
    with CSV(tmp_path / "run.csv") as sink:
        sink({"step": 0, "x": 1.0})
        with pytest.raises(SpecError, match=r"run.csv has the columns step, x; this row differs in x, y\. Every row"):
            sink({"step": 1, "y": 1.0})
    with CSV(tmp_path / "run.csv", append=True) as sink, pytest.raises(SpecError, match=r"this row differs in y\."):
        sink({"step": 1, "x": 1.0, "y": 1.0})
    assert (tmp_path / "run.csv").read_text() == "step,x\n0,1.0\n"
    memory = Memory()
    memory({"step": 0, "x": 1.0})
    with pytest.raises(SpecError, match="Memory has the columns step, x"):
        memory({"step": 0})


@pytest.mark.parametrize("sink_class", [CSV, JSONL, TensorBoard])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, sink_class):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match=r"cannot write .*file.*; name a f"):
        sink_class(tmp_path / "file" / "run")


def test_tensorboard_missing_says_what_to_install(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(BackendError, match=r"^TensorBoard needs tensorboard: pip install 'isoparam\[tensorboard\]'$"):
        TensorBoard(tmp_path)


def test_a_sink_never_stops_a_run():
    """A callback with a true result would."""

    class Answering(Sink):
        def write(self, row):
            return True

    assert Answering()({"step": 0}) is None


def problem():
    return iso.Problem(
        name="two",
        constraints={"w": iso.Simplex(), "net.*": iso.Interval(0, 2)},
        init={"w": np.full(3, 1 / 3), "net.scale": np.ones((2, 2)), "free": 0.0},
        loss=lambda values, batch: values["free"],
    )


def test_watched_adds_what_is_near_the_border():
    memory = Memory()
    watched = Watched(problem(), memory)
    row = {
        "step": np.asarray(0),
        "w": np.array([1.0, 0.0, 1e-20]),
        "net.scale": np.array([[0.5, 1.0], [1.75, 1.0]]),
        "free": np.asarray(3.0),
    }
    watched(row)
    (kept,) = memory.rows
    added = ["w", "w.distance", "w.saturation", "net.scale", "net.scale.distance", "net.scale.saturation"]
    assert list(kept) == ["step", *added, "free"]
    assert kept["w.distance"] == 0.0
    assert kept["w.saturation"] == 2 / 3
    assert kept["net.scale.distance"] == 0.25
    assert kept["net.scale.saturation"] == 0.0


def test_watched_leaves_summaries_alone_and_closes_the_sink_behind(tmp_path):
    sink = CSV(tmp_path / "run.csv")
    with Watched(problem(), sink) as watched:
        watched({"step": 0, "w.min": 0.1, "w.mean": 0.2, "w.max": 0.3})
    assert (tmp_path / "run.csv").read_text() == "step,w.min,w.mean,w.max\n0,0.1,0.2,0.3\n"
    with pytest.raises(SpecError, match="was closed"):
        sink({"step": 1})


def test_watched_refuses_what_it_cannot_use():
    with pytest.raises(SpecError, match=r"Watched: problem='scalar' must be an isoparam\.Problem"):
        Watched("scalar", Memory())
    with pytest.raises(SpecError, match=r"Watched: sink=<built-in function print> must be a sink"):
        Watched(problem(), print)
