"""What a thousand ordinary steps do not show: missing gradients, lr 0, few bits, sparse rows, matrices, one step of LBFGS."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.experimental.sparse import BCOO

import isoparam as iso
import isoparam.jax
import isoparam.torch
from isoparam.errors import SpecError
from isoparam.optimizers import OPTIMIZERS
from jax_impl import optim as jax_optim
from parity.optimizer_runs import by_jax, by_torch, by_torch_twin, start_and_gradients
from parity.training import relative
from torch_impl import optim as torch_optim

FREE = [kind for kind in OPTIMIZERS if kind not in (iso.LBFGS, iso.Muon)]
each_kind = pytest.mark.parametrize("kind", FREE, ids=lambda kind: kind.__name__)
SHAPES = {"always": (3,), "sometimes": (2, 3), "never": (4,)}


def asked(kind):
    return kind(momentum=0.9, dampening=0.5) if kind is iso.SGD else kind()


@each_kind
def test_a_parameter_without_a_gradient_waits_and_its_step_with_it(kind):
    spec = asked(kind)
    start, gradients = start_and_gradients(np.float64, SHAPES, steps=6)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    genuine = torch_optim.optimizer(spec, leaves)
    with jax.enable_x64(True):
        params = {name: jnp.asarray(value) for name, value in start.items()}
        transform = jax_optim.optimizer(spec)
        state, update = transform.init(params), jax.jit(transform.update)
        for k in range(6):
            present = {name: gradients[name][k] for name in SHAPES if name == "always" or (name == "sometimes" and k in (1, 4))}
            for name, leaf in leaves.items():
                leaf.grad = torch.tensor(present[name]) if name in present else None
                if name in present and kind is iso.SparseAdam:
                    leaf.grad = leaf.grad.to_sparse(1)
            genuine.step()
            updates, state = update({name: present.get(name) for name in SHAPES}, state, params)
            params = optax.apply_updates(params, updates)
        for name, leaf in leaves.items():
            assert relative(params[name], leaf.detach().numpy()) < 1e-15, name
        assert np.array_equal(params["never"], start["never"])
        assert {name: int(count) for name, count in state.step.items()} == {"always": 6, "sometimes": 2, "never": 0}
    alone = torch_optim.init_state(spec, leaves["never"].detach())
    assert torch_optim.step(spec, leaves["never"], None, alone) == (leaves["never"], alone)


@pytest.mark.parametrize("kind", [kind for kind in FREE if kind is not iso.SparseAdam], ids=lambda kind: kind.__name__)
def test_with_lr_0_nothing_moves_but_what_moves_in_torch(kind):
    """Rprop's steps have a least size, which lr 0 does not change."""
    spec = kind(lr=0, weight_decay=0.1) if "weight_decay" in vars(kind()) else kind(lr=0)
    start, gradients = start_and_gradients(np.float64, {"x": (2, 3)}, steps=5)
    expected = by_torch(spec, start, gradients)["x"]
    assert np.array_equal(by_torch_twin(spec, start, gradients)["x"], expected)
    with jax.enable_x64(True):
        stepped, transformed = by_jax(spec, start, gradients, with_optax=True)
    assert np.array_equal(stepped["x"], expected)
    assert np.array_equal(transformed["x"], expected)
    assert kind is iso.Rprop or np.array_equal(expected[-1], start["x"])


@each_kind
def test_the_first_step_and_bfloat16(kind):
    """One step from the same numbers: rounded alike, to the 8 bits of the parameter."""
    spec = asked(kind)
    params, gradient = torch.linspace(-2, 2, 12).bfloat16().view(3, 4), torch.linspace(-1, 3, 12).bfloat16().view(3, 4)
    ours, theirs = jnp.asarray(params.float().numpy(), jnp.bfloat16), jnp.asarray(gradient.float().numpy(), jnp.bfloat16)
    after, state = jax.jit(jax_optim.step, static_argnums=0)(spec, ours, theirs, jax_optim.init_state(spec, ours))
    assert after.dtype == jnp.bfloat16
    assert int(state["step"]) == 1
    expected, _ = torch_optim.step(spec, params.clone(), gradient, torch_optim.init_state(spec, params))
    assert relative(after.astype(jnp.float32), expected.float().numpy()) <= 2**-8


