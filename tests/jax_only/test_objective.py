"""as_loss on nnx and linen modules: what is a value, what is a variable, and that nothing else moves."""

import doctest
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.jax import as_loss, attach

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
BATCH = {"x": X}


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.first(x)))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.BatchNorm(use_running_average=False)(linen.Dense(5)(x))
        return linen.Dropout(0.3, deterministic=False)(x)


def cube(model, batch):
    return (model(batch["x"]) ** 3).mean()


def nnx_case():
    return as_loss(Nnx(nnx.Rngs(0)), cube)


def linen_variables():
    return Linen().init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, X)


CASES = {
    "nnx": nnx_case,
    "linen": lambda: as_loss(Linen(), cube, variables=linen_variables()),
    "bound linen": lambda: as_loss(Linen().bind(linen_variables()), cube),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def taken(request):
    return request.param()


def mean_of(variables):
    return next(array for name, array in variables.items() if name.endswith("mean"))


def test_names_of_nnx():
    module = Nnx(nnx.Rngs(0))
    attach(module, "first.kernel", iso.Positive(), start="project")
    values, loss = as_loss(module, cube)
    assert sorted(values) == ["first.bias", "first.kernel_raw", "norm.bias", "norm.scale"]
    assert sorted(loss.variables) == ["dropout.rngs.count", "dropout.rngs.key", "norm.mean", "norm.var"]
    assert loss.variables["dropout.rngs.key"].dtype == np.uint32


def test_names_of_linen():
    values, loss = CASES["linen"]()
    assert sorted(values) == ["BatchNorm_0.bias", "BatchNorm_0.scale", "Dense_0.bias", "Dense_0.kernel"]
    assert sorted(loss.variables) == ["batch_stats.BatchNorm_0.mean", "batch_stats.BatchNorm_0.var"]


def test_random_numbers_depend_on_seed_and_step_and_statistics_move(taken):
    values, loss = taken
    at = jax.jit(lambda seed, step: loss.advance(values, loss.variables, BATCH, seed, step), static_argnums=0)
    first, after = at(0, 1)
    assert float(at(0, 1)[0]) == float(first)
    assert len({float(first), float(at(0, 2)[0]), float(at(1, 1)[0])}) == 3
    assert np.abs(mean_of(after)).max() > 0
    assert np.abs(mean_of(loss.variables)).max() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variables_keep_shapes_and_dtypes_in_a_compiled_loop(taken, dtype):
    values, loss = taken
    with jax.enable_x64(dtype == "float64"), jax.numpy_dtype_promotion("standard"):
        wide = {name: array.astype(dtype) for name, array in values.items()}
        start = {n: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a for n, a in loss.variables.items()}

        def step(k, state):
            result, variables = loss.advance(wide, state[0], {"x": X.astype(dtype)}, 0, k)
            return variables, result

        after, result = jax.jit(lambda: jax.lax.fori_loop(0, 5, step, (start, jnp.zeros((), dtype))))()
        assert result.dtype == dtype
        assert {name: a.dtype for name, a in after.items()} == {name: a.dtype for name, a in start.items()}
        for name, count in after.items():
            assert not name.endswith("count") or int(count) == 5


def test_the_way_back_to_a_module(taken):
    values, loss = taken
    name = next(name for name in values if name.endswith("scale"))
    result = loss.module({**{n: np.asarray(a, np.float64) for n, a in values.items()}, name: np.full(5, 3.0)})
    if isinstance(result, nnx.Module):
        found, mean = result.norm.scale[...], result.norm.mean[...]
    else:
        found, mean = (result.variables[key]["BatchNorm_0"] for key in ("params", "batch_stats"))
        found, mean = found["scale"], mean["mean"]
    assert found.dtype == jnp.float32
    assert np.array_equal(found, np.full(5, 3.0))
    assert np.array_equal(mean, np.zeros(5))
    with pytest.raises(SpecError, match="the module needs"):
        loss.module({**values, name: np.ones(3)})
    with pytest.raises(SpecError, match=r"values must be a dict by name, got object; write loss\.module\(run\.values"):
        loss.module(object())


def test_pickle(taken):
    values, loss = taken
    again = pickle.loads(pickle.dumps(loss))
    assert float(again(values, BATCH)) == float(loss(values, BATCH))


def test_a_caller_that_goes_on_with_the_module_changes_nothing_here():
    module = Nnx(nnx.Rngs(0))
    values, loss = as_loss(module, cube)
    before = float(loss(values, BATCH))
    module(X)
    module.first.kernel[...] = module.first.kernel[...] + 1
    assert float(loss(values, BATCH)) == before


class Writing(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones(2))

    def __call__(self):
        self.w[...] = self.w[...] * 2.0
        return self.w[...].sum()


class Growing(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones(2))
        self.seen = nnx.Variable(jnp.ones(2))

    def __call__(self):
        self.seen.set_value(jnp.concatenate([self.seen[...]] * 2))
        return self.w[...].sum()


def called(module):
    values, loss = as_loss(module, lambda model, batch: model())
    loss(values, {})


REFUSED = {
    "no module": (lambda: as_loss(3, cube), "expected an nnx.Module or a linen Module"),
    "no callable": (lambda: as_loss(Nnx(nnx.Rngs(0)), 3), "must be a callable"),
    "nnx variables": (lambda: as_loss(Nnx(nnx.Rngs(0)), cube, variables={}), "is for linen"),
    "linen without": (lambda: as_loss(Linen(), cube), "needs variables=module.init"),
    "bound and variables": (lambda: as_loss(Linen().bind(linen_variables()), cube, variables={}), "holds its variables"),
    "nothing to train": (lambda: as_loss(nnx.Dropout(0.5, rngs=nnx.Rngs(0)), cube), "nothing is trained"),
    "written parameter": (lambda: called(Writing()), "writes to its nnx.Param 'w'"),
    "growing variable": (lambda: called(Growing()), "must keep its shape"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    with pytest.raises(SpecError, match=case[1]):
        case[0]()


def test_examples_of_the_docstrings():
    found = doctest.testmod(sys.modules["jax_impl.objective"])
    assert found.attempted > 5
    assert not found.failed
