"""A program that prints, as JSON, how many numbers of numerics="exact" runs have other bits in torch than in JAX.

It is run in a process of its own, with the variables that exact runs need in the environment.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from benchmarks.exact import OPTIMIZERS

import isoparam as iso
from isoparam.errors import NonFiniteError
from isoparam.optimizers import Optimizer
from parity.test_variables import running
from parity.training import mixed

EXACT: dict[str, Any] = {"numerics": "exact", "seed": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "projected": {"method": "projected"},
    "scheduled": {"schedule": iso.CyclicLR(1e-4, 0.02, 7, mode="triangular2")},
    "summaries": {"record": None},
    "every seventh": {"record": None, "record_every": 7},
}
STEPS = 150


def apart(ours: iso.Run, theirs: iso.Run) -> int:
    """Numbers of two runs whose bytes differ, history and everything that a checkpoint holds included."""
    trees = [(dict(ours.history), dict(theirs.history)), (dict(ours.values), dict(theirs.values))]
    trees.append((ours.checkpoint.state, theirs.checkpoint.state))
    total = 0
    for one, other in trees:
        assert list(one) == list(other)
        for key in one:
            a, b = np.asarray(one[key]), np.asarray(other[key])
            if key.startswith("variable/"):  # they stay in float64, where the backends differ
                assert a.shape == b.shape, key
                assert np.allclose(a, b, rtol=1e-12, atol=1e-15), key
                continue
            assert (a.dtype, a.shape) == (b.dtype, b.shape), key
            total += int((np.frombuffer(a.tobytes(), "u1") != np.frombuffer(b.tobytes(), "u1")).sum())
    return total


def both(problem: iso.Problem, optimizer: Optimizer, **settings: Any) -> int:
    """Bytes apart after a run in each backend."""
    return apart(*(ended(problem, name, optimizer, **{"steps": STEPS} | EXACT | settings) for name in ("torch", "jax")))


def ended(problem: iso.Problem, backend: str, optimizer: Optimizer, **settings: Any) -> iso.Run:
    """A run, as far as it came."""
    try:
        return iso.train(problem, backend, optimizer, **settings)
    except NonFiniteError as error:
        return error.run


def left_alone() -> iso.Problem:
    """A parameter whose gradient becomes exactly 0: the averages of an optimizer fade through the subnormal numbers."""
    losses = {
        "torch": lambda values, batch: torch.relu(values["gone"]) ** 2 + (values["x"] - 0.3) ** 2,
        "jax": lambda values, batch: jnp.maximum(values["gone"], 0) ** 2 + (values["x"] - 0.3) ** 2,
    }
    return iso.Problem(name="left-alone", constraints={"x": iso.Positive()}, init={"x": 1.0, "gone": 0.01}, loss=losses)


def wide() -> iso.Problem:
    """Many numbers, so that a rounded reciprocal in the place of a division would show."""
    losses = {name: lambda values, batch: ((values["x"] - 3) ** 2).sum() for name in ("torch", "jax")}
    return iso.Problem(name="wide", constraints={"x": iso.Positive()}, init={"x": np.linspace(0.5, 2, 200)}, loss=losses)


def cases() -> Iterator[tuple[str, int]]:
    """Name and bytes apart of each case."""
    for name, optimizer in OPTIMIZERS.items():
        yield name, both(mixed(), optimizer)
    for name, settings in SETTINGS.items():
        yield name, both(mixed(), iso.AdamW(lr=0.01), **settings)
    yield "averaged", both(wide(), iso.Adam(lr=0.01), steps=60, average=iso.SWA(start=10, every=3), record=())
    yield "settled", both(iso.problems.get("abo"), iso.Adam(lr=0.01, amsgrad=True), steps=600)
    yield "left alone", both(left_alone(), iso.Adam(lr=0.01), steps=1000)
    yield "diverging", both(iso.problems.get("nist-gauss1"), iso.SGD(lr=1e-6, momentum=0.9))
    yield "batch statistics", both(running(), iso.Adam(lr=0.01))
    whole = iso.train(mixed(), "torch", iso.NAdam(lr=0.01), steps=STEPS, **EXACT)
    for first, second in (("torch", "jax"), ("jax", "torch")):
        with tempfile.TemporaryDirectory() as folder:
            iso.train(mixed(), first, iso.NAdam(lr=0.01), steps=61, **EXACT).save(folder)
            yield f"{first} and then {second}", apart(whole, iso.resume(folder, second, STEPS - 61, mixed()))


if __name__ == "__main__":
    json.dump(dict(cases()), sys.stdout)
