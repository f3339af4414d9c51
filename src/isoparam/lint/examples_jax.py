"""Examples of the rules for JAX."""

from isoparam.lint.examples import Example

_HEAD = "import jax\nimport jax.numpy as jnp\n"
_LOSS = "\n\ndef loss(params, x):\n    {}\n\n\ndef train(x):\n    params = {{'raw': jnp.zeros(3), 'b': jnp.zeros(3)}}\n    return jax.grad(loss)(params, x)\n"

JAX: dict[str, Example] = {
    "SG501": Example(
        _HEAD
        + "\n\ndef train(x, steps):\n    params = {'raw': jnp.zeros(3)}\n\n    @jax.jit\n    def predict(x):\n        return params['raw'] * x\n\n"
        "    for _ in range(steps):\n        y = predict(x)\n        params['raw'] = params['raw'] - 0.1 * y\n    return params\n",
        "`jit` reads `params` when it traces, at the first call, and keeps the arrays as constants. Updates never reach it, in silence.",
        _HEAD
        + "\n\n@jax.jit\ndef predict(params, x):\n    return params['raw'] * x\n\n\ndef train(x, steps):\n    params = {'raw': jnp.zeros(3)}\n"
        "    for _ in range(steps):\n        y = predict(params, x)\n        params['raw'] = params['raw'] - 0.1 * y\n    return params\n",
        "What is read from outside never changes (a table), or the function is compiled anew after each change.",
    ),
    "SG502": Example(
        _HEAD
        + "import equinox as eqx\n\n\nclass Model(eqx.Module):\n    raw: jax.Array\n    scale: jax.Array\n\n    def __init__(self):\n        self.raw = jnp.zeros(3)\n"
        "        self.scale = jax.nn.softplus(self.raw)\n",
        "`scale` is a leaf of the pytree: it trains as a free parameter and leaves its set, while `raw` gets no gradient.",
        _HEAD
        + "import equinox as eqx\n\n\nclass Model(eqx.Module):\n    raw: jax.Array\n\n    def __init__(self):\n        self.raw = jnp.zeros(3)\n\n"
        "    @property\n    def scale(self):\n        return jax.nn.softplus(self.raw)\n",
        "The value is in an `nnx.Param` of its own, or is a plain copy (a starting value); `setup()` of `flax.linen` runs at each apply.",
    ),
    "SG503": Example(
        _HEAD
        + _LOSS.format(
            "scale = jax.lax.stop_gradient(jax.nn.softplus(params['raw']))\n    return jnp.mean((scale * x + params['b']) ** 2)"
        ),
        "The leaf reaches the loss through `stop_gradient` alone, or through a value that was computed outside of the function.",
        _HEAD + _LOSS.format("scale = jax.nn.softplus(params['raw'])\n    return jnp.mean((scale * x + params['b']) ** 2)"),
        "Another way carries the gradient (a target, straight-through); the leaf is named as frozen, or optax or equinox freeze it.",
    ),
    "SG504": Example(
        _HEAD
        + "import equinox as eqx\n\n\nclass Model(eqx.Module):\n    raw: jax.Array\n    scale: float = eqx.field(static=True)\n\n    def __init__(self):\n"
        "        self.raw = jnp.zeros(())\n        self.scale = float(jax.nn.softplus(self.raw))\n",
        "A static field belongs to the structure of the pytree: no update changes it, and `raw` gets no gradient.",
        _HEAD
        + "import equinox as eqx\n\n\nclass Model(eqx.Module):\n    raw: jax.Array\n\n    def __init__(self):\n        self.raw = jnp.zeros(())\n\n"
        "    @property\n    def scale(self):\n        return jax.nn.softplus(self.raw)\n",
        "The static field is no function of a leaf (sizes, names).",
    ),
    "SG505": Example(
        _HEAD
        + "\n\nclass Model:\n    def __init__(self):\n        self.kept = None\n\n    def scale(self, raw):\n        if self.kept is None:\n"
        "            self.kept = jax.nn.softplus(raw)\n        return self.kept\n\n\ndef train(raw):\n    model = Model()\n    return jax.jit(lambda r: model.scale(r).sum())(raw)\n",
        "While `jit` traces, `raw` is a tracer; stored on an object it outlives the trace, and its next use raises.",
        _HEAD
        + "\n\nclass Model:\n    def scale(self, raw):\n        return jax.nn.softplus(raw)\n\n\ndef train(raw):\n    model = Model()\n"
        "    return jax.jit(lambda r: model.scale(r).sum())(raw)\n",
        "The object is an argument of the traced function, or was made within it; what is stored is no array (shapes).",
    ),
    "SG506": Example(
        _HEAD
        + "import optax\n\n\ndef train(params, grads, state, optimizer):\n    updates, state = optimizer.update(grads, state, params)\n"
        "    optax.apply_updates(params, updates)\n    return params, state\n",
        "Arrays do not change in place: the updated parameters are the result, which is thrown away here.",
        _HEAD
        + "import optax\n\n\ndef train(params, grads, state, optimizer):\n    updates, state = optimizer.update(grads, state, params)\n"
        "    params = optax.apply_updates(params, updates)\n    return params, state\n",
        "The result is assigned or returned; `nnx.Optimizer.update` does change in place.",
    ),
}
