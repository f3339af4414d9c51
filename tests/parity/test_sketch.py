"""The catalogue's pictures: every spec has an example, both backends draw the same, text and file."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import isoparam as iso
from isoparam import cli
from isoparam.backends import BACKENDS
from isoparam.sketch import COLUMNS, as_text, draw_sketch, sketch
from isoparam.specs.examples import EXAMPLES

each_spec = pytest.mark.parametrize("spec", iso.catalogue(), ids=lambda spec: spec.__name__)


def test_every_spec_has_an_example() -> None:
    assert set(EXAMPLES) == set(iso.catalogue())


@each_spec
def test_both_backends_draw_the_same(spec: type[iso.Spec], tmp_path: Path) -> None:
    left, right = (sketch(spec, backend, points=9) for backend in BACKENDS)
    assert list(left.values) == list(right.values)
    for name, line in left.values.items():
        np.testing.assert_allclose(right.values[name], line, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(right.slopes[name], left.slopes[name], rtol=1e-11, atol=1e-12)
    text = as_text(left)
    assert max(map(len, text.splitlines())) <= 128
    assert all(name in text for name in left.values)
    draw_sketch(left, tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size > 1000


def test_the_text_shows_the_curve() -> None:
    """UnitInterval at -4, 0 and 4: lowest, middle and highest row, first, middle and last column."""
    rows = [line.partition("|")[2] for line in as_text(sketch(iso.UnitInterval, "torch", points=3)).splitlines()[2:13]]
    assert rows[0] == " " * (COLUMNS - 1) + "o"
    assert rows[5] == " " * (COLUMNS // 2) + "o"
    assert rows[10] == "o"


def test_the_command_draws(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["catalogue", "interval", "--backend", "jax", "--plot", str(tmp_path / "i.png")])
    assert done.exit_code == 0, done.output
    assert "derivative |" in done.output
    assert (tmp_path / "i.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--backend", "torch"], "a picture is of one spec"), (["Interval", "--plot", "i.png"], "needs --backend torch")],
    ids=["no spec", "no backend"],
)
def test_what_cannot_be_drawn_is_told(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(cli.app, ["catalogue", *arguments])
    assert message in str(done.exception)
