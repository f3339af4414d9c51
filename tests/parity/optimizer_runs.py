"""A thousand steps of one optimizer on gradients that are given: by torch.optim, by both twins, and by the optax form."""

import jax
import numpy as np
import optax
import torch

import isoparam as iso
from jax_impl import optim as jax_optim
from torch_impl import optim as torch_optim

STEPS = 1000
SHAPES = {"number": (), "vector": (37,), "matrix": (6, 11), "block": (2, 3, 4)}


def start_and_gradients(dtype, shapes=None, steps=STEPS):
    """Parameters of size 1 to 2; gradients of sizes from 1e-3 to 10 with a drift, a twenty-fifth of them exactly 0.

    The first three gradients of the vector are always 0.
    """
    rng = np.random.Generator(np.random.Philox(5))
    start, gradients = {}, {}
    for name, shape in (SHAPES if shapes is None else shapes).items():
        start[name] = (rng.uniform(1, 2, shape) * rng.choice([-1, 1], shape)).astype(dtype)
        scale = 10 ** rng.uniform(-3, 1, shape)
        noise = rng.standard_normal((steps, *shape)) + rng.standard_normal(shape) / 2
        zero = rng.random((steps, *shape)) < 0.04
        gradients[name] = np.where(zero, 0, noise * scale).astype(dtype)
    if "vector" in gradients:
        gradients["vector"][:, :3] = 0
    return start, gradients


def by_torch(spec, start, gradients):
    """Trajectory of the genuine optimizer: {name: (steps, *shape)}."""
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    optimizer = torch_optim.optimizer(spec, leaves)
    tensors = {name: torch.tensor(value) for name, value in gradients.items()}
    path = {name: np.empty_like(value) for name, value in gradients.items()}
    for k in range(len(next(iter(gradients.values())))):
        for name, leaf in leaves.items():
            gradient = tensors[name][k]
            if isinstance(spec, iso.SparseAdam):
                gradient = sparse(gradient)
            leaf.grad = gradient
        optimizer.step()
        for name, leaf in leaves.items():
            path[name][k] = leaf.detach().numpy()
    return path


def sparse(gradient):
    """The rows that are not all 0, as torch has them from an embedding; of a number the number itself."""
    if not gradient.dim():
        return gradient.to_sparse()
    rows = torch.nonzero(gradient.flatten(1).any(1) if gradient.dim() > 1 else gradient != 0)
    return torch.sparse_coo_tensor(rows.T, gradient[rows[:, 0]], gradient.shape, check_invariants=True)


def by_torch_twin(spec, start, gradients):
    params = {name: torch.tensor(value) for name, value in start.items()}
    states = {name: torch_optim.init_state(spec, value) for name, value in params.items()}
    tensors = {name: torch.tensor(value) for name, value in gradients.items()}
    path = {name: np.empty_like(value) for name, value in gradients.items()}
    for k in range(len(next(iter(gradients.values())))):
        for name, value in params.items():
            params[name], states[name] = torch_optim.step(spec, value, tensors[name][k], states[name])
            path[name][k] = params[name].numpy()
    return path


def by_jax(spec, start, gradients, with_optax):
    """Trajectories of the step form and, if asked for, of the optax form, as one compiled loop."""
    transform = jax_optim.optimizer(spec)

    def once(carry, gradient):
        params, states, others, state = carry
        after = {name: jax_optim.step(spec, value, gradient[name], states[name]) for name, value in params.items()}
        params, states = ({name: pair[i] for name, pair in after.items()} for i in (0, 1))
        if with_optax:
            updates, state = transform.update(gradient, state, others)
            others = optax.apply_updates(others, updates)
        return (params, states, others, state), (params, others)

    @jax.jit
    def run(params, gradients):
        states = {name: jax_optim.init_state(spec, value) for name, value in params.items()}
        others, state = (params, transform.init(params)) if with_optax else (None, None)
        return jax.lax.scan(once, (params, states, others, state), gradients)[1]

    return jax.tree.map(np.asarray, run(start, gradients))
