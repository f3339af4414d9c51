"""A directory with a state: whole at every moment, and nothing that is damaged, foreign or hostile is read."""

import errno
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from textwrap import dedent

import numpy as np
import pytest

from isoparam.checkpoints import disk
from isoparam.checkpoints.store import Writer, read
from isoparam.checkpoints.strict import from_json, from_safetensors, to_json, to_safetensors
from isoparam.errors import CheckpointError

STATE = {
    "raw/x": np.array([1.5, -0.0, 2.0]),
    "raw/a/b": np.zeros((2, 0)),
    "optimizer/n_iter": np.array(7),
    "variable/on": np.array(True),
}
SETTINGS = {"step": 3, "lr": 0.1, "names": ["é", None, {"deep": [True]}]}


def columns(rows):
    return {"step": np.arange(rows), "loss": np.linspace(1, 2, rows), "w": np.ones((rows, 2), np.float32)}


@pytest.fixture
def folder(tmp_path):
    saved = tmp_path / "runs" / "first"
    Writer(saved).write(SETTINGS, STATE, columns(3))
    return saved


def same(found, wanted):
    return list(found) == list(wanted) and all(
        found[name].dtype == wanted[name].dtype and found[name].shape == wanted[name].shape
        and found[name].tobytes() == wanted[name].tobytes() for name in wanted
    )  # fmt: skip


def test_what_was_written_is_read(folder):
    stored = read(folder)
    assert stored.settings == SETTINGS
    assert same({name: stored.state[name] for name in STATE}, STATE)
    assert same({name: stored.history[name] for name in columns(3)}, columns(3))
    assert len(os.listdir(folder)) == 3


def test_the_state_before_is_kept_and_no_other(folder):
    writer = Writer(folder)
    for step in range(4, 9):
        writer.write(SETTINGS | {"step": step}, STATE, columns(step))
        assert read(folder).settings["step"] == step
        assert read(folder / "previous.json").settings["step"] == step - 1
        assert len(read(folder).history["loss"]) == step
    named = sum(
        len(json.loads((folder / name).read_text())["content"]["history"]) + 1 for name in (disk.CURRENT, disk.PREVIOUS)
    )
    assert len(os.listdir(folder)) <= 2 + named


def test_many_saves_write_each_row_a_few_times(tmp_path):
    writer, written = Writer(tmp_path), 0
    for rows in range(1, 65):
        before = set(os.listdir(tmp_path))
        writer.write(SETTINGS, {}, columns(rows))
        new = [name for name in os.listdir(tmp_path) if name.startswith("history") and name not in before]
        written += sum(len(from_safetensors((tmp_path / name).read_bytes(), name)["step"]) for name in new)
    assert read(tmp_path).history["step"].tolist() == list(range(64))
    assert written <= 64 * (np.log2(64) + 1)


def test_a_history_that_became_shorter_is_written_anew(tmp_path):
    writer = Writer(tmp_path)
    for rows in (5, 9, 4, 6):
        writer.write(SETTINGS, STATE, columns(rows))
        assert read(tmp_path).history["step"].tolist() == list(range(rows))


@pytest.mark.parametrize("name", ["checkpoint.json", "state", "history"])
def test_every_flipped_bit_and_every_truncation_is_found(folder, name):
    path = next(entry for entry in folder.iterdir() if entry.name.startswith(name))
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        _refused_or_equal(folder)
        path.write_bytes(whole[:place])
        with pytest.raises(CheckpointError):
            read(folder)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError):
        read(folder)
    path.unlink()
    with pytest.raises(CheckpointError):
        read(folder)


def _refused_or_equal(folder):
    """A flipped bit of JSON may be one between tokens, which says the same."""
    try:
        stored = read(folder)
    except CheckpointError:
        return
    assert stored.settings == SETTINGS
    assert all(stored.state[name].tobytes() == array.tobytes() for name, array in STATE.items())


def test_a_damaged_state_names_the_one_before(folder):
    Writer(folder).write(SETTINGS | {"step": 4}, STATE, columns(4))
    current = json.loads((folder / "checkpoint.json").read_text())["content"]["state"][0]
    (folder / current).write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"is damaged: 0 bytes of \d+.* The state before it is whole: give .*previous.json"
    ):
        read(folder)
    Writer(folder).write(SETTINGS | {"step": 5}, STATE, columns(5))
    assert read(folder / "previous.json").settings["step"] == 3  # a damaged state never becomes the previous one


