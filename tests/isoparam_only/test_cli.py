"""The command line as far as it needs no framework: help, version, catalogue, and errors as one message."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import isoparam as iso
from isoparam import cli, console, files, problems
from isoparam.errors import SpecError
from isoparam.optimizers import LBFGS, SGD, Adam, AdamW


def isoparam(*arguments):
    """Run the command as users do."""
    command = [sys.executable, "-W", "error", "-m", "isoparam", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["parity", "-h"], ["resume", "--help"], ["problems", "--help"], ["catalogue", "--help"]],
    ids=" ".join,
)
def test_help_fits_80_columns(arguments):
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80


def test_the_module_is_the_command():
    done = isoparam("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"isoparam {iso.__version__}\n", "")


def test_the_catalogue_lists_every_spec_within_80_columns():
    output = CliRunner().invoke(cli.app, ["catalogue"]).output
    assert max(map(len, output.splitlines())) <= 80
    for spec in iso.catalogue():
        assert f" {spec.__name__} " in output


@pytest.mark.parametrize("spec", iso.catalogue(), ids=lambda spec: spec.__name__)
def test_a_spec_in_full_shows_every_fact(spec):
    done = CliRunner().invoke(cli.app, ["catalogue", spec.__name__.lower()])
    assert done.exit_code == 0
    assert done.output.startswith(f"{spec.__name__}(")
    words = " ".join(done.output.split())
    for name, fact in vars(spec.facts).items():
        assert f"{name.replace('_', ' ')} {fact}" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["catalogue", "intervall"], "error: unknown spec 'intervall'; did you mean Interval?\n"),
        (["train", "linkag", "--backend", "torch"], "error: unknown problem 'linkag'; did you mean 'linkage'?\n"),
        (["train", "scalar", "--backend", "jax", "--lr", "-1"], "error: Adam: lr=-1.0 must be a finite number, at least 0\n"),
        (["parity", "scalar", "--json", "/no/such/folder/x.json"], "error: cannot write '/no/such/folder/x.json'"),
        (["resume", "/no/such/folder", "--backend", "jax"], "error: '/no/such/folder' holds no checkpoint: there is no"),
        (["train", "scalar", "--backend", "both", "--checkpoint", "runs"], "error: --checkpoint saves one run; give --backend"),
    ],
    ids=["spec", "problem", "lr", "file", "resume", "both"],
)
def test_an_error_is_one_message_and_code_2(arguments, message):
    done = isoparam(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["train", "scalar"], ["train", "scalar", "--backend", "tensorflow"], ["no-such"]],
    ids=["none", "unknown", "command"],
)
def test_no_backend_is_the_default_and_usage_errors_have_code_2(arguments):
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 2
    assert "Error" in done.output


@pytest.mark.parametrize(
    ("algorithm", "lr", "expected"),
    [
        (None, None, None),
        (cli.Algorithm.SGD, None, SGD()),
        (cli.Algorithm.ADAMW, 0.5, AdamW(lr=0.5)),
        (cli.Algorithm.LBFGS, None, LBFGS(line_search_fn="strong_wolfe")),
        (cli.Algorithm.LBFGS, 0.5, LBFGS(lr=0.5, line_search_fn="strong_wolfe")),
        (None, 0.5, Adam(lr=0.5)),
    ],
    ids=["recipe", "named", "named with lr", "lbfgs", "lbfgs with lr", "recipe with lr"],
)
def test_options_become_an_optimizer(algorithm, lr, expected):
    assert cli.asked_optimizer(problems.get("scalar"), algorithm, lr) == expected


def test_lr_without_optimizer_or_recipe_is_refused():
    bare = iso.Problem(name="bare", constraints={}, init={"x": 1.0}, loss=lambda values, batch: values["x"])
    with pytest.raises(SpecError, match=r"--lr=0.1 needs --optimizer"):
        cli.asked_optimizer(bare, None, 0.1)


@pytest.mark.parametrize(("value", "expected"), [(0.9, float("inf")), (0.9 + 9e-13, 12.0), (1.8, 0.30103)])
def test_digits_are_counted_relative_to_the_published_value(value, expected):
    assert console.digits(value, 0.9) == pytest.approx(expected, rel=1e-4)


def test_a_write_that_fails_is_one_message(tmp_path):
    with pytest.raises(SpecError, match=r"cannot write '.*gone.*x\.json': No such file or directory"):
        files.write(tmp_path / "gone" / "x.json", "{}")
