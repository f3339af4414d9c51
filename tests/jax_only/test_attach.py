"""attach and detach: constrained parameters in flax's own layers, and everything nnx does with such layers."""

import copy
import doctest
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.jax import Constrained, attach, detach, forward, inverse, values

POSITIVE = iso.Positive()


def inputs(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def rngs():
    return nnx.Rngs(0)


class Tied(nnx.Module):
    def __init__(self):
        self.encoder = nnx.Linear(3, 3, rngs=rngs())
        self.decoder = nnx.Linear(3, 3, rngs=rngs())
        self.decoder.kernel = self.encoder.kernel

    def __call__(self, x):
        return self.decoder(jnp.tanh(self.encoder(x)))


def carried(module):
    return module(module.initialize_carry((4, 3), rngs=nnx.Rngs(1)), inputs(4, 3))[1]


LAYERS = {
    "linear": (lambda: nnx.Linear(3, 2, rngs=rngs()), ["kernel"], lambda m: m(inputs(4, 3))),
    "two names": (lambda: nnx.Linear(3, 2, rngs=rngs()), ["kernel", "bias"], lambda m: m(inputs(4, 3))),
    "conv": (lambda: nnx.Conv(2, 3, (3, 3), rngs=rngs()), ["kernel"], lambda m: m(inputs(4, 5, 5, 2))),
    "batchnorm": (lambda: nnx.BatchNorm(3, rngs=rngs()), ["scale"], lambda m: m(inputs(4, 3))),
    "layernorm": (lambda: nnx.LayerNorm(3, rngs=rngs()), ["scale"], lambda m: m(inputs(4, 3))),
    "groupnorm": (lambda: nnx.GroupNorm(4, num_groups=2, rngs=rngs()), ["scale", "bias"], lambda m: m(inputs(4, 5, 4))),
    "embed": (lambda: nnx.Embed(5, 3, rngs=rngs()), ["embedding"], lambda m: m(jnp.array([1, 2]))),
    "lstm cell": (lambda: nnx.LSTMCell(3, 4, rngs=rngs()), ["ii.kernel"], carried),
    "rnn": (
        lambda: nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=rngs()), rngs=nnx.Rngs(2)),
        ["cell.dense_h.kernel"],
        lambda m: m(inputs(2, 5, 3)),
    ),
    "attention": (
        lambda: nnx.MultiHeadAttention(2, 4, rngs=rngs(), decode=False),
        ["query.kernel", "out.kernel"],
        lambda m: m(inputs(2, 3, 4)),
    ),
    "nested": (
        lambda: nnx.Sequential(nnx.Linear(3, 3, rngs=rngs()), nnx.relu, nnx.Linear(3, 2, rngs=rngs())),
        ["layers.2.kernel"],
        lambda m: m(inputs(4, 3)),
    ),
    "tied": (Tied, ["decoder.kernel"], lambda m: m(inputs(4, 3))),
}
each_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


def attached(layer):
    make, names, call = layer
    module = make()
    for name in names:
        attach(module, name, POSITIVE, start="project")
    return module, names, call


def leaves(module):
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.Param))}


def plain_copy(layer, module):
    """The same layer without attachments, holding the same values."""
    plain = layer[0]()
    for name, value in values(module, include="all").items():
        found = leaves(plain)
        if name in found:  # a shared one has another first name in the sorted state
            found[name].set_value(value)
    return plain


def moved(module):
    """Every parameter a step further."""
    for leaf in leaves(module).values():
        leaf[...] = leaf[...] + 0.25


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b))


@each_layer
def test_forward_is_that_of_the_plain_layer_with_the_values(layer):
    module, _, call = attached(layer)
    assert same(call(module), call(plain_copy(layer, module)))
    moved(module)
    assert same(call(module), call(plain_copy(layer, module)))  # nothing is stale after an update


