"""Constrained and values on nnx.Module: reading, assigning, and everything nnx does with a module."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.jax import Constrained, forward, values


class Model(nnx.Module):
    x = Constrained(iso.Interval(0, 1))
    w = Constrained(iso.Simplex())

    def __init__(self, x=0.3):
        self.x = x
        self.w = jnp.asarray([0.2, 0.3, 0.5])
        self.lin = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    def __call__(self, a):
        return self.x * self.lin(a).sum() + jnp.square(self.w).sum()


class Blend(Model):
    x = Constrained(iso.Interval(0, 2))
    z = Constrained(iso.Positive())

    def __init__(self):
        super().__init__()
        self.z = 2.0


class Net(nnx.Module):
    def __init__(self):
        first = Model()
        self.layers = nnx.List([first, Model(0.6), first])
        self.bias = nnx.Param(jnp.zeros(2))


class Bare(nnx.Module):
    x = Constrained(iso.Interval(0, 1))


class Careful(nnx.Module):
    x = Constrained(iso.Positive())

    def __init__(self):
        self.x = 2.0
        self.y = 3.0

    def __setattr__(self, name, value):
        super().__setattr__(name, value + 1 if name == "y" else value)


class Misspelt(nnx.Module):
    x = Constrained(iso.Positive())

    @property
    def twice(self):
        return 2 * self.x_rwa


A = jnp.ones((3, 2))


def one(spec, start="value"):
    """A module class with a single constrained attribute."""

    class One(nnx.Module):
        x = Constrained(spec, start)

        def __init__(self, value):
            self.x = value

    return One


@pytest.fixture
def model():
    return Model()


def names(state):
    return [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]


def test_value_is_computed_from_the_leaf_at_every_read(model):
    assert type(model.x_raw) is nnx.Param
    assert model.x == forward(iso.Interval(0, 1), model.x_raw[...])
    model.x_raw[...] = jnp.zeros(())
    assert model.x.item() == 0.5
    assert names(nnx.state(model, nnx.Param)) == ["lin.bias", "lin.kernel", "w_raw", "x_raw"]


def test_jit_and_grad(model):
    grads = nnx.jit(nnx.grad(lambda m: m.x))(model)
    assert grads["x_raw"][...].item() == pytest.approx(0.3 * 0.7, rel=1e-6)
    value, grads = nnx.value_and_grad(lambda m: m(A))(model)
    assert value == model(A)
    assert nnx.jit(lambda m, a: m(a))(model, A) == pytest.approx(float(model(A)), rel=1e-6)


def test_assignment_in_jit_stays(model):
    leaf = model.x_raw

    @nnx.jit
    def assign(m, x):
        m.x = x

    assign(model, 0.75)
    assert model.x.item() == pytest.approx(0.75)
    assign(model, 1.5)  # outside: no number can be looked at
    assert np.isnan(model.x.item())
    assert model.x_raw is leaf


def test_split_merge_clone_deepcopy_pickle(model):
    graphdef, state = nnx.split(model)
    assert nnx.merge(graphdef, state)(A) == model(A)
    for twin in (
        nnx.merge(graphdef, copy.deepcopy(state)),
        nnx.clone(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert type(twin) is Model
        assert twin(A) == model(A)
        twin.x = 0.9
        assert model.x.item() == pytest.approx(0.3)
    other = Model(0.8)
    nnx.update(other, nnx.state(model))
    assert other.x == model.x
    params, rest = nnx.split(model, nnx.Param, ...)[1:]
    assert len(names(params)) == 4
    assert names(rest) == []


def test_how_a_value_was_assigned_does_not_change_the_structure():
    One = one(iso.Positive())
    a, b = One(1.0), One(1.0)
    a.x = jnp.asarray(2.0)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert nnx.graphdef(a) == nnx.graphdef(b)


def test_modules_made_under_vmap():
    @nnx.vmap
    def make(x):
        return Model(x)

    models = make(jnp.asarray([0.2, 0.6]))
    np.testing.assert_allclose(models.x, [0.2, 0.6], rtol=1e-6)
    outs = nnx.vmap(lambda m: m(A))(models)
    np.testing.assert_allclose(outs, [Model(0.2)(A), Model(0.6)(A)], rtol=1e-6)


def test_modules_made_under_jit_and_eval_shape():
    assert nnx.jit(lambda: Model(0.6))().x.item() == pytest.approx(0.6)
    assert nnx.eval_shape(lambda: Model(0.6)).x_raw.shape == ()


def test_repr_and_display(model, capsys):
    assert "x_raw=Param" in repr(model)
    nnx.display(model)
    assert "x_raw" in capsys.readouterr().out
    assert repr(Model.x) == "Constrained(Interval(low=0.0, high=1.0, link='sigmoid'))"
    assert repr(Constrained(iso.Real(), "raw")) == "Constrained(Real(), start='raw')"


OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1, weight_decay=0.1),
    "rmsprop": optax.rmsprop(0.1),
}


@pytest.mark.parametrize("tx", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_nnx_optimizer_trains_exactly_as_raw_optax(tx):
    model = one(iso.Interval(0, 1))(0.3)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.square(m.x - 0.9))(model))

    @jax.jit
    def raw_step(raw, state):
        grad = jax.grad(lambda raw: jnp.square(forward(iso.Interval(0, 1), raw) - 0.9))(raw)
        updates, state = tx.update(grad, state, raw)
        return optax.apply_updates(raw, updates), state

    raw = model.x_raw[...]
    state = tx.init(raw)
    for _ in range(20):
        with jax.numpy_dtype_promotion("standard"):  # optax divides by integer counts
            step(model, optimizer)
            raw, state = raw_step(raw, state)
        assert np.asarray(model.x_raw[...]).tobytes() == np.asarray(raw).tobytes()
    assert model.x.item() > 0.3


@pytest.mark.parametrize(
    "value",
    [0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), jnp.asarray(0.25)],
    ids=["float", "float32", "float64", "array", "jax array"],
)
def test_numbers_that_may_be_assigned(value):
    model = one(iso.Interval(0, 1))(value)
    assert model.x_raw.dtype == jnp.float32
    assert not model.x_raw[...].weak_type
    model.x = 0.75
    model.x = value
    assert model.x.item() == pytest.approx(0.25, rel=1e-6)


def test_float64_keeps_its_dtype_inside_and_outside_of_x64():
    with jax.enable_x64(True):
        model = one(iso.Interval(0, 1))(0.1)
        assert model.x_raw.dtype == jnp.float64
    assert model.x.dtype == jnp.float64
    assert model.x.item() == pytest.approx(0.1, rel=1e-15)
    model.x = 0.3
    assert model.x_raw.dtype == jnp.float64
    assert model.x.item() == pytest.approx(0.3, rel=1e-15)
    with jax.enable_x64(True):
        given = jnp.asarray([0.1, -5.0, 2.0])
    for start in ("project", np.array(0.25), np.random.default_rng(0)):
        made = one(iso.Positive(), start)(given)
        assert made.x.dtype == jnp.float64
    np.testing.assert_allclose(one(iso.Positive(), "project")(given).x, [0.1, 0.01 * np.log(2), 2.0], rtol=1e-13)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1, SpecError, "1 is an integer; write 1.0"),
        (True, SpecError, "boolean"),
        (np.int64(2), SpecError, "write 2.0"),
        (np.array([1, 2]), SpecError, "int64 is not floating"),
        (jnp.asarray(1), SpecError, "int32 is not floating"),
        (1j, SpecError, "got complex"),
        ("0.3", SpecError, "got str"),
        (None, SpecError, "got NoneType"),
        (nnx.Param(jnp.asarray(0.3)), SpecError, r"not an nnx\.Variable"),
        (nnx.BatchStat(jnp.asarray(0.3)), SpecError, r"not an nnx\.Variable"),
        (nnx.Dict(), SpecError, "got Dict"),
        (jnp.zeros(0), SpecError, "no entries"),
        (1.5, DomainError, "1.5 is not inside"),
        (1.0, DomainError, "1. is not inside"),
        (float("nan"), DomainError, "nan is not inside"),
    ],
    ids=[
        *("int", "bool", "numpy int", "ints", "int array", "complex", "str", "None", "Param", "BatchStat", "module"),
        *("empty", "outside", "border", "nan"),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_what_may_not_be_assigned(value, error, text, first):
    model = Bare()
    if not first:
        model.x = 0.5
    before = jax.tree.structure(model)
    with pytest.raises(error, match=r"^Bare\.x: .*" + text):
        model.x = value
    assert jax.tree.structure(model) == before
    assert "x" not in vars(model)
    if not first:
        assert model.x_raw[...].item() == 0.0


def test_another_shape_is_refused(model):
    with pytest.raises(SpecError, match=r"Model\.w: .*raw of shape \(3,\), but the leaf has \(2,\)"):
        model.w = jnp.full(4, 0.25)
    with pytest.raises(SpecError, match=r"Model\.w: .*no axis"):
        model.w = 0.5


def test_a_missing_leaf_is_reported_by_its_own_name():
    model = Bare()
    with pytest.raises(SpecError, match=r"Bare has no x_raw, .* self\.x = 0\.3"):
        _ = model.x
    model.x = 0.5
    del model.x_raw
    with pytest.raises(SpecError, match="Bare has no x_raw"):
        _ = model.x
    model.x = 0.25
    assert model.x.item() == pytest.approx(0.25)


def test_an_attribute_without_a_leaf_is_missing():
    model = Bare()
    assert not hasattr(model, "x")
    assert getattr(model, "x", None) is None
    model.x = 0.5
    assert hasattr(model, "x")


def test_a_misspelt_name_inside_a_property_is_reported_by_its_own_name():
    with pytest.raises(AttributeError, match="has no attribute 'x_rwa'"):
        _ = Misspelt().twice


def test_the_value_cannot_be_deleted(model):
    with pytest.raises(SpecError, match=r"Model\.x is computed and cannot be deleted; .*del module\.x_raw"):
        del model.x
    assert model.x.item() == pytest.approx(0.3)


def test_a_class_keeps_its_own_setattr():
    model = Careful()
    assert (model.y, round(model.x.item(), 6)) == (4.0, 2.0)
    with pytest.raises(SpecError, match=r"not an nnx\.Variable"):
        model.x = nnx.Param(jnp.asarray(1.0))


def test_one_constrained_serves_one_name():
    with pytest.raises((SpecError, RuntimeError)) as caught:  # Python 3.11 wraps errors of __set_name__

        class Twice(nnx.Module):
            x = y = Constrained(iso.Positive())

    cause = caught.value if isinstance(caught.value, SpecError) else caught.value.__cause__
    assert "is both 'x' and 'y'" in str(cause)


def test_a_constrained_without_a_name_is_refused():
    class Late(nnx.Module):
        pass

    Late.x, Late.y = Constrained(iso.Positive()), Constrained(iso.Interval(0, 1))  # would share one leaf
    with pytest.raises(SpecError, match="has no name; write x = Constrained"):
        Late().x = 0.5
    with pytest.raises(SpecError, match="has no name; write x = Constrained"):
        _ = Late().x


@pytest.mark.parametrize("spec", [iso.Positive, 0.3, None], ids=str)
def test_only_a_spec_constrains(spec):
    with pytest.raises(SpecError, match="expected a spec such as"):
        Constrained(spec)


def test_subclass_overrides_and_adds():
    blend = Blend()
    assert {name: round(value.sum().item(), 6) for name, value in values(blend).items()} == {"x": 0.3, "w": 1.0, "z": 2.0}
    blend.x = 1.5
    assert blend.x.item() == pytest.approx(1.5)


class TestStart:
    def test_raw(self):
        model = one(iso.Simplex(), "raw")(jnp.asarray([1.0, -2.0]))
        assert model.x_raw[...].tolist() == [1.0, -2.0]
        model.x = jnp.asarray([0.2, 0.3, 0.5])  # later assignments are values
        assert model.x.tolist() == pytest.approx([0.2, 0.3, 0.5])
        with pytest.raises(DomainError, match="not finite"):
            one(iso.Simplex(), "raw")(jnp.asarray([1.0, jnp.inf]))

    def test_project_moves_only_what_is_outside(self):
        model = one(iso.Positive(), "project")(jnp.asarray([-0.4, 0.0, 1e-6, 2.0]))
        border = iso.starts.MARGIN * np.log(2)
        assert model.x.tolist() == pytest.approx([border, border, 1e-6, 2.0], rel=1e-5)
        with pytest.raises(DomainError, match=r"-1\. at \(0,\) is not inside"):
            model.x = jnp.full(4, -1.0)

    @pytest.mark.parametrize(
        ("spec", "point", "value"),
        [
            (iso.Interval(0, 2), [-5.0, 9.0], [0.01, 1.99]),
            (iso.LessThan(3), [4.0, 1.0], [3 - 0.01 * np.log(2), 1.0]),
            (iso.Simplex(), [[2.0, 0.0], [0.25, 0.75]], [[0.995, 0.005], [0.25, 0.75]]),
            (iso.Simplex(axis=0), [[2.0, 0.25], [0.0, 0.75]], [[0.995, 0.25], [0.005, 0.75]]),
            (iso.Ordered(), [2.0, 1.0], [1.485, 1.485 + 0.01 * np.log(2)]),
        ],
        ids=str,
    )
    def test_project_of_every_kind(self, spec, point, value):
        with jax.enable_x64(True):
            model = one(spec, "project")(jnp.asarray(point))
            np.testing.assert_allclose(model.x, value, rtol=1e-12)

    def test_project_refuses_nan_and_works_under_jit(self):
        with pytest.raises(DomainError, match="not finite"):
            one(iso.Positive(), "project")(float("nan"))
        made = nnx.jit(one(iso.Positive(), "project"))(jnp.asarray(-1.0))
        assert made.x.item() == pytest.approx(0.01 * np.log(2), rel=1e-5)

    def test_generator(self):
        model = one(iso.Simplex(), np.random.default_rng(3))(jnp.zeros((5, 3)))
        expected = np.random.default_rng(3).standard_normal((5, 2)).astype(np.float32)
        np.testing.assert_array_equal(model.x_raw[...], expected)

    @pytest.mark.parametrize("start", [0.5, np.array([0.5]), jnp.asarray(0.5)], ids=["float", "numpy", "jax array"])
    def test_array(self, start):
        model = one(iso.Interval(0, 1), start)(jnp.zeros((2, 3)))
        assert model.x.tolist() == [[0.5] * 3] * 2

    @pytest.mark.parametrize(
        "start", ["values", 1, np.array([1]), jnp.asarray([1]), None], ids=["word", "int", "ints", "int array", "None"]
    )
    def test_unknown(self, start):
        with pytest.raises(SpecError, match="start="):
            Constrained(iso.Positive(), start)

    def test_array_of_another_shape(self):
        with pytest.raises(SpecError, match=r"start of shape \(2,\) does not broadcast"):
            one(iso.Positive(), np.ones(2))(1.0)


class TestValues:
    def test_nested_and_shared_once(self):
        assert list(values(Net())) == ["layers.0.x", "layers.0.w", "layers.1.x", "layers.1.w"]

    def test_all_parameters_once(self):
        net = Net()
        net.tied = net.bias
        assert list(values(net, include="all")) == [
            "bias",
            *(f"layers.{i}.{name}" for i in (0, 1) for name in ("x", "w", "lin.bias", "lin.kernel")),
        ]

    def test_the_order_and_the_name_of_a_shared_module_survive_jit(self):
        class Holder(nnx.Module):
            def __init__(self):
                self.late, self.early = Model(), Model()
                self.again = self.late

        holder = Holder()
        before = list(values(holder, include="all"))
        nnx.jit(lambda m: m.late.x)(holder)
        assert list(values(holder, include="all")) == before
        assert before[0] == "again.x"

    def test_parameters_in_plain_containers(self):
        class Holder(nnx.Module):
            def __init__(self):
                self.parts = nnx.data({"scale": nnx.Param(jnp.ones(1)), "model": Model()})

        assert list(values(Holder())) == ["parts.model.x", "parts.model.w"]
        assert "parts.scale" in values(Holder(), include="all")

    def test_detached(self, model):
        grads = nnx.grad(lambda m: values(m)["x"])(model)
        assert grads["x_raw"][...].item() == 0.0

    def test_unknown_include(self, model):
        with pytest.raises(SpecError, match="include='raw' must be 'constrained' or 'all'"):
            values(model, include="raw")
