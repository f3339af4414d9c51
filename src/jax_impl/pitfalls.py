"""The pitfall, its wrong fixes and its cures, as a user would write them; `isoparam.pitfalls` says what is compared."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from isoparam.optimizers import Optimizer
from isoparam.pitfalls import Observation
from isoparam.specs import UnitInterval
from jax_impl.module import Constrained, values
from jax_impl.optim import optimizer
from jax_impl.tree import constrain
from jax_impl.verbs import project

Read = Callable[[Any], Array]


def observe(case: str, targets: tuple[float, ...], asked: Optimizer, steps: int) -> Observation:
    """Run one case of `isoparam.pitfalls.CASES`.

    Args:
        case: its name.
        targets: one per entry of x.
        asked: the optimizer.
        steps: updates.

    Returns:
        What the loss used at each step, what the monitor reads at the end, and what was raised.

    Example:
        >>> import isoparam as iso
        >>> from jax_impl.pitfalls import observe
        >>> observe("constrained", (0.9,), iso.Adam(lr=0.05), 1000).values[-1].round(6).tolist()
        [0.9]
    """
    with jax.enable_x64(True):
        return _CASES[case](_Trainer(targets, asked, steps))


class _StaticModel(nnx.Module):
    """The pitfall: x is computed once, at construction."""

    def __init__(self, count: int) -> None:
        self.x_raw = nnx.Param(jnp.zeros(count))
        self.x = jax.nn.sigmoid(self.x_raw[...])  # isoparam: ignore[SG502] the pitfall itself


class _ConstrainedModel(nnx.Module):
    """The cure as an attribute: x is computed from x_raw at every read."""

    x = Constrained(UnitInterval())

    def __init__(self, count: int) -> None:
        self.x = jnp.full(count, 0.5)


class _ClampedModel(nnx.Module):
    """clip in the place of a smooth map: outside of [0, 1] the gradient is exactly 0."""

    def __init__(self, count: int) -> None:
        self.x_raw = nnx.Param(jnp.full(count, 0.5))

    @property
    def x(self) -> Array:
        """Fresh at every read, like the cure, and still no cure."""
        return jnp.clip(self.x_raw[...], 0, 1)


class _Trainer:
    """The loop that all cases share: the squared error to the targets, and what was seen."""

    def __init__(self, targets: tuple[float, ...], asked: Optimizer, steps: int) -> None:
        self.targets = jnp.array(targets)
        self.transform = optimizer(asked)
        self.steps = steps

    def __call__(
        self,
        params: Any,
        value: Read,
        monitor: Read | None = None,
        after: Callable[[Any], Any] | None = None,
    ) -> Observation:
        """Move the leaves; `value` is x as the loss uses it, `monitor` what is read to watch it, `after` follows each update.

        # twin: torch reads and writes the leaf in place; JAX passes the leaves into `value` and gets new ones back.
        """

        def step(carry: Any, _: None) -> tuple[Any, Array]:
            params, state = carry
            gradient = jax.grad(self.loss(value))(params)
            params, state = self.update(gradient, state, params)
            params = params if after is None else after(params)
            return (params, state), value(params)

        @jax.jit
        def run(params: Any) -> tuple[Any, Array]:
            (params, _), seen = jax.lax.scan(step, (params, self.transform.init(params)), length=self.steps)
            return params, seen

        first = value(params)
        params, seen = run(params)
        return Observation(np.stack([first, *np.asarray(seen)]), np.asarray((monitor or value)(params)), None)

    def loss(self, value: Read) -> Callable[[Any], Array]:
        """The squared error, as a function of the leaves."""
        return lambda params: jnp.sum((value(params) - self.targets) ** 2)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Leaves and state of the optimizer after one update."""
        updates, state = self.transform.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    def module(self, model: nnx.Module, monitor: Callable[[Any], Array] | None = None) -> Observation:
        """Train the nnx.Params of a module that has an x."""
        graph, params, rest = nnx.split(model, nnx.Param, ...)

        def merged(params: Any) -> Any:
            return nnx.merge(graph, params, rest)

        return self(params, lambda params: merged(params).x, monitor and (lambda params: monitor(merged(params))))

    @property
    def count(self) -> int:
        """Entries of x."""
        return len(self.targets)


def _static(train: _Trainer) -> Observation:
    """x is an array of the module that depends on nothing: no gradient, no movement, no error."""
    return train.module(_StaticModel(train.count))


def _captured(train: _Trainer, monitor: Read | None = None) -> Observation:
    """`params` is read while jit traces, and is a constant of the compiled function: the gradient of step 1, for ever."""
    params = {"x_raw": jnp.zeros(train.count)}
    state = train.transform.init(params)
    update = jax.jit(train.update)

    @jax.jit
    def x() -> Array:
        return jax.nn.sigmoid(params["x_raw"])  # isoparam: ignore[SG501] the pitfall itself

    @jax.jit
    def gradient() -> Any:
        loss = train.loss(lambda params: jax.nn.sigmoid(params["x_raw"]))
        return jax.grad(loss)(params)  # isoparam: ignore[SG501] the pitfall itself

    seen = [x()]
    for _ in range(train.steps):
        params, state = update(gradient(), state, params)
        seen.append(x())
    shown = seen[-1] if monitor is None else monitor(params)
    return Observation(np.stack(seen), np.asarray(shown), None)


def _leaf(train: _Trainer) -> Observation:
    """x trains by itself, free to leave its set, and x_raw gets the gradient 0."""
    x_raw = jnp.zeros(train.count)
    return train({"x_raw": x_raw, "x": jax.nn.sigmoid(x_raw)}, lambda params: params["x"])


def _constrained(train: _Trainer) -> Observation:
    return train.module(_ConstrainedModel(train.count))


def _constrain(train: _Trainer) -> Observation:
    """The cure without a module: a pure function of the tree, inside the loss."""
    return train({"x": jnp.zeros(train.count)}, lambda raw: constrain(raw, {"x": UnitInterval()})["x"])


def _clamp(train: _Trainer) -> Observation:
    return train.module(_ClampedModel(train.count))


def _projection(train: _Trainer) -> Observation:
    """Projected descent: x itself is the leaf, and is put back into the set after each step."""
    return train(jnp.full(train.count, 0.5), lambda x: x, after=lambda point: project(UnitInterval(), point))


def _wrong_monitor(train: _Trainer) -> Observation:
    """The raw does move, so that what is recomputed from it looks like training."""
    return _captured(train, monitor=lambda params: jax.nn.sigmoid(params["x_raw"]))


def _right_monitor(train: _Trainer) -> Observation:
    return train.module(_ConstrainedModel(train.count), monitor=lambda model: values(model)["x"])


_CASES: dict[str, Any] = {
    "static": _static,
    "captured": _captured,
    "leaf": _leaf,
    "constrained": _constrained,
    "constrain": _constrain,
    "clamp": _clamp,
    "projection": _projection,
    "wrong_monitor": _wrong_monitor,
    "right_monitor": _right_monitor,
}
