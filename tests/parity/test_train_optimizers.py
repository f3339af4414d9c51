"""Every optimizer trains on both backends alike."""

import numpy as np
import pytest

import isoparam as iso
from isoparam.optimizers import OPTIMIZERS
from parity.training import mixed, relative

ELEMENTWISE = [kind for kind in OPTIMIZERS if kind.elementwise and kind is not iso.LBFGS]
WHOLE = [iso.Adafactor, iso.SparseAdam, iso.NAdam, iso.ASGD]
"""Those that see parameters as they are, within the flat vector, and those whose state holds single numbers."""


def both(problem, optimizer, **settings):
    return [iso.train(problem, backend=backend, optimizer=optimizer, **settings) for backend in ("torch", "jax")]


def kinds(values):
    return pytest.mark.parametrize("kind", values, ids=lambda kind: kind.__name__)


def agree(torch, jax, budget):
    assert torch.steps == jax.steps
    for tree in ("values", "raw"):
        for key, value in getattr(torch, tree).items():
            assert relative(getattr(jax, tree)[key], value) < budget, (tree, key)
    assert relative(jax.history["loss"], torch.history["loss"]) < budget


@kinds(ELEMENTWISE)
def test_linkage_descends_and_agrees(kind):
    """At the minimum Rprop follows the signs of rounding errors: it is compared on its way there."""
    optimizer = kind(lr=0.001) if kind in (iso.SGD, iso.ASGD) else kind()
    torch, jax = both(iso.problems.get("linkage"), optimizer, steps=15 if kind is iso.Rprop else 300)
    agree(torch, jax, 1e-13)
    assert torch.history["loss"][-1] < torch.history["loss"][0] - 0.5


@kinds(WHOLE)
def test_parameters_keep_their_shapes_within_the_vector_and_a_replay_their_state(kind):
    """The callback ends the run within a chunk, which is replayed from the state at its start."""
    optimizer = kind(t0=5) if kind is iso.ASGD else kind()
    torch, jax = both(mixed(), optimizer, steps=150, callbacks=[lambda row: row["step"] == 17])
    agree(torch, jax, 1e-13)
    short = iso.train(mixed(), backend="torch", optimizer=optimizer, steps=17)
    for name, value in short.raw.items():
        assert np.array_equal(torch.raw[name], value), name


def test_adafactor_within_the_vector_is_adafactor_of_each_parameter():
    """A (2, 2) matrix is factored; a vector of four with the same numbers is not."""

    def loss(values, batch):
        return ((values["x"] - 3.0) ** 2).sum() + (values["x"].reshape(-1)[0] * values["y"]) ** 2

    runs = [
        iso.train(
            iso.Problem(name="shapes", constraints={}, init={"y": 1.0, "x": np.arange(1.0, 5.0).reshape(shape)}, loss=loss),
            backend="torch", optimizer=iso.Adafactor(lr=0.1), steps=5,
        )
        for shape in ((2, 2), (4,))
    ]  # fmt: skip
    assert relative(runs[0].values["x"].reshape(-1), runs[1].values["x"]) > 1e-3


def test_muon_trains_matrices():
    target = np.linspace(-1, 1, 12).reshape(4, 3)

    def loss(values, batch):
        return ((values["x"] - batch["t"].reshape(4, 3)) ** 2).sum() + (values["p"] ** 2).sum()

    problem = iso.Problem(
        name="matrices", constraints={"p": iso.RowStochastic()}, init={"x": np.ones((4, 3)), "p": np.full((3, 3), 1 / 3)},
        data={"t": target.reshape(-1)}, loss=loss,
    )  # fmt: skip
    torch, jax = both(problem, iso.Muon(lr=0.02), steps=200)
    agree(torch, jax, 0.05)  # bfloat16 products, and near the minimum the orthogonal step does not get smaller
    assert torch.history["loss"][-1] < torch.history["loss"][0] / 4