def test_weight_decay_of_every_kind_is_that_of_torch():
    start, gradients = start_and_gradients(np.float64, {"x": (4,)}, steps=20)
    for kind in FREE:
        if "weight_decay" not in vars(kind()):
            continue
        spec = kind(weight_decay=0.3)
        with jax.enable_x64(True):
            stepped, _ = by_jax(spec, start, gradients, with_optax=False)
        expected = by_torch(spec, start, gradients)["x"]
        assert relative(stepped["x"], expected) < 1e-15, spec
        assert not np.allclose(expected, by_torch(kind(weight_decay=0.0), start, gradients)["x"], rtol=1e-6), spec


def embedding_gradients(steps=40):
    """Rows of an embedding of 7 rows, of which each step looks up four, some of them twice."""
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 6, (steps, 4))  # row 6 is never looked up
    return rows, rng.standard_normal((steps, 4, 3))


@pytest.mark.parametrize("form", ["step", "optax"])
def test_sparse_adam_of_an_embedding_is_that_of_torch(form):
    spec = iso.SparseAdam(lr=0.05)
    rows, values = embedding_gradients()
    start = np.random.default_rng(3).uniform(1, 2, (7, 3))
    leaf = torch.tensor(start, requires_grad=True)
    genuine = torch_optim.optimizer(spec, [leaf])
    with jax.enable_x64(True):
        params, transform = jnp.asarray(start), jax_optim.optimizer(spec)
        state = transform.init(params) if form == "optax" else jax_optim.init_state(spec, params)

        @jax.jit
        def move(params, state, row, value):
            gradient = BCOO((value, row[:, None]), shape=params.shape)
            if form == "step":
                return jax_optim.step(spec, params, gradient, state)
            updates, state = transform.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

        for row, value in zip(rows, values, strict=True):
            indices, entries = torch.tensor(row)[None], torch.tensor(value)
            leaf.grad = torch.sparse_coo_tensor(indices, entries, leaf.shape, check_invariants=True)
            genuine.step()
            params, state = move(params, state, jnp.asarray(row), jnp.asarray(value))
        assert relative(params, leaf.detach().numpy()) < 1e-14
        assert np.array_equal(params[6], start[6])


MATRICES = {"wide": (6, 11), "tall": (20, 5), "square": (8, 8)}
MUON = [iso.Muon(), iso.Muon(lr=0.01, nesterov=False, adjust_lr_fn="match_rms_adamw")]


