"""The same for JAX: programs with a mistake that never raises, or raises late, and programs that look like them."""

JAX_HEAD = """
import dataclasses
import functools
import jax
import jax.numpy as jnp
import optax
import flax
import flax.linen as linen
import equinox as eqx
from flax import nnx
from flax.training import train_state
"""

JAX_BAD = {
    "script_with_a_global": """
params = {"w": jnp.zeros(3)}

@jax.jit
def predict(x):
    return params["w"] * x  # HERE jit-captured-param

for i in range(10):
    y = predict(jnp.ones(3))
    params = {"w": params["w"] - y}
""",
    "method_with_static_self": """
class Net:
    def __init__(self):
        self.w = jnp.zeros(3)

    @functools.partial(jax.jit, static_argnums=(0,))  # HERE jit-captured-param
    def apply(self, x):
        return self.w * x

    def fit(self, x):
        for _ in range(10):
            self.w = self.w - 0.1 * self.apply(x)
""",
    "nnx_model_in_a_closure": """
class Net(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.zeros(3))

    def __call__(self, x):
        return self.w * x

def train(x):
    net = Net()
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    predict = jax.jit(lambda x: net(x))  # HERE jit-captured-param
    for _ in range(3):
        grads = nnx.grad(lambda m: m(x).sum())(net)
        optimizer.update(net, grads)
        print(predict(x))
""",
    "eqx_derived_leaf": """
class Net(eqx.Module):
    log_scale: jax.Array
    scale: jax.Array

    def __init__(self, key):
        self.log_scale = jax.numpy.zeros(3)
        self.scale = jnp.exp(self.log_scale)  # HERE decoupled-derived-leaf

    def __call__(self, x):
        return x * self.scale
""",
    "nnx_derived_attribute": """
class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.raw = nnx.Param(jax.random.normal(rngs.params(), (3,)))
        self.weights = jax.nn.softmax(self.raw.value)  # HERE decoupled-derived-leaf

    def __call__(self, x):
        return x @ self.weights
""",
    "struct_created_with_both": """
@flax.struct.dataclass
class State:
    raw: jax.Array
    scale: jax.Array

def create():
    raw = jnp.full(3, -1.0)
    return State(raw=raw, scale=jax.nn.softplus(raw))  # HERE decoupled-derived-leaf
""",
    "struct_static_value": """
@flax.struct.dataclass
class State:
    raw: jax.Array
    scale: float = flax.struct.field(pytree_node=False)

def create():
    raw = jnp.zeros(())
    return State(raw, jnp.exp(raw).item())  # HERE static-field
""",
    "loss_with_outer_value": """
def fit(x):
    params = {"raw": jnp.zeros(3), "b": jnp.zeros(3)}
    weights = jax.nn.softmax(params["raw"])  # HERE zero-gradient-leaf

    def loss(p):
        return jnp.sum((weights * x + p["b"]) ** 2)

    return jax.value_and_grad(loss)(params)
""",
    "stopped_in_the_loss": """
def loss(params, x):
    scale = jnp.exp(jax.lax.stop_gradient(params["log_scale"]))  # HERE zero-gradient-leaf
    return jnp.sum((params["w"] * x / scale) ** 2)

def fit(x):
    params = {"log_scale": jnp.zeros(3), "w": jnp.ones(3)}
    for _ in range(10):
        grads = jax.grad(loss)(params, x)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    return params
""",
    "list_filled_while_tracing": """
seen = []

@jax.jit
def step(w, x):
    y = w * x
    seen.append(y)  # HERE leaked-tracer
    return y.sum()

def run(x):
    return step(jnp.ones(3), x)
""",
    "attribute_written_in_scan": """
class Model:
    def run(self, xs):
        def body(carry, x):
            carry = carry + x
            self.last = carry  # HERE leaked-tracer
            return carry, x
        return jax.lax.scan(body, jnp.zeros(3), xs)
""",
    "at_set_dropped": """
def reset(table, index):
    table.at[index].set(0.0)  # HERE dropped-update
    return table
""",
    "train_state_dropped": """
def train(state: train_state.TrainState, batches, loss):
    for batch in batches:
        grads = jax.grad(loss)(state.params, batch)
        state.apply_gradients(grads=grads)  # HERE dropped-update
    return state
""",
    "eqx_update_dropped": """
def train(model, grads, opt, state):
    updates, state = opt.update(grads, state)
    eqx.apply_updates(model, updates)  # HERE dropped-update
    return model, state
""",
}

