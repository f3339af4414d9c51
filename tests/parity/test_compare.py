"""compare: the built-in problems stay within budget, and a planted fault is named by its stage."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import isoparam as iso
import jax_impl.scalar
from isoparam import cli, problems
from isoparam import torch as torch_side
from isoparam.errors import BackendError, NonFiniteError, ParityError, SpecError
from isoparam.parity import SENSITIVE, Report, compare
from isoparam.specs.examples import EXAMPLES

ADAM = iso.Adam(lr=0.05)


def problem(torch_loss, jax_loss, **more):
    """Two parameters, x in (0, 1) and y unbounded."""
    settings = {"name": "pair", "constraints": {"x": iso.UnitInterval()}, "init": {"x": 0.4, "y": 2.0}} | more
    return iso.Problem(loss={"torch": torch_loss, "jax": jax_loss}, **settings)


def bowl(values, batch):
    return (values["x"] - 0.9) ** 2 + 0.1 * (values["y"] - 1.0) ** 2


def scaled_bowl(values, batch):
    return bowl(values, batch) * (1 + 1e-6)


def cut_bowl(values, batch):
    return bowl({**values, "y": jax.lax.stop_gradient(values["y"])}, batch)


# Of the twenty regressions, which compile for seconds each: one of three parameters and 214 rows, one of two and 6.
COMPARED = [*(name for name in problems.names() if not name.startswith("nist-")), "nist-chwirut1", "nist-danwood"]


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_built_in_problems_stay_within_budget_for_1000_adam_steps(name, dtype):
    report = compare(problems.get(name), steps=1000, dtype=dtype, optimizer=ADAM).check()
    assert {(row.stage, row.step) for row in report.rows if row.stage == "training"} == {
        ("training", step) for step in (1, 10, 100, 1000)
    }
    if dtype == "float64":
        assert max(row.relative for row in report.rows if row.stage in ("training", "history")) <= 1e-13


@pytest.mark.gpu
@pytest.mark.parametrize("name", COMPARED)
def test_built_in_problems_stay_within_budget_on_a_gpu(name):
    report = compare(problems.get(name), steps=1000, device="cuda", optimizer=ADAM).check()
    assert max(row.relative for row in report.rows if row.stage in ("training", "history")) <= 1e-10


@pytest.mark.parametrize("name", [name for name in problems.names() if name not in COMPARED])
def test_regressions_stay_within_1e_13_for_1000_adam_steps(name):
    """With lr=1e-3, the default of Adam."""
    report = compare(problems.get(name), steps=1000, optimizer=iso.Adam(lr=1e-3))
    assert max(row.relative for row in report.rows if row.stage in ("training", "history")) <= 1e-13


@pytest.mark.parametrize("name", [name for name, _ in SENSITIVE])
def test_a_budget_of_a_sensitive_trajectory_is_needed_and_not_wide(name):
    """In the first 100 steps of each recipe, which is where the measured differences are largest."""
    unjudged = {"training": 1.0, "history": 1.0}
    report = compare(problems.get(name), steps=100, budgets=unjudged)
    allowed = SENSITIVE[name, report.optimizer.partition("(")[0]]
    for stage in unjudged:
        measured = max(row.relative for row in report.rows if row.stage == stage)
        if stage in allowed:
            assert 1e-13 < measured <= allowed[stage].relative <= 100 * measured, stage
        else:
            assert measured <= 1e-13, stage


def test_sensitive_rows_are_of_problems_and_their_recipes_and_name_what_was_measured():
    for (name, optimizer), budgets in SENSITIVE.items():
        assert type(problems.get(name).recipe.optimizer).__name__ == optimizer
        assert all("torch parts from itself" in budget.cause for budget in budgets.values())


def test_twins_written_twice_agree():
    report = compare(problem(bowl, bowl), steps=50, optimizer=ADAM)
    assert report.ok, report
    assert report.first_divergence is None
    assert [row.stage for row in report.rows if row.step == 0][:7] == ["start"] * 2 + ["forward"] * 2 + ["loss"] + [
        "gradient"
    ] * 2


def test_a_loss_that_differs_by_a_millionth_is_found_at_the_loss():
    found = compare(problem(bowl, scaled_bowl), steps=2, optimizer=ADAM).first_divergence
    assert found is not None
    assert (found.stage, found.step, found.where) == ("loss", 0, "loss")
    assert found.row.relative == pytest.approx(1e-6, rel=1e-3)
    assert "compare the two loss functions" in found.cause


def test_a_gradient_cut_in_one_backend_is_found_at_its_parameter():
    found = compare(problem(bowl, cut_bowl), steps=2, optimizer=ADAM).first_divergence
    assert found is not None
    assert (found.stage, found.step, found.where, found.row.jax) == ("gradient", 0, "y", 0.0)
    assert "stop_gradient" in found.cause


@pytest.fixture
def fresh_programs():
    """No program compiled with the rules of one test is run in another."""
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.usefixtures("fresh_programs")
@pytest.mark.parametrize(("verb", "stage"), [("inverse", "start"), ("forward", "forward")])
def test_a_wrong_rule_is_found_at_its_verb(monkeypatch, verb, stage):
    rule = jax_impl.scalar.UnitIntervalRule
    right = getattr(rule, verb)
    monkeypatch.setattr(rule, verb, staticmethod(lambda spec, array: right(spec, array) * (1 + 1e-12)))
    found = compare(problem(bowl, bowl), steps=1, optimizer=ADAM).first_divergence
    assert found is not None
    assert (found.stage, found.step, found.where) == (stage, 0, "x")


def test_updates_that_differ_are_found_at_the_first_step():
    allowed = {"loss": 1e-5, "gradient": 1e-5, "history": 1e-5}
    found = compare(problem(bowl, scaled_bowl), steps=2, optimizer=iso.SGD(lr=1.0), budgets=allowed).first_divergence
    assert found is not None
    assert (found.stage, found.step) == ("training", 1)
    assert "the first update does not" in found.cause


def test_a_chaotic_trajectory_is_told_from_a_fault():
    """y -> y + 5 sin(y) multiplies a rounding difference at every step."""
    chaos = problem(
        lambda values, batch: 5 * torch.cos(values["y"]),
        lambda values, batch: 5 * jnp.cos(values["y"]),
        constraints={},
        init={"y": 0.5},
    )
    found = compare(chaos, steps=1000, optimizer=iso.SGD(lr=1.0)).first_divergence
    assert found is not None
    assert found.stage in ("training", "history")
    assert found.step > 1
    assert "rounding grows along the trajectory" in found.cause


SPECS = {
    "real": iso.Real(),
    "positive": iso.Positive(),
    "exp": iso.Positive(link="exp"),
    "greater": iso.GreaterThan([1.0, 5.0, -3.0]),
    "less": iso.LessThan(100.0),
    "interval": iso.Interval(-1, 1),
    "tanh": iso.Interval(-2, 5, link="tanh"),
    "unit": iso.UnitInterval(),
    "simplex": iso.Simplex(),
    "ordered": iso.Ordered(),
    "affine": iso.Affine(1.0, [2.0, 0.5]),
    "box": iso.Box([0.0, -np.inf], [1.0, 5.0]),
}
STARTS = {
    "real": np.array([0.5, -2.0]),
    "positive": np.array([0.1, 10.0]),
    "exp": np.array([0.1, 10.0]),
    "greater": np.array([2.0, 6.0, 0.0]),
    "less": np.array([0.001, 99.0]),
    "interval": np.array([0.001, 0.5]),
    "tanh": np.array([0.0, 4.0]),
    "unit": np.array([0.2, 0.999]),
    "simplex": np.array([[0.2, 0.3, 0.5], [0.15, 0.05, 0.8]]),
    "ordered": np.array([-1.0, 0.0, 3.0]),
    "affine": np.array([0.5, -2.0]),
    "box": np.array([0.25, -3.0]),
}
# Every other spec of the catalogue, at the value of a raw drawn once.
UNTRAINED = {iso.Fixed, iso.Tied}  # a constant, and the value of another parameter: tests/parity/test_structure.py trains them
DRAWN = {kind.__name__: example for kind, example in EXAMPLES.items() if kind not in {*map(type, SPECS.values()), *UNTRAINED}}


def drawn_start(example):
    raw = np.random.default_rng(11).normal(0.0, 0.5, example.spec.raw_shape(example.value_shape))
    return torch_side.forward(example.spec, torch.tensor(raw)).numpy()


def pulled(constraints, init):
    """One parameter per spec, some of them near 0 between larger bounds, pulled to different targets."""

    def loss(values, batch):
        return sum(((value - 0.07 * i) ** 2).sum() for i, value in enumerate(values.values(), 1))

    return iso.Problem(name="pulled", constraints=constraints, init=init, loss=loss)


each_way = pytest.mark.parametrize(
    ("dtype", "optimizer"),
    [("float64", ADAM), ("float32", iso.SGD(lr=0.01, momentum=0.9))],
    ids=["float64 Adam", "float32 SGD"],
)


@each_way
def test_specs_stay_within_budget_for_200_steps(dtype, optimizer):
    compare(pulled(SPECS, STARTS), steps=200, dtype=dtype, optimizer=optimizer).check()


@each_way
def test_the_other_specs_of_the_catalogue_stay_within_budget_for_200_steps(dtype, optimizer):
    constraints = {name: example.spec for name, example in DRAWN.items()}
    starts = {name: drawn_start(example) for name, example in DRAWN.items()}
    compare(pulled(constraints, starts), steps=200, dtype=dtype, optimizer=optimizer).check()


def test_every_spec_of_the_catalogue_is_trained_here():
    trained = [*SPECS.values(), *(example.spec for example in DRAWN.values())]
    assert {type(spec) for spec in trained} | UNTRAINED == set(iso.catalogue())


def test_adam_makes_a_step_of_a_gradient_that_is_rounding_noise():
    symmetric = pulled({"simplex": iso.Simplex()}, {"simplex": np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])})
    found = compare(symmetric, steps=1, optimizer=ADAM).first_divergence
    assert found is not None
    assert (found.stage, found.where, found.row.index) == ("training", "simplex", (1, 0))
    assert "the gradient of simplex is rounding noise" in found.cause
    assert compare(symmetric, steps=1, optimizer=iso.SGD(lr=0.01)).ok


def test_runs_that_fall_together_are_no_agreement():
    def steep(values, batch):
        return values["y"] ** 4

    with pytest.raises(NonFiniteError, match=r"loss inf at step \d+"):
        compare(problem(steep, steep, constraints={}, init={"y": 2.0}), steps=20, optimizer=iso.SGD(lr=1.0))


def test_a_run_that_falls_alone_is_the_divergence():
    lonely = problem(bowl, lambda values, batch: bowl(values, batch) + jnp.where(values["y"] < 1.99, jnp.nan, 0.0))
    found = compare(lonely, steps=5, optimizer=ADAM).first_divergence
    assert found is not None
    assert (found.stage, found.step, found.where) == ("history", 1, "loss")
    assert (found.row.relative, np.isnan(found.row.jax)) == (np.inf, True)


def test_minibatches_are_the_same_rows_in_both():
    data = {"a": torch.linspace(0, 1, 32, dtype=torch.float64).numpy()}

    def loss(values, batch):
        return ((values["x"] - batch["a"]) ** 2).sum() + values["y"] ** 2

    assert compare(problem(loss, loss, data=data, batch_size=5), steps=60, seed=3, optimizer=ADAM).check().ok


def test_a_report_of_both_backends_round_trips_through_json():
    report = compare(problems.get("linkage"), steps=10)
    assert Report.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["ok"] is True
    assert report.optimizer == repr(problems.get("linkage").recipe.optimizer)


def test_check_raises_parity_error():
    with pytest.raises(ParityError, match="first divergence: loss, step 0"):
        compare(problem(bowl, scaled_bowl), steps=1, optimizer=ADAM).check()


def test_a_problem_for_one_backend_cannot_be_compared():
    alone = iso.Problem(name="alone", constraints={}, init={"x": 1.0}, loss={"torch": lambda values, batch: values["x"] ** 2})
    with pytest.raises(BackendError, match="has no loss for 'jax'"):
        compare(alone, steps=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"steps": 0}, "steps=0"), ({"dtype": "float8"}, "float8"), ({"budgets": {"end": 1.0}}, "no stage 'end'")],
    ids=["steps", "dtype", "stage"],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(SpecError, match=message):
        compare(problems.get("scalar"), **settings)


def test_matmul_settings_are_restored():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, jax.config.jax_default_matmul_precision
    compare(problems.get("scalar"), steps=1)
    after = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, jax.config.jax_default_matmul_precision
    assert after == before


def test_the_command_line_shows_tables_and_writes_json_and_html(tmp_path, monkeypatch):
    monkeypatch.setattr(problems, "names", lambda: ("scalar", "linkage", "nist-danwood"))
    files = tmp_path / "report.json", tmp_path / "report.html"
    done = CliRunner().invoke(cli.app, ["parity", "--steps", "5", "--json", str(files[0]), "--html", str(files[1])])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    reports = [Report.from_json(json.dumps(content)) for content in json.loads(files[0].read_text())]
    assert [report.problem for report in reports] == list(problems.names())
    assert "".join(f"{report}\n\n" for report in reports) == done.output
    assert all(f"Parity of {name}" in files[1].read_text() for name in problems.names())


def test_a_broken_budget_is_exit_code_1_and_is_written_down(monkeypatch, tmp_path):
    monkeypatch.setattr(problems, "get", lambda name: problem(bowl, scaled_bowl))
    file = tmp_path / "report.json"
    done = CliRunner().invoke(cli.app, ["parity", "pair", "--steps", "1", "--optimizer", "sgd", "--json", str(file)])
    assert done.exit_code == 1
    assert "first divergence: loss, step 0, loss (loss)" in done.output
    assert json.loads(file.read_text())[0]["first_divergence"]["stage"] == "loss"


def test_training_on_both_says_how_closely_they_agree(tmp_path):
    file = tmp_path / "run.json"
    done = CliRunner().invoke(cli.app, ["train", "linkage", "--backend", "both", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "0.62682149787" in done.output
    assert "torch and jax agree to" in done.output
    content = json.loads(file.read_text())
    assert set(content["runs"]) == {"torch", "jax"}
    assert content["agreement"]["t"]["relative"] <= 1e-12
    for run in content["runs"].values():
        assert run["digits"]["t"] is None or run["digits"]["t"] >= 12


def test_training_on_one_backend_shows_its_values_and_digits():
    done = CliRunner().invoke(
        cli.app, ["train", "scalar", "--backend", "jax", "--steps", "3", "--optimizer", "adamw", "--lr", "0.1"]
    )
    assert done.exit_code == 0, done.output
    assert "digits in jax" in done.output
    assert "torch" not in done.output
