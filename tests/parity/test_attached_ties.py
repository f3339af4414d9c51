"""A decoder whose weight is the transpose of the encoder's, in the frameworks' own layers: one leaf, read in both ways."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx

import isoparam as iso
import isoparam.jax as jax_side
import isoparam.torch as torch_side
from isoparam.errors import DomainError, SpecError

WEIGHT = np.array([[0.5, -1.0, 2.0], [0.25, 1.5, -0.75]])


class TorchCoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = (torch.nn.Linear(*sizes, bias=False, dtype=torch.float64) for sizes in ((3, 2), (2, 3)))
        with torch.no_grad():
            self.encoder.weight.copy_(torch.tensor(WEIGHT))

    def forward(self, x):
        return self.decoder(torch.tanh(self.encoder(x)))


class JaxCoder(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.encoder, self.decoder = (nnx.Linear(*sizes, use_bias=False, rngs=rngs) for sizes in ((3, 2), (2, 3)))
        self.encoder.kernel = nnx.Param(jnp.asarray(WEIGHT.T))

    def __call__(self, x):
        return self.decoder(jnp.tanh(self.encoder(x)))


class Torch:
    attach, detach, values, load_values = (
        staticmethod(verb) for verb in (torch_side.attach, torch_side.detach, torch_side.values, torch_side.load_values)
    )
    make, key, room = TorchCoder, "weight", 1e-12

    @staticmethod
    def leaves(module):
        return [name for name, _ in module.named_parameters()]

    @staticmethod
    def loss(module):
        return (module(torch.ones(1, 3, dtype=torch.float64)) ** 2).sum()

    @classmethod
    def slope(cls, module):
        leaves = list(module.parameters())
        (slope,) = torch.autograd.grad(cls.loss(module), leaves)
        return slope.numpy()


class Jax:
    attach, detach, values, load_values = (
        staticmethod(verb) for verb in (jax_side.attach, jax_side.detach, jax_side.values, jax_side.load_values)
    )
    make, key, room = JaxCoder, "kernel", 1e-5  # layers of flax compute in float32

    @staticmethod
    def leaves(module):
        return [".".join(path) for path, _ in nnx.to_flat_state(nnx.state(module, nnx.Param))]

    @staticmethod
    def loss(module):
        return jnp.sum(module(jnp.ones((1, 3))) ** 2)

    @classmethod
    def slope(cls, module):
        (slope,) = jax.tree.leaves(nnx.grad(cls.loss)(module))
        return np.asarray(slope)


each_side = pytest.mark.parametrize("side", [Torch, Jax], ids=["torch", "jax"])


def tied(side, first=None, then=None):
    """The coder with the decoder tied, constrained before that or after it."""
    module = side.make()
    if first is not None:
        side.attach(module, f"encoder.{side.key}", first, start="project")
    side.attach(module, f"decoder.{side.key}", iso.Tied(f"encoder.{side.key}", transpose=True), start="project")
    if then is not None:
        side.attach(module, f"encoder.{side.key}", then, start="project")
    return module


def pair(side, module):
    return (np.asarray(getattr(part, side.key)[...].tolist()) for part in (module.encoder, module.decoder))


ORDERS = {
    "plain": {},
    "constrained before": {"first": iso.Positive()},
    "constrained after": {"then": iso.Positive()},
    "vectors": {"first": iso.Simplex()},
    "matrices": {"then": iso.SpectralNorm()},
}
each_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


@each_side
@each_order
def test_the_decoder_is_the_transposed_encoder(side, order):
    module = tied(side, **order)
    encoder, decoder = pair(side, module)
    assert np.array_equal(encoder, decoder.T)
    assert len(side.leaves(module)) == 1
    assert order or np.array_equal(encoder, WEIGHT if side is Torch else WEIGHT.T)
    for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert side.loss(same) == side.loss(module)
        assert len(side.leaves(same)) == 1
    by_name = side.values(module, include="all")
    assert np.array_equal(by_name[f"decoder.{side.key}"], by_name[f"encoder.{side.key}"].T)


@each_side
def test_the_gradient_is_the_sum_over_both_places(side):
    x, w = np.ones((1, 3)), WEIGHT
    hidden = np.tanh(x @ w.T)
    out = 2 * hidden @ w
    expected = hidden.T @ out + ((out @ w.T) * (1 - hidden**2)).T @ x
    found = side.slope(tied(side))
    assert np.allclose(found if side is Torch else found.T, expected, rtol=0, atol=side.room)


@each_side
def test_untied_by_either_name(side):
    module = tied(side, first=iso.Positive())
    encoder, decoder = pair(side, module)
    side.detach(module, f"encoder.{side.key}")
    assert all(np.array_equal(*both) for both in zip(pair(side, module), (encoder, decoder), strict=True))
    assert len(side.leaves(module)) == 1  # the constraint is gone, the tie is not
    side.detach(module, f"decoder.{side.key}")
    assert sorted(side.leaves(module)) == [f"decoder.{side.key}", f"encoder.{side.key}"]
    assert all(np.array_equal(*both) for both in zip(pair(side, module), (encoder, decoder), strict=True))
    assert type(module.decoder) is type(side.make().decoder)


@each_side
def test_an_assignment_to_either_moves_both(side):
    module = tied(side, first=iso.Positive())
    setattr(module.decoder, side.key, np.full(getattr(module.decoder, side.key).shape, 0.5))
    assert all(np.allclose(numbers, 0.5, rtol=side.room) for numbers in pair(side, module))
    value = np.full(getattr(module.decoder, side.key).shape, 0.25)
    side.load_values(module, {f"encoder.{side.key}": value.T, f"decoder.{side.key}": value})
    assert all(np.allclose(numbers, 0.25, rtol=side.room) for numbers in pair(side, module))
    with pytest.raises(DomainError, match=r"its transpose has to obey Positive"):
        setattr(module.decoder, side.key, -value)


@each_side
def test_the_monitor_sees_one_parameter(side):
    from isoparam.sinks import Memory

    memory = Memory()
    module = tied(side, first=iso.Positive())
    package = torch_side if side is Torch else jax_side
    package.Monitor(module, sinks=[memory]).record()
    assert [name for name in memory.history if name.endswith(side.key)] in (
        [f"encoder.{side.key}"],
        [f"decoder.{side.key}"],
    )


@each_side
def test_what_cannot_be_tied_says_the_way_out(side):
    module = side.make()
    with pytest.raises(DomainError, match="start='project' takes those of 'encoder"):
        side.attach(module, f"decoder.{side.key}", iso.Tied(f"encoder.{side.key}", transpose=True))
    with pytest.raises(SpecError, match=r"has the shape .*; Tied\(to='encoder.*', transpose=True\) has"):
        side.attach(module, f"decoder.{side.key}", iso.Tied(f"encoder.{side.key}"), start="project")


def test_torch_compile_and_functional_call_and_state():
    module = tied(Torch, first=iso.Positive())
    x = torch.ones(1, 3, dtype=torch.float64)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), module(x), rtol=1e-12)
    raw = {"encoder.weight_raw": torch.zeros(2, 3, dtype=torch.float64)}
    called = torch.func.functional_call(module, raw, (x,))
    other = tied(Torch, first=iso.Positive())
    other.encoder.weight = np.full((2, 3), np.log(2))
    assert torch.allclose(called, other(x), rtol=1e-12)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


def test_nnx_split_jit_and_merge():
    module = tied(Jax, first=iso.Positive())
    same = nnx.merge(*nnx.split(module))
    assert Jax.loss(same) == Jax.loss(module)
    assert same.decoder.kernel_raw is same.encoder.kernel_raw
    assert np.allclose(nnx.jit(Jax.loss)(module), Jax.loss(module), rtol=Jax.room)


def test_the_parameters_of_a_linen_module_are_a_tree():
    class Coder(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = linen.Dense(2, use_bias=False, name="encoder")(x)
            return linen.Dense(3, use_bias=False, name="decoder")(jnp.tanh(hidden))

    constraints = {"params.decoder.kernel": iso.Tied("params.encoder.kernel", transpose=True)}
    coder, x = Coder(), jnp.ones((1, 3))
    variables = coder.init(jax.random.key(0), x)
    with pytest.raises(DomainError, match="to which it is tied; give the same numbers"):
        jax_side.unconstrain(variables, constraints)
    variables["params"]["encoder"]["kernel"] = jnp.asarray(WEIGHT.T)
    variables["params"]["decoder"]["kernel"] = variables["params"]["encoder"]["kernel"].T
    raw = jax_side.unconstrain(variables, constraints)
    assert raw["params"]["decoder"]["kernel"].shape == (0,)
    slope = jax.grad(lambda raw: jnp.sum(coder.apply(jax_side.constrain(raw, constraints), x) ** 2))(raw)
    assert np.allclose(slope["params"]["encoder"]["kernel"], Jax.slope(tied(Jax)), rtol=Jax.room)
