"""A run in the files of others: each is read by the program that it is for."""

import jax
import numpy as np
import pytest
import torch

import isoparam as iso
import isoparam.torch
from isoparam.errors import CheckpointError, SpecError
from parity.test_variables import running
from parity.training import mixed


@pytest.fixture(scope="module")
def run():
    return iso.train(mixed(), "torch", iso.Adam(lr=0.01), steps=5)


class Model(torch.nn.Module):
    weights, scale, small, levels = (
        iso.torch.Constrained(spec) for spec in (iso.Simplex(), iso.Positive(), iso.Positive(), iso.Ordered())
    )

    def __init__(self):
        super().__init__()
        self.weights, self.scale = torch.full((3,), 1 / 3, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
        self.small, self.levels = torch.ones(2, 2, dtype=torch.float64), torch.arange(4.0, dtype=torch.float64)
        self.offset = torch.nn.Parameter(torch.tensor(0.0, dtype=torch.float64))


def test_torch_reads_a_state_dict_without_executing_anything(run, tmp_path):
    run.export(tmp_path / "values.pt", "torch")
    values = torch.load(tmp_path / "values.pt", weights_only=True)
    assert {name: array.numpy().tobytes() for name, array in values.items()} == {n: a.tobytes() for n, a in run.values.items()}
    run.export(tmp_path / "raw.pt", "torch", what="raw")
    model = Model()
    model.load_state_dict(torch.load(tmp_path / "raw.pt", weights_only=True))
    for name, value in run.values.items():
        assert np.array_equal(getattr(model, name).detach().numpy(), value), name


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_every_format_has_the_dtype_of_the_run(dtype, tmp_path):
    import orbax.checkpoint

    run = iso.train(running(name="a", init={"x": 1.0}), "torch", iso.Adam(lr=0.01), steps=3, dtype=dtype)
    run.export(tmp_path / "run.pt", "torch")
    run.export(tmp_path / "run", "orbax")
    tensors = torch.load(tmp_path / "run.pt", weights_only=True)
    with orbax.checkpoint.StandardCheckpointer() as reader:
        tree = reader.restore(tmp_path / "run")
    assert str(tensors["x"].dtype) == f"torch.{dtype}"
    assert np.asarray(tree["x"]).dtype.name == dtype
    assert tensors["x"].float().item() == np.float32(tree["x"]) == np.float32(run.values["x"])
    assert tensors["calls"].item() == np.asarray(tree["calls"]) == 3


def test_orbax_has_a_tree(run, tmp_path):
    import orbax.checkpoint

    run.export(tmp_path / "all", "orbax", what="all")
    with orbax.checkpoint.StandardCheckpointer() as reader:
        tree = reader.restore(tmp_path / "all")
    assert jax.tree.structure(tree["raw"]) == jax.tree.structure(run.raw)
    assert np.array_equal(tree["optimizer"]["exp_avg"]["scale"], run.optimizer_state.entries["scale"]["exp_avg"])
    assert np.array_equal(tree["history"]["loss"], run.history["loss"])
    with pytest.raises(CheckpointError, match=r"cannot write .*already exists"):
        run.export(tmp_path / "all", "orbax")


def test_npz_holds_everything(run, tmp_path):
    run.export(tmp_path / "run.npz", "npz", what="all")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        assert set(file.files) == set(run.checkpoint.state) | {f"history/{name}" for name in run.history}
        assert np.array_equal(file["raw/weights"], run.raw["weights"])


def test_a_run_goes_on_in_a_loop_of_your_own(run):
    whole = iso.train(mixed(batch_size=None), "torch", iso.Adam(lr=0.01), steps=8)
    part = iso.train(mixed(batch_size=None), "torch", iso.Adam(lr=0.01), steps=5)
    leaves = {name: torch.tensor(raw, requires_grad=True) for name, raw in part.raw.items()}
    optimizer = iso.torch.optimizer(iso.Adam(lr=0.01), leaves)
    optimizer.load_state_dict(iso.torch.from_neutral(part.optimizer_state, optimizer.state_dict(), leaves))
    data = {name: torch.tensor(array) for name, array in mixed().data.items()}
    for _ in range(3):
        optimizer.zero_grad()
        mixed().loss["torch"](iso.torch.constrain(leaves, mixed().specs), data).backward()
        optimizer.step()
    for name, raw in whole.raw.items():
        assert np.allclose(leaves[name].detach(), raw, rtol=1e-13, atol=1e-14), name


def test_what_cannot_be_written_is_refused(run, tmp_path):
    with pytest.raises(SpecError, match="unknown format='pickle'; choose one of 'torch', 'orbax', 'npz'"):
        run.export(tmp_path / "x", "pickle")
    with pytest.raises(SpecError, match="unknown what='grads'"):
        run.export(tmp_path / "x", "npz", what="grads")
    for form in ("torch", "npz"):
        with pytest.raises(CheckpointError, match=r"cannot write .*: No such file or directory"):
            run.export(tmp_path / "no" / "x", form)