@pytest.mark.parametrize("spec", MUON, ids=["nesterov", "match-rms"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_muon_is_close_to_torch(spec, dtype):
    """Products of bfloat16 matrices are summed in another order: measured 2.2e-5 of the parameters after 1000 steps."""
    start, gradients = start_and_gradients(dtype, MATRICES)
    expected = by_torch(spec, start, gradients)
    with jax.enable_x64(dtype is np.float64):
        stepped, transformed = by_jax(spec, start, gradients, with_optax=True)
    few = {name: array[:20] for name, array in gradients.items()}
    twin = by_torch_twin(spec, start, few)
    for name, path in expected.items():
        assert np.array_equal(twin[name], path[:20]), name
        assert 0 < relative(stepped[name], path) < 1e-4, name
        assert relative(transformed[name], stepped[name]) < 1e-4, name


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(iso.errors.SpecError, match=r"shape \(3,\) is no matrix"):
        jax_optim.optimizer(iso.Muon()).init(jnp.ones(3))


@pytest.mark.parametrize("kind", [iso.AdamW, iso.ASGD, iso.Adafactor])
def test_what_reads_the_parameters_says_that_it_needs_them(kind):
    made = jax_optim.optimizer(kind())
    with pytest.raises(iso.errors.SpecError, match=r"needs the parameters themselves; write update\(grads, state, params\)"):
        made.update(jnp.ones(2), made.init(jnp.ones(2)))


@each_kind
def test_the_optax_form_works_within_optax(kind):
    """Masked, chained and in a tree with leaves that are no arrays."""
    made = optax.chain(optax.clip(1.0), optax.masked(jax_optim.optimizer(asked(kind)), {"a": True, "b": False}))
    params = {"a": jnp.ones((2, 3)), "b": jnp.zeros(())}
    updates, _ = jax.jit(made.update)(params, made.init(params), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert updates["b"] == 0


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_one_update_of_lbfgs_is_one_step_of_torch(search):
    spec = iso.LBFGS(lr=1.0 if search else 0.1, max_iter=4, line_search_fn=search)

    def loss(xp, tree):
        return ((tree["a"] - 1) ** 4).sum() + xp.cosh(tree["b"] - tree["a"].sum())

    leaves = {"a": torch.tensor([0.3, -0.8], dtype=torch.float64), "b": torch.tensor(0.4, dtype=torch.float64)}
    genuine = torch_optim.optimizer(spec, {name: leaf.requires_grad_() for name, leaf in leaves.items()})

    def closure():
        genuine.zero_grad()
        value = loss(torch, leaves)
        value.backward()
        return value

    with jax.enable_x64(True):
        params = {name: jnp.asarray(leaf.detach().numpy()) for name, leaf in leaves.items()}
        transform, value_fn = jax_optim.optimizer(spec), lambda tree: loss(jnp, tree)
        assert isinstance(transform, optax.GradientTransformation)
        state = transform.init(params)
        move = jax.jit(lambda grad, state, params: transform.update(grad, state, params, value_fn=value_fn))
        for _ in range(6):
            genuine.step(closure)
            updates, state = move(jax.grad(value_fn)(params), state, params)
            params = optax.apply_updates(params, updates)
            for name, leaf in leaves.items():
                assert relative(params[name], leaf.detach().numpy()) < 1e-8, name


def test_lbfgs_of_one_move_needs_no_loss_and_of_several_says_so():
    params, grads = jnp.ones(2), jnp.array([1.0, -3.0])
    single = jax_optim.optimizer(iso.LBFGS(lr=0.1, max_iter=1))
    updates, _ = single.update(grads, single.init(params), params)
    assert np.allclose(updates, -0.1 * grads / 4)  # the very first move is of length 1 in the 1-norm, times lr
    several = jax_optim.optimizer(iso.LBFGS())
    with pytest.raises(iso.errors.SpecError, match=r"moves several times; write update\(grads, state, params, value_fn=loss\)"):
        several.update(grads, several.init(params), params)


@pytest.mark.parametrize("kind", [iso.Adam, iso.LBFGS], ids=lambda kind: kind.__name__)
def test_what_holds_no_real_floating_numbers_is_refused_by_name(kind):
    transform = iso.jax.optimizer(kind())
    with pytest.raises(SpecError, match=r"the parameter \['a'\]\['b'\] is complex64, .*; split it into its real and imaginary"):
        transform.init({"a": {"b": jnp.array([1j, 2j])}})
    with pytest.raises(SpecError, match=r"the parameter itself is int32, .*; make it floating, or leave it out"):
        transform.init(jnp.arange(3))


def test_complex_parameters_in_two_parts_are_those_of_torch():
    transform = optax.contrib.split_real_and_imaginary(iso.jax.optimizer(iso.Adam(lr=0.1)))
    params, leaf = jnp.array([1 + 1j]), torch.ones(1, dtype=torch.complex64) * (1 + 1j)
    state, made = transform.init(params), torch.optim.Adam([leaf.requires_grad_()], lr=0.1)
    for _ in range(3):
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies by 1j
            updates, state = transform.update(jnp.array([1 + 2j]), state, params)
        params = params + updates
        leaf.grad = torch.tensor([1 + 2j])
        made.step()
    assert abs(complex(params[0]) - leaf.item()) < 1e-6


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_step_itself_is_public(backend):
    """Of one array, in torch's order of operations."""
    facade, array = (iso.torch, torch.tensor) if backend == "torch" else (iso.jax, jnp.asarray)
    spec, leaf = iso.AdamW(lr=0.1), torch.tensor([1.0, -2.0], requires_grad=True)
    made, params = torch.optim.AdamW([leaf], lr=0.1), array([1.0, -2.0])
    state = facade.init_state(spec, params)
    for _ in range(5):
        made.zero_grad()
        (leaf**2).sum().backward()
        made.step()
        params, state = facade.step(spec, params, 2 * params, state)
    assert np.max(np.abs(np.asarray(params) - leaf.detach().numpy())) < 5e-7
    with pytest.raises(SpecError, match=r"step: LBFGS\(.* is no optimizer that needs nothing but the gradient"):
        facade.step(iso.LBFGS(), params, params, state)
    with pytest.raises(SpecError, match=r"the parameter is .*int"):
        facade.init_state(spec, array([1, 2]))