@each_layer
def test_gradients_of_raw_are_those_of_the_value_times_the_derivative(layer):
    module, _, call = attached(layer)
    plain = plain_copy(layer, module)

    def slopes(part):
        return leaves_of(nnx.grad(lambda m: (call(m) ** 3).sum())(part))

    expected = slopes(plain)
    raws = leaves(module)
    for name, slope in slopes(module).items():
        wanted = expected[name.removesuffix("_raw")]
        if name.endswith("_raw"):
            wanted = wanted * jax.nn.sigmoid(raws[name][...])  # the derivative of softplus
            assert np.abs(slope).sum() > 0
        np.testing.assert_allclose(slope, wanted, rtol=2e-5, atol=1e-6)


def leaves_of(state):
    return {".".join(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(state)}


@each_layer
def test_copies_of_every_kind_compute_the_same(layer):
    module, _, call = attached(layer)
    graph, state = nnx.split(module)
    for other in (copy.deepcopy(module), nnx.clone(module), nnx.merge(graph, state)):
        assert type(other) is type(module)
        assert same(call(other), call(module))
    assert nnx.split(nnx.clone(module))[0] == graph


PICKLED = [name for name in LAYERS if name not in ("lstm cell", "rnn", "nested")]


@pytest.mark.parametrize("name", PICKLED)  # the others hold a jitted function of jax, which nobody can pickle
def test_pickle_of_modules_and_of_graphs(name):
    module, _, call = attached(LAYERS[name])
    other = pickle.loads(pickle.dumps(module))
    assert type(other) is type(module)
    assert same(call(other), call(module))
    graph, state = nnx.split(module)
    again = pickle.loads(pickle.dumps(graph))
    assert again == graph
    assert same(call(nnx.merge(again, state)), call(module))


@each_layer
def test_jit_sees_every_update(layer):
    module, _, call = attached(layer)
    compiled = nnx.jit(call)
    for _ in range(2):
        np.testing.assert_allclose(compiled(module), call(module), rtol=2e-5, atol=2e-6)
        moved(module)
    assert not [name for name in leaves(module) if name in LAYERS["linear"][1]]


@each_layer
def test_class_and_order_stay(layer):
    module, names, _ = attached(layer)
    plain = layer[0]()
    assert isinstance(module, type(plain))
    assert type(module).__qualname__ == type(plain).__qualname__
    assert str(module).replace("_raw", "").splitlines()[0] == str(plain).splitlines()[0]
    shared = "tied" if type(plain) is Tied else ""
    expected = {f"{name}_raw" if name in names else name for name in leaves(plain)}
    assert shared or set(leaves(module)) == expected


@each_layer
def test_detach_bakes_the_value_in(layer):
    module, names, call = attached(layer)
    expected = call(module)
    for name in names:
        detach(module, name)
    plain = layer[0]()
    assert nnx.split(module, nnx.Param, ...)[0] == nnx.split(plain, nnx.Param, ...)[0]
    assert same(call(module), expected)
    nnx.update(module, nnx.state(plain))
    assert same(call(module), call(plain))


def test_vmap_and_grad_of_a_merged_state():
    module, _, call = attached(LAYERS["linear"])
    graph, params = nnx.split(module)
    rows = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(module, inputs(4, 3))
    np.testing.assert_allclose(rows, call(module), rtol=1e-6)
    slope = jax.jit(jax.grad(lambda p: call(nnx.merge(graph, p)).sum()))(params)
    assert float(jnp.abs(slope["kernel_raw"][...]).sum()) > 0


@jax.numpy_dtype_promotion("standard")  # optax divides by a whole number of steps
def test_nnx_optimizer_trains_as_optax_on_the_raw_leaves():
    module, _, call = attached(LAYERS["linear"])
    rule = optax.adam(0.05)
    optimizer = nnx.Optimizer(module, rule, wrt=nnx.Param)
    graph, params = nnx.split(nnx.clone(module), nnx.Param)  # a split alone would share its variables
    state = rule.init(params)

    def loss(m):
        return jnp.square(call(m) - 1.0).mean()

    for _ in range(20):
        optimizer.update(module, nnx.grad(loss)(module))
        slope = jax.grad(lambda p: loss(nnx.merge(graph, p)))(params)
        updates, state = rule.update(slope, state, params)
        params = optax.apply_updates(params, updates)
    for name, leaf in leaves_of(nnx.state(module, nnx.Param)).items():
        np.testing.assert_allclose(leaf, leaves_of(params)[name], rtol=1e-6, atol=1e-7)


def test_what_is_read_serves_as_array_and_as_variable_but_not_for_writing():
    module, _, _ = attached(LAYERS["linear"])
    kernel = module.kernel
    value = forward(POSITIVE, module.kernel_raw[...])
    assert isinstance(kernel, nnx.Variable)
    assert not isinstance(kernel, nnx.Param)
    for read in (kernel[...], kernel.get_value(), jnp.asarray(kernel), np.asarray(kernel)):
        assert same(read, value)
    assert (kernel.shape, kernel.dtype) == ((3, 2), jnp.float32)
    assert bool((kernel > 0).all() and (kernel >= 0).all() and not (kernel < 0).any() and not (kernel <= 0).any())
    assert same(inputs(4, 3) @ kernel, inputs(4, 3) @ value)
    assert same(-kernel, -value)
    before = nnx.state(nnx.Linear(3, 2, rngs=rngs()))
    writes = (lambda: kernel.set_value(value), lambda: kernel.__setitem__(..., 1.0), lambda: nnx.update(module, before))
    for write in writes:
        with pytest.raises(SpecError, match="writing into it would be lost"):
            write()
    module.kernel = jnp.full((3, 2), 0.7)
    np.testing.assert_allclose(module.kernel[...], 0.7, rtol=1e-6)
    np.testing.assert_allclose(module.kernel_raw[...], inverse(POSITIVE, module.kernel[...]), rtol=1e-5)


def test_tied_places_read_one_leaf_and_stay_tied():
    module = Tied()
    attach(module, "decoder.kernel", POSITIVE, start="project")
    assert module.encoder.kernel_raw is module.decoder.kernel_raw
    copied = nnx.clone(module)
    assert copied.encoder.kernel_raw is copied.decoder.kernel_raw
    assert len([name for name in leaves(module) if name.endswith("kernel_raw")]) == 1
    detach(module, "encoder.kernel")
    assert module.encoder.kernel is module.decoder.kernel
    assert bool((module.encoder.kernel[...] > 0).all())


def test_starts():
    layer = nnx.Linear(3, 2, rngs=rngs())
    numbers = layer.kernel[...]
    attach(layer, "kernel", POSITIVE, start="raw")
    assert same(layer.kernel_raw[...], numbers)
    detach(layer, "kernel")
    attach(layer, "kernel", POSITIVE)  # "value": all are inside now
    np.testing.assert_allclose(layer.kernel[...], forward(POSITIVE, numbers), rtol=1e-6)
    detach(layer, "kernel")
    attach(layer, "kernel", iso.Simplex(axis=0), start=1 / 3)
    assert layer.kernel_raw.shape == (2, 2)
    np.testing.assert_allclose(layer.kernel[...], np.full((3, 2), 1 / 3), rtol=1e-6)
    attach(layer, "bias", POSITIVE, start=np.random.default_rng(0))
    np.testing.assert_allclose(layer.bias_raw[...], np.random.default_rng(0).standard_normal(2), rtol=1e-6)


def test_project_moves_only_what_is_outside():
    layer = nnx.Linear(2, 1, rngs=rngs())
    layer.kernel[...] = jnp.asarray([[-1.0], [0.5]])
    attach(layer, "kernel", POSITIVE, start="project")
    assert float(layer.kernel[1, 0]) == pytest.approx(0.5, rel=1e-6)
    assert 0 < float(layer.kernel[0, 0]) < 0.1


def test_type_and_metadata_of_the_parameter_stay():
    layer = nnx.Linear(2, 2, rngs=rngs(), kernel_metadata={"tag": "first"})
    attach(layer, "kernel", POSITIVE, start="project")
    assert layer.kernel_raw.tag == "first"
    lora = nnx.LoRA(3, 2, 4, rngs=rngs())
    attach(lora, "lora_a", POSITIVE, start="project")
    assert type(lora.lora_a_raw) is nnx.LoRAParam
    with jax.enable_x64(True):
        wide = nnx.Linear(2, 2, rngs=rngs(), param_dtype=jnp.float64)
    attach(wide, "kernel", POSITIVE, start="project")
    assert wide.kernel_raw.dtype == np.float64


def test_class_is_shared_by_equal_attachments_in_any_order():
    first, second = (nnx.Linear(2, 2, rngs=rngs()) for _ in range(2))
    for layer, names in ((first, ("kernel", "bias")), (second, ("bias", "kernel"))):
        for name in names:
            attach(layer, name, iso.Interval(-2, 2))
    assert type(first) is type(second)
    assert nnx.split(first)[0] == nnx.split(second)[0]  # one compilation serves both
    detach(first, "bias")
    assert type(first) is not type(second)


def test_modules_with_own_constrained_and_modules_that_are_no_pytree():
    class Own(nnx.Module, pytree=False):
        x = Constrained(iso.Interval(0, 1))

        def __init__(self):
            self.x = 0.3
            self.w = nnx.Param(jnp.ones(2))
            self.names = ["a", jnp.ones(2)]  # only a module that is no pytree may hold this

    module = Own()
    attach(module, "w", POSITIVE)
    module.w = jnp.asarray([2.0, 3.0])
    module.names = ["b", jnp.ones(2)]
    assert sorted(values(module)) == ["w", "x"]
    np.testing.assert_allclose(values(module)["w"], [2.0, 3.0], rtol=1e-6)


class Listed(nnx.Module):
    def __init__(self):
        self.weight = nnx.Param(jnp.ones(2))
        self.kept = nnx.List([self.weight])


class Taken(nnx.Module):
    def __init__(self):
        self.weight = nnx.Param(jnp.ones(2))
        self.weight_raw = 3


class Doubled(nnx.Param):
    def get_value(self, **how):
        return 2 * super().get_value(**how)


class Hooked(nnx.Module):
    def __init__(self):
        self.weight = Doubled(jnp.ones(2))


class Dense(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x)


def twice():
    layer = nnx.Linear(2, 2, rngs=rngs())
    attach(layer, "kernel", POSITIVE, start="project")
    return layer


REFUSED = {
    "misspelt": (lambda: nnx.Linear(2, 2, rngs=rngs()), "kernal", "did you mean 'kernel'"),
    "misspelt path": (Tied, "encodr.kernel", "did you mean 'encoder'"),
    "twice": (twice, "kernel", "constrained already"),
    "raw leaf": (twice, "kernel_raw", "is the raw leaf"),
    "batch statistic": (lambda: nnx.BatchNorm(2, rngs=rngs()), "var", "but a BatchStat"),
    "kept in a list": (Listed, "weight", "holds the same parameter"),
    "entry of a list": (Listed, "kept.0", "entry of an nnx.List"),
    "name taken": (Taken, "weight", "has an attribute weight_raw already"),
    "get_value": (Hooked, "weight", "passes through hooks"),
    "linen": (Dense, "kernel", "for linen use constrain"),
    "abstract": (lambda: nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=rngs())), "kernel", "attach within the function"),
    "no module": (lambda: jnp.ones(2), "kernel", "expected an nnx.Module"),
    "no text": (lambda: nnx.Linear(2, 2, rngs=rngs()), 3, "must be a text"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    make, name, message = case
    module = make()
    before = type(module)
    with pytest.raises(SpecError, match=message):
        attach(module, name, POSITIVE, start="project")
    assert type(module) is before


def test_refused_values_and_specs_leave_the_module_alone():
    layer = nnx.Linear(2, 2, rngs=rngs())
    with pytest.raises(DomainError, match=r"attach 'kernel'.*start=\"project\""):
        attach(layer, "kernel", iso.GreaterThan(10))
    with pytest.raises(SpecError, match="expected a spec"):
        attach(layer, "kernel", "positive")
    with pytest.raises(SpecError, match="start="):
        attach(layer, "kernel", POSITIVE, start="nearest")
    with pytest.raises(SpecError, match="is not attached"):
        detach(layer, "kernel")
    assert type(layer) is nnx.Linear
    assert sorted(leaves(layer)) == ["bias", "kernel"]


def test_examples_of_the_docstrings():
    found = doctest.testmod(sys.modules["jax_impl.attach"])
    assert found.attempted > 6
    assert not found.failed
