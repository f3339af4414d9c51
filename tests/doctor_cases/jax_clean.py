"""Programs that train as they should and look much like those that do not: {name: program}. Each runs to its end."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

import isoparam as iso
from isoparam.jax import Constrained, constrain, project, unconstrain

CASES: dict[str, Callable[[], None]] = {}
X = jnp.linspace(0.5, 1.5, 3)


def clean(program: Callable[[], None]) -> Callable[[], None]:
    CASES[program.__name__] = program
    return program


def descend(params: Any, gradient: Any, rate: float = 0.1) -> Any:
    return jax.tree.map(lambda p, g: p - rate * g, params, gradient)


def squares(params: Any, x: jax.Array) -> jax.Array:
    return jnp.mean((jax.nn.sigmoid(params["raw"]) * x + params["b"] - 0.7) ** 2)


def start() -> dict[str, jax.Array]:
    return {"raw": jnp.array([0.1, -0.2, 0.3]), "b": jnp.zeros(3)}


def train(loss: Callable[..., jax.Array], params: Any, steps: int = 4) -> Any:
    for _ in range(steps):
        params = descend(params, jax.grad(loss)(params))
    return params


@clean
def step_with_donated_arguments() -> None:
    transform = optax.adam(0.05)
    params = start()
    state = transform.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, x: jax.Array) -> Any:
        value, g = jax.value_and_grad(squares)(params, x)
        updates, state = transform.update(g, state, params)
        return optax.apply_updates(params, updates), state, value

    for _ in range(4):
        params, state, _ = step(params, state, X)


@clean
def pulled_towards_the_start() -> None:
    params = start()
    anchor = params

    @jax.jit
    def loss(p: Any) -> jax.Array:
        apart = sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(anchor), strict=True))
        return squares(p, X) + 0.1 * apart

    for _ in range(4):
        loss(params)
        params = descend(params, jax.grad(loss)(params))


@clean
def student_of_a_compiled_teacher() -> None:
    def apply(params: Any, x: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(params["raw"]) * x

    params = start()
    teacher = jax.jit(functools.partial(apply, params))
    student = jax.tree.map(lambda p: p + 0.3, params)
    for _ in range(4):
        wanted = teacher(X)
        student = descend(student, jax.grad(lambda p, y: ((apply(p, X) + p["b"] - y) ** 2).sum())(student, wanted))


@clean
def policy_before_the_update() -> None:
    def ratio(params: Any, old: Any) -> jax.Array:
        return jnp.exp(jax.nn.log_softmax(params["logits"]) - jax.nn.log_softmax(old["logits"]))

    params = {"logits": jnp.array([0.1, 0.4, -0.2])}
    for _ in range(3):
        old = params

        def loss(p: Any, old: Any = old) -> jax.Array:
            r = ratio(p, old)
            return -jnp.minimum(r * X, jnp.clip(r, 0.8, 1.2) * X).mean()

        params = train(loss, params, 2)


@clean
def target_network_follows() -> None:
    online = start()
    target = online

    @jax.jit
    def loss(p: Any, target: Any) -> jax.Array:
        return squares(p, X) + (p["b"] - jax.lax.stop_gradient(0.9 * target["b"] + X)).sum() ** 2

    for _ in range(4):
        online = descend(online, jax.grad(loss)(online, target), 0.01)
        target = optax.incremental_update(online, target, 0.1)


@clean
def backbone_frozen_by_labels() -> None:
    params = {"backbone": jnp.ones((3, 3)), "head": jnp.ones(3)}
    labels = {"backbone": "stay", "head": "go"}
    transform = optax.multi_transform({"go": optax.adam(0.1), "stay": optax.set_to_zero()}, labels)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        def loss(p: Any) -> jax.Array:
            return ((p["head"] @ jax.lax.stop_gradient(p["backbone"] @ X) - 1.0) ** 2).sum()

        updates, state = transform.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(3):
        params, state = step(params, state)


@clean
def only_the_head_is_stepped() -> None:
    params = {"features": jnp.ones(3), "head": jnp.array(0.3)}

    def loss(p: Any) -> jax.Array:
        return ((p["head"] * jax.lax.stop_gradient(p["features"]) * X - 1.0) ** 2).sum()

    for _ in range(4):
        g = jax.grad(loss)(params)
        params = {**params, "head": params["head"] - 0.1 * g["head"]}


@clean
def two_players() -> None:
    params = {"maker": jnp.array([0.1, 0.2, 0.3]), "judge": jnp.ones(3)}

    def maker_loss(p: Any) -> jax.Array:
        return -jnp.sum(jax.lax.stop_gradient(p["judge"]) * jnp.tanh(p["maker"] * X))

    def judge_loss(p: Any) -> jax.Array:
        return jnp.sum(p["judge"] * jax.lax.stop_gradient(jnp.tanh(p["maker"] * X))) + jnp.sum(p["judge"] ** 2)

    for _ in range(3):
        params = descend(params, jax.grad(maker_loss)(params))
        params = descend(params, jax.grad(judge_loss)(params))


@clean
def quantised_straight_through() -> None:
    def loss(p: Any) -> jax.Array:
        hard = jnp.sign(p["w"])
        return ((p["w"] + jax.lax.stop_gradient(hard - p["w"])) * X - 0.5).sum() ** 2

    train(loss, {"w": jnp.array([0.4, -0.3, 0.1])})


@clean
def linen_with_batch_statistics() -> None:
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, training: bool) -> jax.Array:
            x = nn.Dense(4)(x)
            x = nn.BatchNorm(use_running_average=not training)(x)
            return nn.Dense(1)(nn.relu(x))

    net = Net()
    batch = jnp.stack([X, X + 0.5, -X])
    variables = net.init(jax.random.key(0), batch, training=False)
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    def step(params: Any, stats: Any) -> Any:
        def loss(p: Any) -> Any:
            out, new = net.apply({"params": p, "batch_stats": stats}, batch, training=True, mutable=["batch_stats"])
            return ((out - 1.0) ** 2).mean(), new["batch_stats"]

        (_, new), g = jax.value_and_grad(loss, has_aux=True)(params)
        return descend(params, g), new

    for _ in range(3):
        params, stats = step(params, stats)


@clean
def gradient_of_all_variables() -> None:
    model = nn.BatchNorm(use_running_average=False)
    batch = jnp.stack([X, X + 0.5, -X])
    variables = model.init(jax.random.key(0), batch)

    def loss(v: Any) -> Any:
        out, new = model.apply(v, batch, mutable=["batch_stats"])
        return ((out - 1.0) ** 2).mean(), new

    for _ in range(3):
        g, new = jax.grad(loss, has_aux=True)(variables)
        variables = {"params": descend(variables["params"], g["params"]), **new}


@clean
def nnx_with_noise_and_statistics() -> None:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.inner = nnx.Linear(3, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.outer = nnx.Linear(4, 1, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.outer(self.drop(nnx.relu(self.norm(self.inner(x)))))

    net = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.adam(0.01), wrt=nnx.Param)
    batch = jnp.stack([X, X + 0.5, -X])

    @nnx.jit
    def step(net: Net, optimizer: nnx.Optimizer, x: jax.Array) -> jax.Array:
        value, g = nnx.value_and_grad(lambda m: ((m(x) - 1.0) ** 2).mean())(net)
        optimizer.update(net, g)
        return value

    for _ in range(3):
        step(net, optimizer, batch)
    _, g = nnx.value_and_grad(lambda m: ((m(batch) - 1.0) ** 2).mean())(net)
    optimizer.update(net, g)


@clean
def table_made_once() -> None:
    class Encoding:
        table: Any = None

        def __call__(self, x: jax.Array) -> jax.Array:
            if self.table is None:
                self.table = np.sin(np.arange(3.0, dtype=np.float32))
            return x + self.table

    encode = Encoding()
    forward = jax.jit(lambda p, x: (p["raw"] * encode(x)).sum())
    params = start()
    for _ in range(3):
        params = descend(params, jax.grad(lambda p: forward(p, X) ** 2 + (p["b"] ** 2).sum())(params))


@clean
def table_made_once_by_an_eager_loss() -> None:
    kept: dict[int, jax.Array] = {}

    def loss(p: Any) -> jax.Array:
        if 3 not in kept:
            kept[3] = jnp.cos(jnp.arange(3.0))
        return ((p["raw"] * kept[3] + p["b"] - 0.3) ** 2).sum()

    train(loss, start())
    assert not isinstance(kept[3], jax.core.Tracer)


@clean
def compiled_anew_each_time() -> None:
    params = start()
    for _ in range(3):
        current = params
        evaluate = jax.jit(lambda x, p=current: squares(p, x))
        evaluate(X)
        evaluate(X + 1.0)
        params = descend(params, jax.grad(squares)(params, X))


@clean
def served_after_training() -> None:
    params = train(lambda p: squares(p, X), start())
    serve = jax.jit(functools.partial(squares, params))
    for _ in range(3):
        serve(X)


@clean
def best_so_far() -> None:
    params = start()
    best, lowest = params, float("inf")
    for _ in range(4):
        value, g = jax.value_and_grad(squares)(params, X)
        if float(value) < lowest:
            best, lowest = params, float(value)
        params = descend(params, g)
    assert float(squares(best, X)) == lowest


@clean
def rows_that_no_batch_names() -> None:
    ids = jnp.array([0, 2])

    @jax.jit
    def step(p: Any) -> Any:
        return descend(p, jax.grad(lambda q: ((q["rows"][ids] - 0.9) ** 2).sum())(p))

    params = {"rows": jnp.zeros((5, 2))}
    for _ in range(3):
        params = step(params)


@clean
def lower_triangle_only() -> None:
    keep = jnp.tril(jnp.ones((3, 3)))
    train(lambda p: ((p["w"] * keep @ X - 1.0) ** 2).sum(), {"w": jnp.full((3, 3), 0.2)})
    train(lambda p: ((jnp.tril(p["w"]) @ X - 1.0) ** 2).sum(), {"w": jnp.full((3, 3), -0.2)})


@clean
def units_that_are_dead_for_now() -> None:
    params = {"w": -jnp.ones((4, 3)), "out": jnp.ones(4), "c": jnp.array([0.1, -5.0, 0.2, -3.0])}
    train(lambda p: (p["out"] @ jax.nn.relu(p["w"] @ X + p["c"]) - 1.0) ** 2 + jnp.sum(p["w"] ** 2), params)


@clean
def clamp_that_nothing_touches() -> None:
    params = {"log_std": jnp.array([-0.5, 0.3]), "mean": jnp.zeros(2)}

    def loss(p: Any) -> jax.Array:
        log_std = jnp.clip(p["log_std"], -20.0, 2.0)
        return jnp.sum(0.5 * ((X[:2] - p["mean"]) * jnp.exp(-log_std)) ** 2 + log_std)

    train(loss, params)


@clean
def clipped_gradients_and_data() -> None:
    transform = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1))
    params = start()
    state = transform.init(params)
    for _ in range(3):
        g = jax.grad(squares)(params, jnp.clip(X, 0.6, 1.0))
        updates, state = transform.update(g, state, params)
        params = optax.apply_updates(params, updates)


@clean
def projected_after_the_step() -> None:
    params = {"x": jnp.array([0.9, 0.1, 0.5])}
    for _ in range(4):
        params = descend(params, jax.grad(lambda p: ((p["x"] - 1.5) ** 2).sum())(params), 0.4)
        params = {"x": project(iso.UnitInterval(), params["x"])}


@clean
def heads_in_turn() -> None:
    params = {"trunk": jnp.ones(3), "first": jnp.array(0.2), "second": jnp.array(0.3)}
    for step in range(4):
        head = "first" if step % 2 else "second"
        params = descend(params, jax.grad(lambda p, h=head: ((p["trunk"] * X * p[h] - 1.0) ** 2).sum())(params))


@clean
def adapted_inside_the_loss() -> None:
    inner = optax.sgd(0.1)

    @jax.jit
    def outer_loss(p: Any) -> jax.Array:
        updates, _ = inner.update(jax.grad(squares)(p, X), inner.init(p), p)
        return squares(optax.apply_updates(p, updates), 2 * X)

    train(outer_loss, start())


@clean
def micro_batches() -> None:
    params = start()
    for _ in range(3):
        total = jax.tree.map(jnp.zeros_like, params)
        for x in (X, 2 * X, -X):
            total = jax.tree.map(jnp.add, total, jax.grad(squares)(params, x))
        params = descend(params, total)


@clean
def optimizer_of_several_steps() -> None:
    transform = optax.MultiSteps(optax.adam(0.1), every_k_schedule=3)
    params = start()
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, state = transform.update(jax.grad(squares)(params, X), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(6):
        params, state = step(params, state)


@clean
def warmed_up_before() -> None:
    params = start()
    step = jax.jit(lambda p, x: descend(p, jax.grad(squares)(p, x)))
    for _ in range(3):
        step(params, X)  # compiles, and is timed
    for _ in range(3):
        params = step(params, X)


@clean
def gradient_is_checked_by_differences() -> None:
    params = start()
    for _ in range(3):
        g = jax.grad(squares)(params, X)
        ahead = squares(jax.tree.map(lambda p, d: p + 1e-2 * d, params, g), X)
        behind = squares(jax.tree.map(lambda p, d: p - 1e-2 * d, params, g), X)
        assert ahead > behind
        again = jax.grad(squares)(params, X)
        params = descend(params, again)


@clean
def average_of_the_parameters() -> None:
    params = start()
    average = params
    for _ in range(4):
        params = descend(params, jax.grad(squares)(params, X))
        average = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, average, params)
    assert float(squares(average, X)) > 0


@clean
def compiled_loop() -> None:
    transform = optax.adam(0.1)

    @jax.jit
    def run(params: Any) -> Any:
        def body(carry: Any, x: jax.Array) -> Any:
            params, state = carry
            value, g = jax.value_and_grad(squares)(params, x)
            updates, state = transform.update(g, state, params)
            return (optax.apply_updates(params, updates), state), value

        return jax.lax.scan(body, (params, transform.init(params)), jnp.stack([X, 2 * X, -X]))

    (params, _), _ = run(start())
    run(params)


@clean
def recurrent_remat_and_while() -> None:
    def loss(p: Any) -> jax.Array:
        cell = jax.checkpoint(lambda h, x: (jnp.tanh(p["u"] * h + p["v"] * x), None))
        h, _ = jax.lax.scan(cell, jnp.zeros(()), X)
        start, _ = jax.lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * 0.5, c[1] + 1), (jnp.ones(()), 0))
        return jax.lax.cond(start > 0.5, lambda: h**2, lambda: (h - p["w"]) ** 2)

    train(loss, {"u": jnp.array(0.3), "v": jnp.array(0.2), "w": jnp.array(0.1)})


@clean
def derivative_by_hand() -> None:
    @jax.custom_vjp
    def hard(x: jax.Array) -> jax.Array:
        return jnp.round(x)

    hard.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))
    train(lambda p: ((hard(p["w"]) - 1.7) ** 2).sum(), {"w": jnp.array([0.4, 2.3])})


@clean
def start_at_a_saddle() -> None:
    params = {"a": jnp.zeros(3), "b": jnp.zeros(3), "w": jnp.zeros(2)}
    train(lambda p: ((p["a"] * p["b"] * X - 1.0) ** 2).sum() + (p["w"] ** 2).sum(), params)


@clean
def stash_within_one_call() -> None:
    class Net:
        hidden: Any = None

        def __call__(self, p: Any, x: jax.Array) -> jax.Array:
            self.hidden = jnp.tanh(p["raw"] * x)
            return self.hidden.sum() + (p["b"] ** 2).sum()

    net = Net()

    @jax.jit
    def loss(p: Any) -> jax.Array:
        out = net(p, X)
        return out**2 + 0.1 * (net.hidden**2).sum()

    train(loss, start())


@clean
def linen_derives_in_setup() -> None:
    class Net(nn.Module):
        def setup(self) -> None:
            self.raw = self.param("raw", nn.initializers.normal(), (3,))
            self.scale = jax.nn.softplus(self.raw)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.scale * x

    net = Net()
    train(lambda v: ((net.apply(v, X) - 0.4) ** 2).sum(), net.init(jax.random.key(0), X))


@clean
def constrained_attribute() -> None:
    class Model(nnx.Module):
        x = Constrained(iso.UnitInterval())

        def __init__(self) -> None:
            self.x = jnp.array([0.2, 0.6, 0.9])

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.x * x

    model = Model()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(model, nnx.grad(lambda m: ((m(X) - 0.4) ** 2).sum())(model))


@clean
def constrained_tree() -> None:
    specs = {"p": iso.Simplex(), "s": iso.Positive()}
    raw = unconstrain({"p": jnp.array([0.2, 0.3, 0.5]), "s": jnp.array(2.0)}, specs)

    def loss(raw: Any) -> jax.Array:
        value = constrain(raw, specs)
        return jnp.sum((value["p"] * X * value["s"] - 0.4) ** 2)

    train(loss, raw)


@clean
def two_leaves_of_equal_start() -> None:
    w = jnp.array([0.3, -0.4, 0.5])
    train(lambda p: ((p["left"] * X - p["right"] - 0.3) ** 2).sum(), {"left": w, "right": w.copy()})


@flax.struct.dataclass
class Settings:
    bias: jax.Array
    gain: jax.Array
    keep: float = flax.struct.field(pytree_node=False, default=0.5)
    name: str = flax.struct.field(pytree_node=False, default="relu")


@clean
def static_settings() -> None:
    model = Settings(jnp.zeros(3), jnp.ones(3))
    train(lambda m: ((m.gain * X * m.keep + m.bias - 0.4) ** 2).sum(), model)


@clean
def integers_and_keys_among_them() -> None:
    params = {"w": jnp.ones(3), "step": jnp.array(0), "key": jax.random.key(0)}

    def loss(w: jax.Array, rest: Any) -> jax.Array:
        return ((w * (X + 0.1 * jax.random.normal(rest["key"], (3,))) - 0.5) ** 2).sum()

    for _ in range(3):
        rest = {name: value for name, value in params.items() if name != "w"}
        w = params["w"] - 0.1 * jax.grad(loss)(params["w"], rest)
        params = {"w": w, "step": params["step"] + 1, "key": jax.random.split(params["key"])[0]}


@dataclass
class Log:
    losses: list[float] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)


@clean
def loss_with_side_effects() -> None:
    log = Log()

    def loss(p: Any) -> jax.Array:
        log.shapes.append(p["raw"].shape)
        return squares(p, X)

    params = start()
    for _ in range(3):
        value, g = jax.value_and_grad(loss)(params)
        log.losses.append(float(value))
        params = descend(params, g)
    assert log.losses[-1] < log.losses[0]


@clean
def train_state_is_kept() -> None:
    state = TrainState.create(apply_fn=None, params=start(), tx=optax.adam(0.1))

    @jax.jit
    def step(state: TrainState, x: jax.Array) -> TrainState:
        return state.apply_gradients(grads=jax.grad(squares)(state.params, x))

    for _ in range(3):
        state = step(state, X)
    state = state.apply_gradients(grads=jax.grad(squares)(state.params, X))


@clean
def data_by_closure() -> None:
    data, target = X, X**2
    loss = jax.jit(lambda p: ((p["raw"] * data + p["b"] - target) ** 2).mean())
    train(loss, start())


@clean
def candidates_of_a_grid() -> None:
    params = start()
    step = jax.jit(lambda p, rate: jax.tree.map(lambda a, g: a - rate * g, p, jax.grad(squares)(p, X)))
    for _ in range(3):
        tried = [step(params, rate) for rate in (0.01, 0.1, 1.0)]
        params = min(tried, key=lambda p: float(squares(p, X)))


@clean
def largest_entry_alone() -> None:
    train(lambda p: jnp.max(p["w"]) ** 2 + 0.1 * jnp.sum(p["v"] ** 2) * jnp.max(jnp.abs(p["v"])), {"w": X, "v": -X})


@clean
def second_derivatives() -> None:
    def loss(w: jax.Array) -> jax.Array:
        slope = jax.grad(lambda x: jnp.sum(jnp.tanh(w * x)))(X)
        return jnp.sum((slope - 1.0) ** 2)

    train(loss, jnp.array([0.3, 0.4, 0.5]))
    jax.hessian(loss)(jnp.array([0.3, 0.4, 0.5]))


@clean
def state_is_made_anew_for_each_task() -> None:
    transform = optax.adam(0.1)
    params = start()
    fresh = transform.init(params)
    for task in range(3):
        state, own = fresh, params
        for _ in range(2):
            updates, state = transform.update(jax.grad(squares)(own, X + task), state, own)
            own = optax.apply_updates(own, updates)
        params = jax.tree.map(lambda a, b: 0.5 * a + 0.5 * b, params, own)


@clean
def plain_descent_has_no_state() -> None:
    transform = optax.sgd(0.1)
    params = start()
    state = transform.init(params)
    for _ in range(4):
        updates, _ = transform.update(jax.grad(squares)(params, X), state, params)
        params = optax.apply_updates(params, updates)