def sealed(**changes):
    """A manifest whose checksum is right, whatever it says."""
    piece = ["state-0123456789abcdef.safetensors", 8, "0" * 64]
    content = {"format": "isoparam checkpoint", "version": 1, "isoparam": "0", "settings": {}, "state": piece, "history": []}
    content |= changes
    return {"sha256": sha256(to_json(content)).hexdigest(), "content": content}


def file(name):
    return sealed(state=[name, 8, "0" * 64])


MANIFESTS = {
    "future": (sealed(version=2), "is of version 2, and isoparam .* reads versions up to 1: pip install --upgrade isoparam"),
    "future-with-more": (sealed(version=2, extra=1), "is of version 2"),
    "version-0": (sealed(version=0), "is of no version"),
    "version-true": (sealed(version=True), "is of no version"),
    "version-text": (sealed(version="1"), "is of no version"),
    "foreign": (sealed(format="other"), "was not written by isoparam"),
    "list": ([], "was not written by isoparam"),
    "number": (3, "was not written by isoparam"),
    "checksum": (sealed() | {"sha256": "0" * 64}, "its checksum is another"),
    "entries": (sealed(more=1), "has the entries"),
    "settings": (sealed(settings=[]), "has the entries"),
    "history": (sealed(history={}), "names no files of a history"),
    "up": (file("../state-0123456789abcdef.safetensors"), "which is no file of a checkpoint"),
    "absolute": (file("/etc/passwd"), "which is no file of a checkpoint"),
    "hidden": (file("state-0123456789abcdef.safetensors\0"), "which is no file of a checkpoint"),
    "line": (file("state-0123456789abcdef.safetensors\n"), "which is no file of a checkpoint"),
    "pickle": (file("state-0123456789abcdef.pkl"), "which is no file of a checkpoint"),
    "other-kind": (file("history-0123456789abcdef.safetensors"), "which is no file of a checkpoint"),
    "size": (sealed(state=["state-0123456789abcdef.safetensors", -1, "0" * 64]), "which is no file of a checkpoint"),
    "size-text": (sealed(state=["state-0123456789abcdef.safetensors", "8", "0" * 64]), "which is no file of a checkpoint"),
    "missing": (sealed(), "cannot read .*state-0123456789abcdef"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_is_refused(tmp_path, manifest, message):
    (tmp_path / "checkpoint.json").write_bytes(to_json(manifest))
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path)


TEXTS = {
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e999}',
    "twice": b'{"a": 1, "a": 2}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "digits": b"[" + b"9" * 10_000 + b"]",
    "not-text": b"\xff\xfe",
    "empty": b"",
    "comment": b"{} // no",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_beyond_the_standard_is_refused(tmp_path, text):
    with pytest.raises(CheckpointError, match="here is no valid JSON"):
        from_json(text, "here")
    (tmp_path / "checkpoint.json").write_bytes(text)
    with pytest.raises(CheckpointError):
        read(tmp_path)


def tensors(header, body=bytes(24), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(**changes):
    return {"dtype": "F64", "shape": [3], "data_offsets": [0, 24]} | changes


ARRAYS = {
    "huge-header": tensors({"a": entry()}, length=2**63),
    "long-header": tensors({"a": entry()}, length=2**20),
    "no-header": b"\0" * 5,
    "twice": tensors(b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}"),
    "list": tensors([]),
    "dtype": tensors({"a": entry(dtype="O")}),
    "dtype-list": tensors({"a": entry(dtype=["F64"])}),
    "negative": tensors({"a": entry(shape=[-3])}),
    "product": tensors({"a": entry(shape=[2**40, 2**40])}),
    "text-shape": tensors({"a": entry(shape="3")}),
    "bool-shape": tensors({"a": entry(shape=[3, True])}),
    "beyond": tensors({"a": entry(shape=[4], data_offsets=[0, 32])}),
    "overlap": tensors({"a": entry(), "b": entry()}),
    "gap": tensors({"a": entry(shape=[1], data_offsets=[16, 24])}),
    "rest": tensors({"a": entry(shape=[2], data_offsets=[0, 16])}),
    "backwards": tensors({"a": entry(data_offsets=[24, 0])}),
    "more": tensors({"a": entry(extra=1)}),
    "less": tensors({"a": {"dtype": "F64", "shape": [3]}}),
}


@pytest.mark.parametrize("data", ARRAYS.values(), ids=ARRAYS)
def test_hostile_arrays_are_refused_before_they_are_loaded(data, monkeypatch):
    monkeypatch.setattr("safetensors.numpy.load", lambda data: pytest.fail("loaded"))
    with pytest.raises(CheckpointError):
        from_safetensors(data, "here")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int8", "uint32", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)], ids=str)
def test_arrays_come_back(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    assert same(from_safetensors(to_safetensors({"é/x": array}), "here"), {"é/x": array})


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["checkpoint.json", "state"])
def test_only_plain_files_are_read(folder, kind, name):
    path = next(entry for entry in folder.iterdir() if entry.name.startswith(name))
    kept = path.rename(folder / "kept")
    if kind == "link":
        path.symlink_to(kept)
    elif kind == "pipe":
        os.mkfifo(path)  # opening it would wait for ever
    else:
        path.mkdir()
    with pytest.raises(CheckpointError):
        read(folder)


def test_a_place_without_a_state_says_so(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoint: there is no checkpoint.json in it"):
        read(tmp_path / "nowhere")


@contextmanager
def files_up_to(size):
    """A disk on which no file grows beyond this."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_files_that_cannot_grow_leave_everything_as_it_was(folder):
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    with files_up_to(2000), pytest.raises(CheckpointError, match="what was saved there before is as it was") as caught:
        Writer(folder).write(SETTINGS, STATE, columns(1000))
    assert caught.value.errno == errno.EFBIG
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before


# Of the calls of one save, those without which it cannot be done; the others read what is there.
FAILING = {"fsync": {0, 1, 2, 3, 4, 5}, "replace": {0, 1, 2, 3}, "open": {0, 4, 5}}


@pytest.mark.parametrize("call", FAILING)
@pytest.mark.parametrize("which", range(9))
def test_a_disk_that_is_full_at_any_moment_leaves_a_whole_state(folder, call, which, monkeypatch):
    calls, real = iter(range(1000)), getattr(os, call)

    def full(*arguments, **named):
        if next(calls) == which:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **named)

    told = pytest.raises(CheckpointError, match="No space left on device") if which in FAILING[call] else nullcontext()
    with monkeypatch.context() as patch, told:
        patch.setattr(os, call, full)
        Writer(folder).write(SETTINGS | {"step": 4}, STATE, columns(4))
    assert read(folder).settings["step"] in (3, 4)
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]
    Writer(folder).write(SETTINGS | {"step": 5}, STATE, columns(5))
    assert read(folder).settings["step"] == 5


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot save in .*: Not a directory"):
        Writer(tmp_path / "file" / "runs").write(SETTINGS, STATE, columns(1))


FORKS = """
    import os, signal, sys, time
    from pathlib import Path
    import numpy as np
    import safetensors.numpy
    from isoparam.checkpoints.store import Writer, read

    folder = Path(sys.argv[1])

    def writing(first):
        child = os.fork()
        if child:
            return child
        try:
            writer = Writer(folder)
            for step in range(first, 10**6):
                history = {"loss": np.arange(step % 50 + 1.0)}
                writer.write({"step": step}, {"raw/x": np.full(50, float(step))}, history)
        finally:
            os._exit(1)

    def whole(stored):
        step = stored.settings["step"]
        assert set(stored.state["raw/x"]) == {float(step)}
        assert len(stored.history["loss"]) == step % 50 + 1
        return step
"""

KILLED = """
    rng, last = np.random.default_rng(5), -1
    for _ in range(20):
        child = writing(last + 1)
        time.sleep(rng.uniform(0.02, 0.2))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        if (folder / "checkpoint.json").exists():
            step = whole(read(folder))
            assert step >= last
            last = step
        if (folder / "previous.json").exists():
            assert whole(read(folder / "previous.json")) <= last
    assert last > 0
"""

BESIDE = """
    Writer(folder).write({"step": 0}, {"raw/x": np.zeros(50)}, {"loss": np.zeros(1)})
    child = writing(1)
    try:
        seen = [whole(read(folder)) for _ in range(50)]
        assert seen == sorted(seen)
    finally:
        os.kill(child, signal.SIGKILL)
"""


@pytest.mark.parametrize("work", [KILLED, BESIDE], ids=["killed-at-any-moment", "read-while-it-is-written"])
def test_the_state_is_whole(work, tmp_path):
    code = dedent(FORKS) + dedent(work)  # in a process without threads, which a fork would not survive
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