JAX_CLEAN = {
    "params_through_partial_then_remade": """
def apply(params, x):
    return params["w"] * x

def train(x):
    params = {"w": jnp.zeros(3)}
    for _ in range(10):
        predict = jax.jit(functools.partial(apply, params))
        y = predict(x)
        params = {"w": params["w"] - y}
    return params
""",
    "static_self_with_settings": """
class Net:
    def __init__(self, depth):
        self.depth = depth
        self.table = jnp.arange(3.0)

    @functools.partial(jax.jit, static_argnums=(0,))
    def apply(self, params, x):
        return params["w"] * x * self.depth + self.table

    def fit(self, params, x):
        for _ in range(10):
            params = {"w": params["w"] - self.apply(params, x)}
        return params
""",
    "nnx_jit_with_the_model": """
class Net(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.zeros(3))
        self.count = nnx.Variable(jnp.array(0))

    def __call__(self, x):
        self.count[...] = self.count[...] + 1
        return self.w * x

@nnx.jit
def step(net, optimizer, x):
    grads = nnx.grad(lambda m: m(x).sum())(net)
    optimizer.update(net, grads)

def train(x):
    net = Net()
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(3):
        step(net, optimizer, x)
""",
    "linen_setup_and_compact": """
class Net(linen.Module):
    width: int = 3

    def setup(self):
        self.raw = self.param("raw", linen.initializers.zeros, (self.width,))
        self.scale = jax.nn.softplus(self.raw)
        self.inner = linen.Dense(self.width)

    def __call__(self, x):
        return self.inner(x) * self.scale

def train(x):
    net = Net()
    params = net.init(jax.random.key(0), x)
    loss = jax.jit(lambda p: net.apply(p, x).sum())
    for _ in range(3):
        params = jax.tree.map(lambda a, g: a - 0.1 * g, params, jax.grad(loss)(params))
    return params
""",
    "eqx_property_and_copy": """
class Net(eqx.Module):
    raw: jax.Array
    start: jax.Array
    size: int = eqx.field(static=True)

    def __init__(self, size):
        self.size = size
        self.raw = jnp.zeros(size)
        self.start = jnp.zeros_like(self.raw)

    @property
    def scale(self):
        return jax.nn.softplus(self.raw)

    def __call__(self, x):
        return x * self.scale
""",
    "nnx_params_from_params": """
class Net(nnx.Module):
    def __init__(self):
        self.a = nnx.Param(jnp.zeros(3))
        self.b = nnx.Param(jnp.exp(self.a.value))
        self.size = self.a.value.shape[0]

    def __call__(self, x):
        return self.a * x + self.b
""",
    "target_and_straight_through": """
def loss(params, target, x):
    q = params["w"] * x
    goal = jax.lax.stop_gradient(jnp.exp(target["w"]) * x)
    hard = params["b"] + jax.lax.stop_gradient(jnp.round(params["b"]) - params["b"])
    return jnp.mean((q - goal) ** 2) + jnp.mean(hard)

def fit(x):
    params = {"w": jnp.zeros(3), "b": jnp.zeros(3)}
    target = {"w": jnp.zeros(3)}
    for _ in range(5):
        grads = jax.grad(loss)(params, target, x)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        target = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, target, params)
    return params
""",
    "projection_after_the_step": """
def loss(p, x):
    return jnp.sum((p["x"] * x - 1.0) ** 2) + jnp.log(jnp.clip(jnp.sum(p["x"] ** 2), 1e-6, None))

def fit(x):
    p = {"x": jnp.full(3, 0.5)}
    for _ in range(10):
        g = jax.grad(loss)(p, x)
        p = {"x": jnp.clip(p["x"] - 0.1 * g["x"], 0.0, 1.0)}
    return p
""",
    "list_filled_outside": """
@jax.jit
def step(w, x):
    parts = []
    for i in range(3):
        parts.append(w * x[i])
    return jnp.stack(parts).sum()

def run(xs):
    history = []
    w = jnp.ones(3)
    for x in xs:
        value = step(w, x)
        history.append(value)
        w = w - 0.1 * value
    return history
""",
    "updates_used": """
def train(params, batches, loss):
    tx = optax.adam(1e-3)
    state = tx.init(params)

    @jax.jit
    def step(params, state, batch):
        grads = jax.grad(loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for batch in batches:
        params, state = step(params, state, batch)
    return params
""",
    "lazy_table_outside_of_jit": """
class Tables:
    def __init__(self):
        self.sines = None

    def get(self):
        if self.sines is None:
            self.sines = jnp.sin(jnp.arange(8.0))
        return self.sines

def run(tables: Tables, w):
    table = tables.get()
    return jax.jit(lambda w: (w * table).sum())(w)
""",
    "numpyro_like_objects": """
@dataclasses.dataclass(frozen=True)
class Config:
    width: int
    scale: float

def build(width):
    raw = 2.0
    return Config(width, float(jnp.exp(raw)))
""",
}

JAX_CLEAN["loss_by_an_unknown_function"] = """
def train(energy, x):
    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    slope = jax.jit(jax.value_and_grad(lambda p: jnp.mean(energy(p, x) ** 2)))
    for _ in range(10):
        loss, change = slope(params)
        params = jax.tree.map(lambda p, d: p - 0.5 * d, params, change)
    return params
"""
