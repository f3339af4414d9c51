"""L-BFGS of both backends, side by side, and torch's against the genuine torch.optim.LBFGS."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import isoparam as iso
from jax_impl import lbfgs as jax_lbfgs
from jax_impl.optim import optimizer as jax_optimizer
from parity.training import relative
from torch_impl import lbfgs as torch_lbfgs
from torch_impl.optim import optimizer as torch_optimizer

_RNG = np.random.default_rng(11)
ROWS = _RNG.standard_normal((40, 5))
SIGNS = np.sign(ROWS @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + _RNG.standard_normal(40))


def rosenbrock(np_like, x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def ill_conditioned(np_like, x):
    scales = np_like.asarray(np.geomspace(1e-3, 1e4, 6), dtype=x.dtype)
    return (scales * (x - 1) ** 2).sum()


def logistic(np_like, x):
    signs, rows = np_like.asarray(SIGNS, dtype=x.dtype), np_like.asarray(ROWS, dtype=x.dtype)
    return np_like.log1p(np_like.exp(-signs * (rows @ x))).sum() + 0.05 * (x**2).sum()


LOSSES = {
    "rosenbrock-2": (rosenbrock, np.array([-1.2, 1.0])),
    "rosenbrock-7": (rosenbrock, np.array([-1.2, 1.0, -1.2, 1.0, 0.3, -0.7, 2.0])),
    "ill-conditioned": (ill_conditioned, np.linspace(-1, 2, 6)),
    "logistic": (logistic, np.zeros(5)),
}
SPECS = {
    "wolfe": iso.LBFGS(line_search_fn="strong_wolfe"),
    "wolfe-last-digits": iso.LBFGS(line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0, max_iter=7),
    "wolfe-short-memory": iso.LBFGS(line_search_fn="strong_wolfe", history_size=2, lr=0.3),
    "wolfe-few-evaluations": iso.LBFGS(line_search_fn="strong_wolfe", max_iter=5, max_eval=4),
    "wolfe-one-evaluation": iso.LBFGS(line_search_fn="strong_wolfe", max_iter=3, max_eval=1),
    "plain": iso.LBFGS(lr=0.5, max_iter=4),
    "plain-one-move": iso.LBFGS(lr=0.1, max_iter=1, history_size=3),
}
STEPS = 12
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_spec = pytest.mark.parametrize("spec", SPECS)


def torch_objective(function):
    def objective(x):
        x = x.detach().requires_grad_()
        loss = function(torch, x)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    return objective


def genuine(spec, function, start, steps=STEPS):
    """Iterates of torch.optim.LBFGS, and its counts of moves and evaluations."""
    leaf = torch.tensor(start, requires_grad=True)
    optimizer = torch_optimizer(spec, {"x": leaf})
    iterates = []

    def closure():
        optimizer.zero_grad()
        loss = function(torch, leaf)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        iterates.append(leaf.detach().numpy().copy())
    counts = optimizer.state[leaf]
    return np.array(iterates), (counts["n_iter"], counts["func_evals"])


def torch_twin(spec, function, start, steps=STEPS):
    params, objective = torch.tensor(start), torch_objective(function)
    state, iterates = torch_lbfgs.init_state(spec, params), []
    for _ in range(steps):
        params, state = torch_lbfgs.step(spec, params, *objective(params), state, objective)
        iterates.append(params.numpy().copy())
    return np.array(iterates), (int(state["n_iter"]), int(state["func_evals"]))


def jax_twin(spec, function, start, steps=STEPS):
    with jax.enable_x64(True):
        objective = jax.value_and_grad(lambda x: function(jnp, x))
        one = jax.jit(lambda params, state: jax_lbfgs.step(spec, params, *objective(params), state, objective))
        params, iterates = jnp.asarray(start), []
        state = jax_lbfgs.init_state(spec, params)
        for _ in range(steps):
            params, state = one(params, state)
            iterates.append(np.asarray(params))
    return np.array(iterates), (int(state["n_iter"]), int(state["func_evals"]))


@each_spec
@each_loss
def test_iterates_are_those_of_genuine_torch(spec, loss):
    expected, expected_counts = genuine(SPECS[spec], *LOSSES[loss])
    iterates, counts = torch_twin(SPECS[spec], *LOSSES[loss])
    assert counts == expected_counts
    assert relative(iterates, expected) < 1e-13


@each_spec
@each_loss
def test_backends_take_the_same_steps(spec, loss):
    expected, expected_counts = torch_twin(SPECS[spec], *LOSSES[loss], steps=3)
    iterates, counts = jax_twin(SPECS[spec], *LOSSES[loss], steps=3)
    print(relative(iterates, expected))
    assert counts == expected_counts
    assert relative(iterates, expected) < 1e-11
