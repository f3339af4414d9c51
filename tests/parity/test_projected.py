"""Projected training: the value is the leaf, each step ends in the closed set, and both backends agree."""

import warnings
from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import isoparam as iso
from isoparam import cli
from isoparam import torch as torch_side
from isoparam.backends import BACKENDS, load
from isoparam.errors import DomainError, NonFiniteError, SpecError
from isoparam.optimizers import LBFGS
from isoparam.parity import compare
from isoparam.settings import plan_for
from isoparam.starts import check_closed
from parity.training import mixed, relative
from samples import SAMPLES as ALL

OPTIMIZERS = {
    "sgd": iso.SGD(lr=0.01),
    "nesterov": iso.SGD(lr=0.01, momentum=0.9, nesterov=True),
    "adam": iso.Adam(lr=0.01),
    "adamw": iso.AdamW(lr=0.01, weight_decay=0.1),
}


def train(problem, backend, **settings):
    return iso.train(problem, backend=backend, **({"optimizer": iso.SGD(lr=0.1), "method": "projected"} | settings))


def pulled(target, start=0.5, spec=None):
    return iso.Problem(
        name="pulled", constraints={"x": spec or iso.Interval(0, 1)}, init={"x": start},
        loss=lambda values, batch: ((values["x"] - target) ** 2).sum(),
    )  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_thousand_projected_steps_stay_within_1e_13(name):
    torch, jax = (train(mixed(), backend, optimizer=OPTIMIZERS[name], steps=1000) for backend in ("torch", "jax"))
    for key, value in torch.values.items():
        assert relative(jax.values[key], value) < 1e-13, key
    for key, column in torch.history.items():
        assert relative(jax.history[key], column) < 1e-13, key
    assert torch.method == jax.method == "projected"


# Projections of matrices are properties in test_properties: each of them in 300 steps of one program would take minutes.
SAMPLES = [sample for sample in ALL if sample.has("project") and sample.spec.kind in ("scalar", "vector")]
TARGETS = {sample.name: np.linspace(-3.0, 5.0, np.size(np.zeros(sample.spec.value_shape(sample.core)))) for sample in SAMPLES}


def every_spec():
    """A parameter per sample, pulled from the nearest point of one vector to another one, mostly outside its set."""
    targets = {s.name: TARGETS[s.name].reshape(s.spec.value_shape(s.core)) for s in SAMPLES}
    starts = {s.name: torch_side.project(s.spec, torch.tensor(-0.3 - 0.2 * targets[s.name])).numpy() for s in SAMPLES}

    def pull(array):
        return lambda values, batch: sum(((values[name] - array(target)) ** 2).sum() for name, target in targets.items())

    return iso.Problem(
        name="every", constraints={sample.name: sample.spec for sample in SAMPLES}, init=starts,
        loss={"torch": pull(torch.tensor), "jax": pull(jnp.array)},
    )  # fmt: skip


@cache
def every_run(backend):
    return train(every_spec(), backend, optimizer=iso.SGD(lr=0.05, momentum=0.5), steps=300, record=())


@pytest.mark.xdist_group("every_run")  # two runs of all of them together
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_spec_ends_at_the_nearest_point_of_its_closed_set_in_both(sample):
    """The loss is the squared distance, so the solution is the projection of the target."""
    torch_run, jax_run = every_run("torch"), every_run("jax")
    value = torch_run.values[sample.name]
    check_closed(sample.name, sample.spec, value, torch_side.project(sample.spec, torch.tensor(value)).numpy())
    assert relative(jax_run.values[sample.name], value) < 1e-13
    target = torch.tensor(TARGETS[sample.name].reshape(value.shape))
    assert relative(value, torch_side.project(sample.spec, target).numpy()) < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_border_solution_stops_where_the_gradient_mapping_vanishes(backend):
    run = train(pulled(1.5), backend, steps=1000, tol_grad=1e-12)
    assert (run.stopped, float(run.values["x"]), float(run.raw["x"])) == ("tol_grad", 1.0, 1.0)
    assert run.steps == len(run.history["loss"]) - 1 == 4  # 1.5 - x = 1, 0.8, 0.64, 0.512, and then 0.5 on the border
    assert run.history["grad_norm"].tolist() == pytest.approx([0.5, 0.3, 0.14, 0.012, 0.0])
    assert "4 projected steps of SGD" in run.summary()


