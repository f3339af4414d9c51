"""Fixed, Tied, Masked and Compose together: trained, projected and compared in both backends; what is not free never moves."""

import numpy as np
import pytest

import isoparam as iso
from isoparam.backends import BACKENDS
from isoparam.errors import SpecError
from isoparam.parity import compare
from parity.training import relative

BAND = np.array([[True, True, False], [True, True, True], [False, True, True]])
CONSTRAINTS = {
    "rate": iso.Fixed([0.5, 2.0]),
    "decoder": iso.Tied("encoder", transpose=True),
    "copy": iso.Tied("decoder"),
    "encoder": iso.Masked(BAND, iso.Positive(), fill=0.25),
    "mix": iso.Compose(iso.Affine(0, 2), iso.Simplex()),
    "cuts": iso.Compose(iso.Interval(0, 1), iso.Ordered()),
    "both": iso.Concatenate((iso.Simplex(), iso.Positive()), (2, 1)),
    "pair": iso.Stack((iso.Positive(), iso.Interval(-1, 1))),
}
INIT = {
    "encoder": np.where(BAND, 1.5, 0.25),
    "mix": np.array([0.5, 0.5, 1.0]),
    "cuts": np.array([0.2, 0.4, 0.7]),
}


def loss(values, batch):
    """One function for both backends: the tied arrays are used three times, the constant twice."""
    product = values["encoder"] @ values["decoder"] + values["copy"]
    scaled = values["rate"][0] * values["mix"][0] ** 2 + values["rate"][1] * (values["cuts"] ** 2).sum()
    rest = (values["both"][0] - 0.3) ** 2 + values["both"][2] ** 2 + ((values["pair"] - 0.2) ** 2).sum()
    return ((product - 2.0) ** 2).sum() + scaled + rest + (values["free"] - values["mix"][1]) ** 2


def problem(**changes):
    given = {"name": "structure", "constraints": CONSTRAINTS, "init": INIT | {"free": 0.0}, "loss": loss}
    return iso.Problem(**(given | changes))


OPTIMIZERS = {
    "sgd": (iso.SGD(lr=0.01, momentum=0.9, weight_decay=0.1), 40),
    "adamw": (iso.AdamW(lr=0.02, weight_decay=0.3), 40),
    "lbfgs": (iso.LBFGS(max_iter=4), 2),
}


@pytest.mark.parametrize(("optimizer", "steps"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_both_backends_train_alike_and_move_nothing_that_is_not_free(optimizer, steps):
    torch, jax = (iso.train(problem(), backend=backend, optimizer=optimizer, steps=steps) for backend in BACKENDS)
    for name, value in torch.values.items():
        assert relative(jax.values[name], value) < 1e-12, name
    for run in (torch, jax):
        assert run.values["rate"].tolist() == [0.5, 2.0]
        assert (run.history["rate"] == [0.5, 2.0]).all()
        assert (run.values["encoder"][~BAND] == 0.25).all()
        assert np.array_equal(run.values["decoder"], run.values["encoder"].T)
        assert np.array_equal(run.values["copy"], run.values["decoder"])
        assert np.abs(run.values["encoder"] - INIT["encoder"]).max() > 0.01
        assert {name: raw.size for name, raw in run.raw.items() if not raw.size} == {"rate": 0, "decoder": 0, "copy": 0}


def test_a_tied_gradient_is_that_of_one_array_used_in_every_place():
    """Against a problem without ties, whose loss reads one array in three places."""
    whole = problem()
    once = problem(
        constraints={name: spec for name, spec in CONSTRAINTS.items() if not isinstance(spec, iso.Tied)},
        loss=lambda values, batch: loss(values | {"decoder": values["encoder"].T, "copy": values["encoder"].T}, batch),
    )
    for backend in BACKENDS:
        tied, single = (iso.train(each, backend=backend, optimizer=iso.Adam(lr=0.02), steps=10) for each in (whole, once))
        assert np.array_equal(tied.raw["encoder"], single.raw["encoder"])
        assert np.array_equal(tied.history["loss"], single.history["loss"])
        assert np.isfinite(tied.raw["encoder"]).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compare_finds_nothing(dtype):
    report = compare(problem(), steps=60, dtype=dtype, optimizer=iso.Adam(lr=0.01)).check()
    assert {row.where for row in report.rows} >= {"encoder", "decoder", "copy", "rate", "mix", "cuts"}
    assert "rate" not in {row.where for row in report.rows if row.quantity in ("raw", "gradient")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_projected_training_keeps_constants_and_ties(backend):
    kept = {name: spec for name, spec in CONSTRAINTS.items() if name != "cuts"}  # whose set has no projection
    init = {name: value for name, value in INIT.items() if name != "cuts"} | {"free": 0.0}
    each = problem(constraints=kept, init=init, loss=lambda values, batch: loss(values | {"cuts": values["mix"]}, batch))
    run = iso.train(each, backend=backend, optimizer=iso.AdamW(lr=0.01, weight_decay=0.1), steps=30, method="projected")
    assert run.values["rate"].tolist() == [0.5, 2.0]
    assert (run.values["encoder"][~BAND] == 0.25).all()
    assert np.array_equal(run.values["decoder"], run.values["encoder"].T)
    assert run.values["mix"].sum() == pytest.approx(2.0, rel=1e-14)
    assert run.history["loss"][-1] < run.history["loss"][0]


WRONG = {
    "another value": (
        {"init": INIT | {"free": 0.0, "copy": np.ones((3, 3))}},
        "its value is not equal to the transpose of 'encoder'",
    ),
    "another shape": (
        {"init": INIT | {"free": 0.0, "copy": np.ones((2, 3))}},
        "has the shape (3, 3), and the value has (2, 3)",
    ),
    "unknown": ({"constraints": CONSTRAINTS | {"copy": iso.Tied("encodr")}}, "did you mean 'encoder'?"),
    "itself": ({"constraints": CONSTRAINTS | {"copy": iso.Tied("copy")}}, "leads back to itself"),
    "several": ({"constraints": CONSTRAINTS | {"copy": iso.Tied("*coder")}}, "which matches"),
    "a circle": ({"constraints": CONSTRAINTS | {"encoder": iso.Tied("copy")}}, "leads back to itself"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_tied_is_named(changes, message):
    with pytest.raises(SpecError) as caught:
        problem(**changes)
    assert message in str(caught.value)


def test_an_equal_start_may_be_given():
    given = problem(init=INIT | {"free": 0.0, "copy": INIT["encoder"].T})
    assert given.shapes["copy"] == (3, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_problem_in_which_nothing_is_free_is_refused(backend):
    each = iso.Problem(name="still", constraints={"x": iso.Fixed(1.0)}, loss=lambda values, batch: values["x"] ** 2)
    with pytest.raises(SpecError, match="nothing can be trained"):
        iso.train(each, backend=backend, optimizer=iso.Adam(lr=0.1), steps=1)
