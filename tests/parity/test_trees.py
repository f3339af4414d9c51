"""Trees in both frameworks: the same names, values, log-Jacobians and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
import isoparam.jax
import isoparam.torch
from isoparam.errors import IsoparamError

RAW = {
    "net": [{"scale": np.array([0.5, -2.0]), "loc": np.array(0.3)}],
    "mix": np.array([[1.0, -1.0], [0.2, 3.0]]),
    "cut": np.array([0.1, -3.0, 2.0]),
    "free": np.array([7.0]),
}
CONSTRAINTS = {
    "*.scale": iso.Positive(),
    "net.0.loc": iso.Interval(-1, 4),
    "mix": iso.Simplex(),
    "cut": iso.Ordered(),
}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def in_torch(tree):
    return torch.utils._pytree.tree_map(torch.tensor, tree)


def in_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


def flat(tree):
    """The leaves as numpy, in the order of sorted keys."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.tree.map(np.asarray, tree))]


@pytest.mark.parametrize("verb", ["constrain", "unconstrain"])
def test_same_values(verb):
    start = RAW if verb == "constrain" else jax.tree.map(np.asarray, iso.jax.constrain(in_jax(RAW), CONSTRAINTS))
    ours = flat(getattr(iso.torch, verb)(in_torch(start), CONSTRAINTS))
    theirs = flat(getattr(iso.jax, verb)(in_jax(start), CONSTRAINTS))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15, atol=1e-15)


def test_same_log_jacobian_and_gradient():
    raw = in_torch(RAW)
    grads = torch.func.grad(lambda raw: iso.torch.log_jacobian(raw, CONSTRAINTS))(raw)
    value, other = jax.value_and_grad(lambda raw: iso.jax.log_jacobian(raw, CONSTRAINTS))(in_jax(RAW))
    np.testing.assert_allclose(iso.torch.log_jacobian(raw, CONSTRAINTS), value, rtol=1e-15)
    for one, two in zip(flat(grads), flat(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("verb", "constraints"),
    [
        ("constrain", {"mux": iso.Simplex()}),
        ("constrain", {"m*": iso.Simplex(), "mix": iso.Simplex()}),
        ("constrain", {"net.0.loc": iso.Simplex()}),
        ("unconstrain", {"free": iso.UnitInterval()}),
        ("log_jacobian", {"mix": 3.0}),
    ],
    ids=["unknown", "twice", "shape", "outside", "no spec"],
)
def test_same_errors(verb, constraints):
    with pytest.raises(IsoparamError) as ours:
        getattr(iso.torch, verb)(in_torch(RAW), constraints)
    with pytest.raises(IsoparamError) as theirs:
        getattr(iso.jax, verb)(dict(in_jax(RAW)), constraints)
    assert type(ours.value) is type(theirs.value)
    assert str(ours.value).partition("; there are")[0] == str(theirs.value).partition("; there are")[0]
