"""What is frozen or fixed stays what it is to the last bit, and what is free moves as if the rest were a constant."""

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.optimizers import OPTIMIZERS
from parity.training import mixed, relative

BACKENDS = ("torch", "jax")
PULLS = {"weight_decay": 0.3, "momentum": 0.9}
"""What moves a parameter without a gradient."""


def pulling(kind):
    """The optimizer with all of them that it has."""
    names = [name for name in PULLS if name in kind.__dataclass_fields__]
    return kind(**{"lr": 0.01} | {name: PULLS[name] for name in names})


KNOWN = [[1.5, 2.0], [0.1, 3.0]]


def planes(**changes):
    """Matrices alone, which Muon trains too; and a constant."""
    settings = {
        "name": "planes",
        "constraints": {"still": iso.Positive(), "known": iso.Fixed(KNOWN)},
        "init": {"free": np.array([[0.5, -1.0], [2.0, 0.1]]), "still": np.full((2, 2), 0.7), "known": np.array(KNOWN)},
        "loss": lambda values, batch: ((values["free"] * values["still"] - values["known"]) ** 2).sum(),
    }
    return iso.Problem(**(settings | changes))


def unmoved(run, start, name):
    return run.raw[name].tobytes() == start.raw[name].tobytes() and run.values[name].tobytes() == start.values[name].tobytes()


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_optimizer_moves_what_is_frozen_or_fixed(kind, backend):
    optimizer = pulling(kind)
    runs = [iso.train(planes(), backend, optimizer, steps=n, frozen=("still",)) for n in (1, 12)]
    assert unmoved(runs[1], runs[0], "still")
    assert runs[1].values["still"].tolist() == pytest.approx(np.full((2, 2), 0.7), rel=1e-15)
    assert runs[1].values["known"].tolist() == KNOWN
    assert relative(runs[1].raw["free"], runs[0].raw["free"]) > 1e-4
    loose = iso.train(planes(), backend, optimizer, steps=12)
    assert not unmoved(loose, runs[0], "still")


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_the_rest_moves_as_beside_a_constant(kind):
    constant = planes(constraints=dict(planes().constraints) | {"still": iso.Fixed(np.full((2, 2), 0.7))})
    for backend in BACKENDS:
        frozen = iso.train(planes(), backend, pulling(kind), steps=12, frozen=("still",))
        fixed = iso.train(constant, backend, pulling(kind), steps=12)
        assert relative(frozen.raw["free"], fixed.raw["free"]) < 1e-13
        assert relative(frozen.history["grad_norm"], fixed.history["grad_norm"]) < 1e-13


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_globs_freeze_in_a_projected_run_too(backend, dtype):
    settings = {"optimizer": iso.SGD(lr=0.05, momentum=0.9, weight_decay=0.1), "method": "projected", "dtype": dtype}
    runs = [iso.train(mixed(), backend, steps=n, frozen=["w*", "sc?le"], **settings) for n in (1, 15)]
    for name in ("weights", "scale"):
        assert unmoved(runs[1], runs[0], name)
    assert relative(runs[1].raw["small"], runs[0].raw["small"]) > 1e-2


@pytest.mark.parametrize("first", BACKENDS)
def test_what_is_frozen_stays_so_in_a_run_that_goes_on(first, tmp_path):
    settings = {"optimizer": iso.AdamW(lr=0.01, weight_decay=0.5), "seed": 3, "frozen": ("levels",)}
    iso.train(mixed(), first, steps=9, **settings).save(tmp_path)
    for second in BACKENDS:
        run, whole = iso.resume(tmp_path, second, 11, mixed()), iso.train(mixed(), second, steps=20, **settings)
        for name, raw in whole.raw.items():
            assert relative(run.raw[name], raw) < 1e-13, name
        assert run.values["levels"].tobytes() == iso.resume(tmp_path, second, 1, mixed()).values["levels"].tobytes()


def test_what_cannot_be_frozen_is_refused():
    settings = {"backend": "torch", "optimizer": iso.Adam(), "steps": 1}
    with pytest.raises(SpecError, match="frozen: 'wieghts' matches no parameter; did you mean 'weights'"):
        iso.train(mixed(), frozen=("wieghts",), **settings)
    with pytest.raises(SpecError, match=r"frozen='weights' must be a tuple of names or globs"):
        iso.train(mixed(), frozen="weights", **settings)
    with pytest.raises(SpecError, match=r"leaves nothing to train; leave one of .*'scale'.* free"):
        iso.train(mixed(), frozen=("*",), **settings)
