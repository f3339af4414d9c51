"""L-BFGS of both backends, side by side, and torch's against the genuine torch.optim.LBFGS."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import isoparam as iso
from jax_impl import lbfgs as jax_lbfgs
from parity.training import falling, mixed, relative
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


def jax_program(spec, function):
    """(params, state) -> the same after a step, compiled, to be called under x64."""
    objective = jax.value_and_grad(lambda x: function(jnp, x))
    return jax.jit(lambda params, state: jax_lbfgs.step(spec, params, *objective(params), state, objective))


def as_jax(state):
    return {name: jnp.asarray(entry, jnp.int32 if name in COUNTS else None) for name, entry in state.items()}


COUNTS = ("step", "n_iter", "func_evals", "stored")


@each_spec
@each_loss
def test_iterates_are_those_of_genuine_torch(spec, loss):
    expected, expected_counts = genuine(SPECS[spec], *LOSSES[loss])
    iterates, counts = torch_twin(SPECS[spec], *LOSSES[loss])
    assert counts == expected_counts
    assert relative(iterates, expected) < 1e-13


@pytest.mark.parametrize("spec", ["wolfe-few-evaluations", "wolfe-short-memory", "plain"])
@pytest.mark.parametrize("loss", ["rosenbrock-7", "ill-conditioned"])
def test_both_backends_take_the_same_step_from_the_same_state(spec, loss):
    """Each step starts from torch's state: what is left over whole runs is the growth of roundings, which is the loss's."""
    asked, (function, start) = iso_spec(spec), LOSSES[loss]
    params, objective = torch.tensor(start), torch_objective(function)
    state = torch_lbfgs.init_state(asked, params)
    with jax.enable_x64(True):
        program = jax_program(asked, function)
        for _ in range(8):
            theirs, after = program(jnp.asarray(params.numpy()), as_jax(state))
            params, state = torch_lbfgs.step(asked, params, *objective(params), state, objective)
            # Five moves from the same state: 4.2e-14 at the worst, on rosenbrock-7 with the short memory.
            assert relative(theirs, params.numpy()) < 1e-12
            assert {name: int(after[name]) for name in COUNTS} == {name: int(state[name]) for name in COUNTS}
            for name in ("t", "ro", "H_diag", "prev_loss"):
                assert relative(after[name], np.asarray(state[name])) < 1e-8, name


def iso_spec(name):
    """The spec with five moves a step at most."""
    return replace(SPECS[name], max_iter=min(5, SPECS[name].max_iter))


def lines():
    """Cubes and quartics with poles, kinks and infinities, so that a search meets all of its branches."""
    return {
        "overshoot": (lambda np_like, x: (x**4 - 3 * x).sum(), 8.0),
        "flat": (lambda np_like, x: (1 / (1 + x**2)).sum() * -1, 0.05),
        "infinite": (lambda np_like, x: (np_like.exp(np_like.exp(x)) - 4 * x).sum(), 40.0),
        "nan": (lambda np_like, x: (-x + 0 * np_like.sqrt(2 - x)).sum(), 0.5),
        "falling": (lambda np_like, x: -x.sum(), 1.0),
    }


@pytest.mark.parametrize("line", lines())
def test_searches_agree_where_a_line_is_hard_and_always_end(line):
    function, lr = lines()[line]
    start, spec = np.array([-1.0, 0.5]), iso.LBFGS(lr=lr, max_iter=2, max_eval=30, line_search_fn="strong_wolfe")
    expected, counts = torch_twin(spec, function, start, steps=1)
    genuine_iterates, genuine_counts = genuine(spec, function, start, steps=1)
    with jax.enable_x64(True):
        params, state = jax_program(spec, function)(jnp.asarray(start), jax_lbfgs.init_state(spec, jnp.asarray(start)))
    assert counts == genuine_counts == (int(state["n_iter"]), int(state["func_evals"]))
    assert np.array_equal(expected, genuine_iterates, equal_nan=True)
    assert np.allclose(np.asarray(params), expected[0], rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_train_converges_to_the_last_digits(backend, search):
    spec = iso.LBFGS(tolerance_grad=0.0, tolerance_change=0.0, line_search_fn=search)
    problem = iso.problems.get("linkage")
    run = iso.train(problem, backend, optimizer=spec, steps=10, tol_grad=1e-12)
    assert run.stopped == "tol_grad"
    assert run.steps < 5
    assert run.values["t"] == pytest.approx(problem.published["t"], rel=4e-16)
    assert run.history["t"][0] == 0.5  # before the first step


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_nan_within_a_search_is_reported_with_the_last_good_state(backend):
    with pytest.raises(iso.errors.NonFiniteError) as caught:
        iso.train(falling(), backend, optimizer=iso.LBFGS(line_search_fn="strong_wolfe"), steps=50)
    run = caught.value.run
    assert all(np.isfinite(value) for value in run.values.values())
    assert run.steps == caught.value.step - 1


def test_minibatches_are_the_same_within_a_step_and_a_replay():
    """tol_grad and a callback end a run in the middle of a chunk, which is then replayed with the pairs of its start."""
    spec = iso.LBFGS(lr=0.5, max_iter=3)
    runs = [iso.train(mixed(), "torch", optimizer=spec, steps=count) for count in (7, 9)]
    stopped = iso.train(mixed(), "torch", optimizer=spec, steps=9, callbacks=(lambda row: row["step"] == 7,))
    for name, value in runs[0].raw.items():
        assert np.array_equal(stopped.raw[name], value)
    jax_run = iso.train(mixed(), "jax", optimizer=spec, steps=7)
    for name, value in runs[0].values.items():
        assert relative(jax_run.values[name], value) < 1e-9, name
