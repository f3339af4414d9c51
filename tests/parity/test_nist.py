"""The NIST regressions: data and models against the certified sums of squares and mpmath, and recipes against NIST."""

import json

import numpy as np
import pytest
from mpmath import mp, mpf
from typer.testing import CliRunner

import isoparam as iso
from isoparam import cli
from isoparam.backends import load
from isoparam.console import digits
from isoparam.problems import nist
from parity.training import relative

each_regression = pytest.mark.parametrize("name", nist.NAMES)
each_backend = pytest.mark.parametrize("backend", ["torch", "jax"])

MODELS = {
    "boxbod": lambda x, b1, b2: b1 * (1 - mp.exp(-b2 * x)),
    "chwirut1": lambda x, b1, b2, b3: mp.exp(-b1 * x) / (b2 + b3 * x),
    "danwood": lambda x, b1, b2: b1 * x**b2,
    "eckerle4": lambda x, b1, b2, b3: b1 / b2 * mp.exp(-(((x - b3) / b2) ** 2) / 2),
    "gauss1": lambda x, b1, b2, b3, b4, b5, b6, b7, b8: (
        b1 * mp.exp(-b2 * x) + b3 * mp.exp(-((x - b4) ** 2) / b5**2) + b6 * mp.exp(-((x - b7) ** 2) / b8**2)
    ),
    "lanczos1": lambda x, b1, b2, b3, b4, b5, b6: b1 * mp.exp(-b2 * x) + b3 * mp.exp(-b4 * x) + b5 * mp.exp(-b6 * x),
    "mgh09": lambda x, b1, b2, b3, b4: b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4),
    "mgh10": lambda x, b1, b2, b3: b1 * mp.exp(b2 / (x + b3)),
    "misra1b": lambda x, b1, b2: b1 * (1 - (1 + b2 * x / 2) ** -2),
    "misra1c": lambda x, b1, b2: b1 * (1 - (1 + 2 * b2 * x) ** mpf("-0.5")),
    "misra1d": lambda x, b1, b2: b1 * b2 * x / (1 + b2 * x),
    "rat42": lambda x, b1, b2, b3: b1 / (1 + mp.exp(b2 - b3 * x)),
    "rat43": lambda x, b1, b2, b3, b4: b1 / (1 + mp.exp(b2 - b3 * x)) ** (1 / b4),
    "thurber": lambda x, b1, b2, b3, b4, b5, b6, b7: (
        (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)
    ),
}
MODELS |= dict.fromkeys(["gauss2", "gauss3"], MODELS["gauss1"]) | dict.fromkeys(["lanczos2", "lanczos3"], MODELS["lanczos1"])
MODELS |= {"chwirut2": MODELS["chwirut1"], "misra1a": MODELS["boxbod"]}


def squares(name, values):
    """Sum of squared residuals and sum of y^2, in 50 digits."""
    data = nist.regression(name).data
    with mp.workdps(50):
        y = [mpf(float(entry)) for entry in data["y"]]
        fits = [MODELS[name](mpf(float(x)), *(mpf(b) for b in values)) for x in data["x"]]
        return sum((a - b) ** 2 for a, b in zip(y, fits, strict=True)), sum(a * a for a in y)


def raw_at(name, values):
    """Raw parameters at constrained values."""
    problem = nist.regression(name)
    return load("torch").train.start(iso.Problem(name="at", constraints=problem.constraints, init=values, loss=problem.loss))


@each_regression
def test_certified_sums_of_squares_are_those_of_data_and_model(name):
    known = nist.certified(name)
    rss, _ = squares(name, known.values.values())
    if name == "lanczos1":  # exact to 14 digits: at parameters rounded to 11 the sum is 4e-21 in place of 1.4e-25
        assert rss < 1e-20
    else:
        assert abs(rss / mpf(known.rss) - 1) < 1e-9


@each_backend
@each_regression
def test_losses_are_those_of_50_digits(name, backend):
    """At Start 1, Start 2 and the certified values; the gradient vanishes at the last."""
    known = nist.certified(name)
    for values in (*known.starts, known.values):
        seen = load(backend).train.evaluate(nist.regression(name), raw_at(name, dict(values)))
        at = [float(seen.values[key]) for key in known.values]  # what raw stands for, rounded
        rss, total = squares(name, at)
        # Residuals round at the size of y: a sum of squares of 1e-25 next to y^2 = 1 is not seen in float64.
        expected, unit = float(10**9 * rss / total), float(mp.sqrt(rss / total))
        assert abs(float(seen.loss) - expected) <= 1e-12 * expected + 1e9 * (1e-14 * unit + 1e-30)
    # Certified values are rounded to 11 digits: 4e-9 of the gradient at the start is left at the most, in gauss2.
    assert steepest(seen) < 1e-8 * steepest(load(backend).train.evaluate(nist.regression(name), raw_at(name, known.starts[1])))


def steepest(seen):
    """The largest entry of a gradient."""
    return max(abs(float(gradient)) for gradient in seen.grads.values())


# One of each kind: two parameters, softplus, eight parameters, the shorter steps of mgh10 and thurber.
@pytest.mark.parametrize("name", ["misra1a", "eckerle4", "gauss2", "mgh10", "thurber"])
def test_recipes_reach_nine_certified_digits_in_both_backends(name):
    problem = iso.problems.get(f"nist-{name}")
    torch, jax = (iso.train(problem, backend) for backend in ("torch", "jax"))
    for run in (torch, jax):
        assert run.stopped == "tol_grad"
        assert min(digits(run.values[key], value) for key, value in problem.published.items()) > 9
    for key, value in torch.values.items():
        assert relative(jax.values[key], value) < 1e-10  # the recipes stop within this of the minimum


def test_starts_are_start_2_and_parameters_are_positive():
    for name in nist.NAMES:
        problem, known = nist.regression(name), nist.certified(name)
        assert {key: float(value) for key, value in problem.init.items()} == dict(known.starts[1])
        assert dict(problem.published) == dict(known.values)
        assert min(*known.values.values(), *known.starts[0].values(), *known.starts[1].values()) > 0
        assert known.deviations.keys() == known.values.keys()
        assert np.shape(problem.data["x"]) == np.shape(problem.data["y"])


def test_the_family_alone_is_refused_with_its_members():
    with pytest.raises(iso.errors.SpecError, match=r"'nist' is a family of problems; name one of them: 'nist-boxbod'"):
        iso.problems.get("nist")
    with pytest.raises(iso.errors.SpecError, match=r"did you mean 'nist-misra1.'"):
        iso.problems.get("nist-misra1")


def test_the_command_line_shows_digits_and_agreement(tmp_path):
    file = tmp_path / "rows.json"
    done = CliRunner().invoke(cli.app, ["problems", "nist-danwood", "scalar", "--json", str(file)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["problem", *["digits", "steps", "s"] * 2, "ULP", "relative"]
    name, torch_digits, torch_steps, *_ = lines[2].split()
    assert name == "nist-danwood"
    assert float(torch_digits) > 9
    assert int(torch_steps) < 10
    rows = json.loads(file.read_text())
    assert [row["problem"] for row in rows] == ["nist-danwood", "scalar"]
    assert rows[0]["runs"]["jax"]["digits"]["b1"] > 9
