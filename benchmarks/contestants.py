"""Loops that train the same scalar: x = sigmoid(raw), loss (x - 0.9)^2, Adam. All record loss, gradient norm and x."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import torch
from torch import nn
from torch.nn.utils import parametrize

import isoparam as iso

TARGET, LR = 0.9, 0.01
SLOW, FAST = 100_000, 2_000_000


class Timing(NamedTuple):
    """Seconds in the loop, and seconds before it (set-up and compilation)."""

    seconds: float
    compiling: float


Runner = Callable[[int], Timing]


class Contestant(NamedTuple):
    """One loop: its name in the table, how many steps a round takes, and how to build it."""

    name: str
    steps: int
    build: Callable[[], Runner]


def torch_by_hand() -> Runner:
    """What a PyTorch user writes: a forward-time transform, backward, step, and lists of floats."""

    def run(steps: int) -> Timing:
        raw = nn.Parameter(torch.zeros((), dtype=torch.float64))
        return _torch_loop(raw, lambda: torch.sigmoid(raw), torch.optim.Adam([raw], lr=LR), steps)

    return run


def torch_parametrize() -> Runner:
    """The same through torch.nn.utils.parametrize."""

    class Sigmoid(nn.Module):
        def forward(self, raw: Any) -> Any:
            return torch.sigmoid(raw)

    def run(steps: int) -> Timing:
        model = nn.Module()
        model.x = nn.Parameter(torch.zeros((), dtype=torch.float64))
        parametrize.register_parametrization(model, "x", Sigmoid())
        raw = model.parametrizations.x.original  # pyright: ignore[reportAttributeAccessIssue]
        return _torch_loop(raw, lambda: model.x, torch.optim.Adam([raw], lr=LR), steps)

    return run


def _torch_loop(raw: Any, value: Callable[[], Any], optimizer: Any, steps: int) -> Timing:
    torch.set_num_threads(1)
    losses, norms, values = [], [], []
    begun = perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        x = value()
        loss = (x - TARGET) ** 2
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.linalg.vector_norm(raw.grad).item())
        values.append(x.item())
        optimizer.step()
    return Timing(perf_counter() - begun, 0.0)


def jax_jitted_loop() -> Runner:
    """What a JAX user writes first: a jitted step in a Python loop, with donated state and lists of device arrays."""
    step, carry = _jax_step()
    step = jax.jit(step, donate_argnums=0)

    def run(steps: int) -> Timing:
        with jax.enable_x64(True):
            begun = perf_counter()
            state, kept = step(carry(), None)
            jax.block_until_ready(kept)
            compiling = perf_counter() - begun
            rows = []
            begun = perf_counter()
            for _ in range(steps):
                state, kept = step(state, None)
                rows.append(kept)
            jax.block_until_ready(state)
            return Timing(perf_counter() - begun, compiling)

    return run


def jax_scan() -> Runner:
    """The floor: one lax.scan over all steps, its history as scan output."""
    step, carry = _jax_step()
    compiled: dict[int, Any] = {}

    def run(steps: int) -> Timing:
        with jax.enable_x64(True):
            begun = perf_counter()
            if steps not in compiled:
                scan = jax.jit(lambda state: jax.lax.scan(step, state, None, length=steps), donate_argnums=0)
                compiled[steps] = scan.lower(carry()).compile()
            compiling = perf_counter() - begun
            state = jax.block_until_ready(carry())
            begun = perf_counter()
            jax.block_until_ready(compiled[steps](state))
            return Timing(perf_counter() - begun, compiling)

    return run


def _jax_step() -> tuple[Callable[..., Any], Callable[[], Any]]:
    transform = optax.adam(LR)

    def carry() -> Any:
        raw = jnp.zeros((), jnp.float64)
        return raw, transform.init(raw)

    def step(state: Any, _: Any) -> Any:
        raw, slots = state

        def objective(raw: Any) -> Any:
            x = jax.nn.sigmoid(raw)
            return (x - TARGET) ** 2, x

        (loss, x), grad = jax.value_and_grad(objective, has_aux=True)(raw)
        updates, slots = transform.update(grad, slots, raw)
        return (optax.apply_updates(raw, updates), slots), (loss, jnp.abs(grad), x)

    return step, carry


def ours(backend: str, record: Any = None) -> Callable[[], Runner]:
    """isoparam.train, whose `seconds` less `compile_seconds` is the loop."""

    def build() -> Runner:
        problem = iso.problems.get("scalar")

        def run(steps: int) -> Timing:
            torch.set_num_threads(1)
            done = iso.train(problem, backend=backend, optimizer=iso.Adam(lr=LR), steps=steps, record=record)
            return Timing(done.seconds - done.compile_seconds, done.compile_seconds)

        return run

    return build


CONTESTANTS = (
    Contestant("hand-written loop, torch", SLOW, torch_by_hand),
    Contestant("parametrize, torch", SLOW, torch_parametrize),
    Contestant("isoparam, torch", SLOW, ours("torch")),
    Contestant("jitted loop, jax", SLOW, jax_jitted_loop),
    Contestant("lax.scan", FAST, jax_scan),
    Contestant("isoparam, jax", FAST, ours("jax")),
    Contestant("isoparam, jax, record=()", FAST, ours("jax", record=())),
)
