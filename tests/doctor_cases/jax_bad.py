"""Programs that train wrongly or raise, as people write them: {name: (kind, program)}. Each runs to its end."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

CASES: dict[str, tuple[str, Callable[[], None]]] = {}
X = jnp.linspace(0.5, 1.5, 3)


def bad(kind: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(program: Callable[[], None]) -> Callable[[], None]:
        CASES[program.__name__] = (kind, program)
        return program

    return add


def descend(params: Any, gradient: Any, rate: float = 0.1) -> Any:
    return jax.tree.map(lambda p, g: p - rate * g, params, gradient)


def squares(params: Any, x: jax.Array) -> jax.Array:
    return jnp.mean((jax.nn.sigmoid(params["raw"]) * x + params["b"] - 0.7) ** 2)


def start() -> dict[str, jax.Array]:
    return {"raw": jnp.array([0.1, -0.2, 0.3]), "b": jnp.zeros(3)}


@bad("jit-captured-param")
def method_compiled_in_init() -> None:
    class Net:
        def __init__(self) -> None:
            self.params = start()
            self.predict = jax.jit(self._predict)

        def _predict(self, x: jax.Array) -> jax.Array:
            return jax.nn.sigmoid(self.params["raw"]) * x

        def fit(self) -> None:
            for _ in range(3):
                self.params = descend(self.params, jax.grad(squares)(self.params, X))

    net = Net()
    before = net.predict(X)
    net.fit()
    assert (net.predict(X) == before).all()


WEIGHT = jnp.array([0.3, 0.4])


@bad("jit-captured-param")
def module_variable_reassigned() -> None:
    global WEIGHT
    forward = jax.jit(lambda x: WEIGHT * x)
    before = forward(2.0)
    WEIGHT = WEIGHT + 1.0
    assert (forward(2.0) == before).all()


@bad("jit-captured-param")
def step_differentiates_its_closure() -> None:
    params = start()

    @jax.jit
    def gradient(x: jax.Array) -> Any:
        return jax.grad(squares)(params, x)

    for _ in range(3):
        params = descend(params, gradient(X))


@bad("jit-captured-param")
def linen_variables_by_closure() -> None:
    model = nn.Dense(2)
    variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
    evaluate = jax.jit(lambda x: model.apply(variables, x).sum())
    before = evaluate(X[None])
    loss = lambda v: ((model.apply(v, X[None]) - 1.0) ** 2).sum()  # noqa: E731
    for _ in range(3):
        variables = descend(variables, jax.grad(loss)(variables))
    assert evaluate(X[None]) == before


@bad("jit-captured-param")
def nnx_jit_over_a_closed_model() -> None:
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    score = jax.jit(lambda x: jnp.sum(model(x)))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    before = score(X)
    for _ in range(3):
        optimizer.update(model, nnx.grad(lambda m: ((m(X) - 1.0) ** 2).sum())(model))
    assert score(X) == before


@dataclass
class Trainer:
    params: Any
    rate: float = 0.1


@bad("jit-captured-param")
def record_with_replaced_field() -> None:
    trainer = Trainer(start())

    @jax.jit
    def report(x: jax.Array) -> jax.Array:
        return squares(trainer.params, x)

    seen = []
    for _ in range(3):
        seen.append(float(report(X)))
        trainer.params = descend(trainer.params, jax.grad(squares)(trainer.params, X))
    assert len(set(seen)) == 1


@bad("jit-captured-param")
def one_of_two_leaves_is_captured() -> None:
    params = start()

    @jax.jit
    def loss(raw: jax.Array, x: jax.Array) -> jax.Array:
        return squares({"raw": raw, "b": params["b"]}, x)

    for _ in range(3):
        g = jax.grad(squares)(params, X)
        loss(params["raw"], X)
        params = descend(params, g)


@bad("jit-captured-param")
def static_model_argument() -> None:
    class Affine:
        def __init__(self) -> None:
            self.slope = jnp.array([1.0, 2.0, 3.0])

    @functools.partial(jax.jit, static_argnames="model")
    def apply(x: jax.Array, model: Affine) -> jax.Array:
        return model.slope * x

    model = Affine()
    before = apply(X, model=model)
    for _ in range(2):
        model.slope = model.slope - 0.5
        assert (apply(X, model=model) == before).all()


@bad("jit-captured-param")
def vmapped_partial() -> None:
    def one(params: Any, x: jax.Array) -> jax.Array:
        return (params["raw"] * x).sum()

    params = start()
    batched = jax.jit(jax.vmap(functools.partial(one, params)))
    for _ in range(3):
        batched(jnp.stack([X, X]))
        params = descend(params, jax.grad(squares)(params, X))


@bad("jit-captured-param")
def update_of_a_list_in_place() -> None:
    layers = [jnp.ones(3), jnp.full(3, 0.5)]

    @jax.jit
    def forward(x: jax.Array) -> jax.Array:
        for layer in layers:
            x = jnp.tanh(layer * x)
        return x

    def loss(layers: list[jax.Array]) -> jax.Array:
        return (layers[1] * layers[0] * X).sum()

    for _ in range(3):
        forward(X)
        layers[:] = descend(layers, jax.grad(loss)(layers))


@bad("decoupled-derived-leaf")
def scale_beside_its_log() -> None:
    log_scale = jnp.array([0.1, 0.2, -0.3])
    params = {"log_scale": log_scale, "scale": jnp.exp(log_scale)}
    for _ in range(3):
        params = descend(params, jax.grad(lambda p: ((p["scale"] * X - 0.2) ** 2).sum())(params))


@bad("decoupled-derived-leaf")
def factor_beside_its_matrix() -> None:
    free = jnp.array([[2.0, 0.3], [0.1, 1.5]])
    params = {"free": free, "cov": free @ free.T}
    loss = jax.jit(lambda p: jnp.linalg.slogdet(p["cov"])[1] + jnp.trace(p["cov"]))
    for _ in range(3):
        params = descend(params, jax.grad(loss)(params))


class Mixture(NamedTuple):
    logits: jax.Array
    weights: jax.Array


@bad("decoupled-derived-leaf")
def weights_of_a_mixture() -> None:
    logits = jnp.array([0.3, -0.1, 0.2])
    mixture = Mixture(logits, jax.nn.softmax(logits))

    @jax.jit
    def step(mixture: Mixture) -> Mixture:
        return descend(mixture, jax.grad(lambda m: jnp.sum(m.weights * X))(mixture))

    for _ in range(3):
        mixture = step(mixture)


@bad("decoupled-derived-leaf")
def two_nnx_params() -> None:
    class Model(nnx.Module):
        def __init__(self) -> None:
            self.raw = nnx.Param(jnp.array([0.1, 0.5, -0.4]))
            self.gain = nnx.Param(jax.nn.softplus(self.raw[...]))

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.gain[...] * x

    model = Model()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model: Model, optimizer: nnx.Optimizer) -> None:
        optimizer.update(model, nnx.grad(lambda m: ((m(X) - 0.2) ** 2).sum())(model))

    for _ in range(3):
        step(model, optimizer)


@bad("decoupled-derived-leaf")
def nnx_variable_of_another_kind() -> None:
    class Model(nnx.Module):
        def __init__(self) -> None:
            self.angle = nnx.Param(jnp.array([0.1, 0.5, -0.4]))
            self.table = nnx.Variable(jnp.sin(self.angle[...]))
            self.bias = nnx.Param(jnp.zeros(3))

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.table[...] * x + self.bias[...]

    model = Model()
    for _ in range(2):
        g = nnx.grad(lambda m: ((m(X) - 0.2) ** 2).sum())(model)
        nnx.update(model, descend(nnx.state(model, nnx.Param), g))


@flax.struct.dataclass
class Kernel:
    raw: jax.Array
    weight: jax.Array
    length: Any = flax.struct.field(pytree_node=False, default=None)


@bad("static-field")
def length_scale_is_no_node() -> None:
    raw = jnp.array(0.3)
    kernel = Kernel(raw, jnp.ones(3), float(jnp.exp(raw)))
    for _ in range(3):
        kernel = descend(kernel, jax.grad(lambda k: ((k.weight * X / k.length - 0.4) ** 2).sum())(kernel))


@bad("zero-gradient-leaf")
def derived_outside_of_the_loss() -> None:
    params = start()
    x = jax.nn.sigmoid(params["raw"])

    @jax.jit
    def loss(p: Any) -> jax.Array:
        return ((x * X + p["b"] - 0.7) ** 2).sum()

    for _ in range(3):
        params = descend(params, jax.grad(loss)(params))


@bad("zero-gradient-leaf")
def rounded_parameter() -> None:
    params = {"bits": jnp.array([3.2, 4.7]), "gain": jnp.array(0.5)}
    for _ in range(2):
        params = descend(params, jax.grad(lambda p: ((p["gain"] * jnp.round(p["bits"]) - 1.0) ** 2).sum())(params))


@bad("zero-gradient-leaf")
def threshold_by_comparison() -> None:
    params = {"gate": jnp.array([0.2, -0.1, 0.3]), "w": jnp.ones(3)}
    step = jax.jit(lambda p: descend(p, jax.grad(lambda q: ((q["w"] * (q["gate"] < X) - 0.5) ** 2).sum())(p)))
    for _ in range(3):
        params = step(params)


@bad("zero-gradient-leaf")
def bound_as_a_default() -> None:
    params = start()

    def loss(p: Any, raw: jax.Array = params["raw"]) -> jax.Array:
        return ((raw * X + p["b"] - 0.7) ** 2).sum()

    for _ in range(3):
        params = descend(params, jax.grad(loss)(params))


@bad("zero-gradient-leaf")
def whole_encoder_is_stopped() -> None:
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            hidden = nn.tanh(nn.Dense(4, name="encoder")(x))
            return nn.Dense(1, name="head")(jax.lax.stop_gradient(hidden))

    net = Net()
    params = net.init(jax.random.key(1), X)["params"]
    transform = optax.adam(0.1)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        g = jax.grad(lambda p: ((net.apply({"params": p}, X) - 1.0) ** 2).sum())(params)
        updates, state = transform.update(g, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(3):
        params, state = step(params, state)


@bad("zero-gradient-leaf")
def number_taken_out() -> None:
    params = {"temperature": jnp.array(0.7), "w": jnp.ones(3)}

    def loss(p: Any) -> jax.Array:
        return ((p["w"] * X / np.float32(jax.lax.stop_gradient(p["temperature"])) - 0.5) ** 2).sum()

    for _ in range(3):
        params = descend(params, jax.grad(loss)(params))


@bad("dead-entries")
def relu_of_the_parameter() -> None:
    params = {"w": jnp.array([-0.5, 0.4, -0.1, 0.2])}
    for _ in range(3):
        params = descend(params, jax.grad(lambda p: ((jax.nn.relu(p["w"]) - 0.3) ** 2).sum())(params))


@bad("dead-entries")
def scale_below_its_floor() -> None:
    params = {"scale": jnp.array([1e-4, 0.3]), "mean": jnp.zeros(2)}

    @jax.jit
    def step(p: Any) -> Any:
        def loss(q: Any) -> jax.Array:
            scale = jnp.maximum(q["scale"], 1e-2)
            return jnp.sum(((X[:2] - q["mean"]) / scale) ** 2 + jnp.log(scale))

        return descend(p, jax.grad(loss)(p), 1e-6)

    for _ in range(3):
        params = step(params)


@bad("dead-entries")
def where_cuts_half_away() -> None:
    weights = jnp.array([[0.3, -0.2], [-0.4, 0.9]])
    for _ in range(2):
        weights = descend(weights, jax.grad(lambda w: ((jnp.where(w > 0, w, 0.0) @ X[:2] - 1.0) ** 2).sum())(weights))


@bad("dropped-update")
def result_of_the_map_is_lost() -> None:
    params = start()

    def update(params: Any, gradient: Any) -> None:
        params = descend(params, gradient)

    for _ in range(3):
        update(params, jax.grad(squares)(params, X))


@bad("dropped-update")
def train_state_is_not_kept() -> None:
    state = TrainState.create(apply_fn=None, params=start(), tx=optax.sgd(0.1))
    for _ in range(3):
        state.apply_gradients(grads=jax.grad(squares)(state.params, X))


@bad("dropped-update")
def step_result_is_not_kept() -> None:
    params = start()
    transform = optax.sgd(0.1)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array) -> Any:
        updates, state = transform.update(jax.grad(squares)(params, x), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(4):
        step(params, state, X)


@bad("dropped-update")
def compiled_step_returns_the_old() -> None:
    params = start()
    transform = optax.adam(0.1)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, state = transform.update(jax.grad(squares)(params, X), state, params)
        optax.apply_updates(params, updates)
        return params, state

    for _ in range(3):
        params, state = step(params, state)


@bad("dropped-update")
def scan_carries_the_old() -> None:
    transform = optax.sgd(0.1)

    @jax.jit
    def train(params: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            params, state = carry
            value, g = jax.value_and_grad(squares)(params, X)
            updates, state = transform.update(g, state, params)
            optax.apply_updates(params, updates)
            return (params, state), value

        return jax.lax.scan(body, (params, transform.init(params)), length=4)

    train(start())


@bad("leaked-tracer")
def list_of_activations() -> None:
    kept = []

    @jax.jit
    def forward(x: jax.Array) -> jax.Array:
        kept.append(jnp.tanh(x))
        return kept[-1].sum()

    forward(X)
    with contextlib.suppress(jax.errors.UnexpectedTracerError):
        kept[0] + 1.0


@bad("leaked-tracer")
def cache_by_shape() -> None:
    tables: dict[Any, jax.Array] = {}

    def positions(x: jax.Array) -> jax.Array:
        if x.shape not in tables:
            tables[x.shape] = jnp.cos(jnp.arange(x.shape[0]) * 1.0)
        return tables[x.shape]

    first = jax.jit(lambda x: (positions(x) * x).sum())
    second = jax.jit(lambda x: (positions(x) + x).sum())
    first(X)
    with contextlib.suppress(jax.errors.UnexpectedTracerError):
        second(X)


@bad("leaked-tracer")
def lru_cached_basis() -> None:
    @functools.lru_cache
    def basis(size: int) -> jax.Array:
        return jnp.eye(size) * 2.0

    jax.jit(lambda x: basis(3) @ x)(X)
    with contextlib.suppress(jax.errors.UnexpectedTracerError):
        basis(3) @ X


@bad("leaked-tracer")
def statistics_kept_by_the_loss() -> None:
    class Model:
        mean: Any = None

        def loss(self, w: jax.Array) -> jax.Array:
            self.mean = (w * X).mean()
            return self.mean**2

    model = Model()
    jax.jit(jax.grad(model.loss))(X)
    with contextlib.suppress(jax.errors.UnexpectedTracerError):
        jnp.sin(model.mean)


@bad("leaked-tracer")
def nnx_counter_by_closure() -> None:
    model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    with contextlib.suppress(Exception):
        jax.jit(lambda x: model(x).sum())(jnp.stack([X, X]))


@bad("concretized-tracer")
def branch_on_a_value() -> None:
    @jax.jit
    def step(w: jax.Array) -> jax.Array:
        if (w > 1.0).any():
            w = w / 2.0
        return w

    with contextlib.suppress(jax.errors.TracerBoolConversionError):
        step(X)


@bad("concretized-tracer")
def numpy_inside() -> None:
    with contextlib.suppress(jax.errors.TracerArrayConversionError):
        jax.jit(lambda w: np.linalg.norm(np.asarray(w)))(X)


@bad("concretized-tracer")
def number_for_the_log() -> None:
    history = []

    @jax.jit
    def step(params: Any) -> Any:
        value, g = jax.value_and_grad(squares)(params, X)
        history.append(float(value))
        return descend(params, g)

    with contextlib.suppress(jax.errors.ConcretizationTypeError):
        step(start())


@bad("overridden-get-value")
def param_that_reads_as_its_softplus() -> None:
    class Positive(nnx.Param):
        def get_value(self, **options: Any) -> Any:
            return jax.nn.softplus(super().get_value(**options))

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.scale = Positive(jnp.array([0.2, 0.3]))

    model = Model()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(2):
        optimizer.update(model, nnx.grad(lambda m: (m.scale.get_value() ** 2).sum())(model))


@bad("dropped-update")
def state_of_the_optimizer_is_lost() -> None:
    params = start()
    transform = optax.adam(0.1)
    state = transform.init(params)
    for _ in range(4):
        updates, _ = transform.update(jax.grad(squares)(params, X), state, params)
        params = optax.apply_updates(params, updates)


@bad("dropped-update")
def compiled_step_forgets_its_state() -> None:
    params = start()
    transform = optax.sgd(0.1, momentum=0.9)
    state = transform.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, _ = transform.update(jax.grad(squares)(params, X), state, params)
        return optax.apply_updates(params, updates)

    for _ in range(5):
        params = step(params, state)


@bad("zero-gradient-leaf")
def derivative_by_hand_forgets_one() -> None:
    @jax.custom_jvp
    def scaled(x: jax.Array, scale: jax.Array) -> jax.Array:
        return x * scale

    @scaled.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return scaled(*primals), tangents[0] * primals[1]

    params = {"x": jnp.ones(3), "scale": jnp.full(3, 0.5)}
    for _ in range(3):
        params = descend(params, jax.grad(lambda p: ((scaled(p["x"], p["scale"]) - 2.0) ** 2).sum())(params))


@bad("zero-gradient-leaf")
def backward_by_hand_returns_zeros() -> None:
    @jax.custom_vjp
    def scaled(x: jax.Array, scale: jax.Array) -> jax.Array:
        return x * scale

    scaled.defvjp(lambda x, s: (x * s, s), lambda s, g: (g * s, jnp.zeros_like(s)))
    params = {"x": jnp.ones(3), "scale": jnp.full(3, 0.5)}
    step = jax.jit(lambda p: descend(p, jax.grad(lambda q: ((scaled(q["x"], q["scale"]) - 2.0) ** 2).sum())(p)))
    for _ in range(3):
        params = step(params)