@pytest.mark.parametrize("backend", BACKENDS)
def test_inside_the_norm_is_that_of_the_gradient_to_the_last_digits(backend):
    """x - project(x - g) rounds at the size of x: 1e-16 of 0.5; the gradient itself goes on to fall."""
    run = train(pulled(0.75), backend, steps=1000, tol_grad=1e-15)
    assert run.stopped == "tol_grad"
    assert np.all(run.history["grad_norm"] == pytest.approx(2 * np.abs(run.history["x"] - 0.75), rel=1e-12, abs=0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_climbing_is_projected_on_the_other_side(backend):
    run = train(pulled(0.25), backend, optimizer=iso.SGD(lr=0.1, maximize=True), steps=200, tol_grad=0.0)
    assert (run.stopped, float(run.values["x"])) == ("tol_grad", 1.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_start_on_the_border_is_allowed_and_leaves_it(backend, start):
    run = train(pulled(0.75, start), backend, steps=200)
    assert run.history["x"][0] == start
    assert run.values["x"] == pytest.approx(0.75, abs=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (pulled(0.5, 1.0 + 1e-15), r"init\['x'\] in float64: 1.000000000000001 is .*the nearest point has 1.0 there"),
        (pulled(0.5, np.array([0.5, -1.0])), r"-1.0 at \(1,\) is not in the closed set"),
        (pulled(0.5, np.array([0.5, 0.6]), iso.Simplex()), "is not in the closed set of Simplex"),
    ],
    ids=["scalar", "entry", "simplex"],
)
def test_a_start_outside_is_named(backend, problem, message):
    with pytest.raises(DomainError, match=message):
        train(problem, backend, steps=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_start_left_out_is_that_of_raw_0(backend):
    problem = iso.Problem(name="p", constraints={"x": iso.Interval(0, 3)}, loss=lambda values, batch: values["x"] ** 2)
    assert train(problem, backend, steps=1).history["x"][0] == 1.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spec", [iso.UnitInterval(), iso.Simplex()], ids=repr)
def test_what_overflows_is_a_fault_and_not_projected_away(backend, spec):
    start = 0.5 if spec.kind == "scalar" else np.array([0.5, 0.5])
    problem = iso.Problem(
        name="steep", constraints={"x": spec}, init={"x": start}, loss=lambda values, batch: 1e300 * (values["x"] ** 2).sum()
    )
    with pytest.raises(NonFiniteError) as caught:
        train(problem, backend, optimizer=iso.SGD(lr=1e300), steps=5)
    assert (caught.value.step, caught.value.run.steps) == (1, 0)
    with pytest.raises(NonFiniteError, match="gradient of 'x' is not finite"):
        train(replace(problem, loss=lambda values, batch: 1e308 * (100.0 * values["x"] ** 2).sum()), backend, steps=5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_saturates_where_raw_would_be_huge(backend):
    far = pulled(100.0, 1e3, iso.GreaterThan(-1e6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(far, backend, steps=100).values["x"] == pytest.approx(100.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_projected_state_taken_up_again_goes_on_bit_for_bit(backend):
    problem = mixed()
    plan = plan_for(problem, iso.Adam(lr=0.05), 0, "float64", "cpu", None, 1, "projected")
    loop = load(backend).train.Loop(problem, plan)
    loop.advance(20)
    state = loop.state()
    first = loop.advance(7)
    loop.load(state)
    assert all(np.array_equal(a, b) for a, b in zip(first, loop.advance(7), strict=True))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compare_trains_projected(dtype):
    report = compare(mixed(), steps=200, dtype=dtype, optimizer=iso.SGD(lr=0.01), method="projected").check()
    assert "raw" not in {row.quantity for row in report.rows}
    assert report.optimizer.endswith("maximize=False), projected")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"method": "clipped"}, "unknown method='clipped'"), ({"optimizer": LBFGS()}, "method='projected' with LBFGS")],
    ids=["method", "LBFGS"],
)
def test_bad_methods_are_named(backend, settings, message):
    with pytest.raises(SpecError, match=message):
        train(pulled(0.5), backend, steps=1, **settings)


def test_the_command_line_trains_projected():
    options = ["--backend", "both", "--optimizer", "sgd", "--lr", "0.1", "--steps", "300", "--method", "projected"]
    done = CliRunner().invoke(cli.app, ["train", "scalar", *options])
    assert done.exit_code == 0, done.output
    assert "torch and jax agree to" in done.output
