"""Losses of the problems with data against mpmath, value and gradient, far from the optimum and at the edges."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

import isoparam as iso
import likelihoods
from isoparam.backends import load

# Points in the arguments of the likelihood.
POINTS = {
    "faithful": {"start": (0.5, 55.0, 80.0, 5.0, 5.0), "one component": (2.0**-40, 40.0, 75.0, 2.0, 10.0)},
    "garch": {
        "start": (0.0, 0.02, 0.1, 0.8),
        "no memory": (0.1, 0.2, 0.3, 1e-300),
        "long memory": (-0.1, 1e-8, 0.0625, 0.9374999),
    },
    "hmm": {
        "start": (10.0, 30.0, 0.1, 0.1),
        "far rates": (0.25, 400.0, 0.5, 0.25),
        "hardly a change": (15.0, 25.0, 2.0**-40, 2.0**-30),
    },
    "abo": {"start": (0.3, 0.3), "rare": (2.0**-30, 2.0**-20)},
}
CASES = [pytest.param(name, point, id=f"{name}-{label}") for name, points in POINTS.items() for label, point in points.items()]


def assembled(name: str, at: Any, stack: Any) -> dict[str, Any]:
    """The values of a problem from the arguments of its likelihood."""
    if name == "faithful":
        return {"share": stack([at[0], 1 - at[0]]), "mean": stack([at[1], at[2]]), "sd": stack([at[3], at[4]])}
    if name == "garch":
        return {"mu": at[0], "omega": at[1], "weights": stack([at[2], at[3], 1 - at[2] - at[3]])}
    if name == "hmm":
        rows = [stack([1 - at[2], at[2]]), stack([at[3], 1 - at[3]])]
        return {"rate": stack([at[0], at[1]]), "transition": stack(rows)}
    return {"frequency": stack([at[0], at[1], 1 - at[0] - at[1]])}


def in_torch(name: str, point: tuple[float, ...]) -> tuple[float, np.ndarray]:
    at = torch.tensor(point, dtype=torch.float64, requires_grad=True)
    batch = {key: torch.tensor(column) for key, column in iso.problems.get(name).data.items()}
    loss = load("torch").problems.LOSSES[name](assembled(name, at, torch.stack), batch)
    return loss.item(), torch.autograd.grad(loss, at)[0].numpy()


def in_jax(name: str, point: tuple[float, ...]) -> tuple[float, np.ndarray]:
    with jax.enable_x64(True):
        batch = {key: jnp.array(column) for key, column in iso.problems.get(name).data.items()}
        function = lambda at: load("jax").problems.LOSSES[name](assembled(name, at, jnp.stack), batch)  # noqa: E731
        loss, gradient = jax.jit(jax.value_and_grad(function))(jnp.array(point))
        return float(loss), np.array(gradient)


@cache
def in_many_digits(name: str, point: tuple[float, ...]) -> tuple[float, np.ndarray]:
    with mpmath.workdps(likelihoods.DIGITS):
        function = partial(getattr(likelihoods, name), iso.problems.get(name).data)
        at = [mpf(x) for x in point]
        return float(function(*at)), np.array([float(x) for x in likelihoods.gradient(function, at)])


@pytest.mark.parametrize("evaluate", [in_torch, in_jax], ids=["torch", "jax"])
@pytest.mark.parametrize(("name", "point"), CASES)
def test_value_and_gradient(name, point, evaluate):
    loss, gradient = evaluate(name, point)
    exact, slope = in_many_digits(name, point)
    assert abs(loss - exact) < 1e-14 * abs(exact)
    unseen = 1e-45  # a central difference with step 1e-25 does not see less
    assert np.all(np.abs(gradient - slope) < 1e-12 * np.abs(slope) + unseen), gradient / slope - 1
