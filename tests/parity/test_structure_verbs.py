"""What the structure specs do beyond the samples, in both backends at once: constants, ties, order, tolerance, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from isoparam.errors import DomainError, SpecError


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


SIDES = {"torch": (torch_side, torch.tensor), "jax": (jax_side, jnp.asarray)}
each_side = pytest.mark.parametrize(("side", "array"), SIDES.values(), ids=SIDES)


def numbers(result):
    return np.asarray(result)


@each_side
@pytest.mark.parametrize("batch", [(), (0,), (3, 2)], ids=str)
def test_a_fixed_value_has_no_raw(side, array, batch):
    spec = iso.Fixed([[1.0, 2.0, 3.0]])
    raw = array(np.zeros((*batch, 0)))
    value = side.forward(spec, raw)
    assert tuple(value.shape) == (*batch, 1, 3) == spec.value_shape((*batch, 0))
    np.testing.assert_array_equal(numbers(value), np.broadcast_to([[1.0, 2.0, 3.0]], value.shape))
    assert tuple(side.inverse(spec, value).shape) == (*batch, 0)
    assert tuple(side.log_abs_det(spec, raw).shape) == tuple(side.contains(spec, value).shape) == batch
    assert not numbers(side.log_abs_det(spec, raw)).any()
    np.testing.assert_array_equal(numbers(side.project(spec, 5 * value)), numbers(value))


@each_side
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_fixed_value_is_rounded_to_the_dtype(side, array, dtype):
    value = side.forward(iso.Fixed(0.1), array(np.zeros(0, dtype)))
    assert str(value.dtype).endswith(dtype)
    assert value.item() == np.dtype(dtype).type(0.1)
    assert side.contains(iso.Fixed(0.1), value)
    with pytest.raises(DomainError, match=r"misses the constant by 0\.1"):
        side.inverse(iso.Fixed(0.1), 2 * value)


@each_side
def test_composition_is_that_of_mathematics(side, array):
    x = array(np.array([0.3, -1.2]))
    inner = side.forward(iso.Affine(1, 2), x)
    np.testing.assert_allclose(
        side.forward(iso.Compose(iso.Positive(), iso.Affine(1, 2)), x), side.forward(iso.Positive(), inner), rtol=1e-15
    )
    nested = iso.Compose(iso.Positive(), iso.Compose(iso.Affine(1, 2), iso.Affine(-1, 3)))
    spread = iso.Compose(iso.Positive(), iso.Affine(1, 2), iso.Affine(-1, 3))
    for verb in ("forward", "log_abs_det"):
        np.testing.assert_array_equal(getattr(side, verb)(nested, x), getattr(side, verb)(spread, x))


COMPOSED = {
    "simplex of another sum": iso.Compose(iso.Affine(0, 2), iso.Simplex()),
    "simplex far away": iso.Compose(iso.Affine(100, 1e-3), iso.Simplex()),
    "ordered in an interval": iso.Compose(iso.Interval(0, 1), iso.Ordered()),
    "positive with a fixed product": iso.Compose(iso.Positive(link="exp"), iso.SumToZero()),
    "contrasts around a mean": iso.Compose(iso.Affine(3, 0.5), iso.SumToZero()),
    "bounded logits": iso.Compose(iso.Simplex(), iso.Interval(-3, 3)),
    "sphere": iso.Compose(iso.Affine(0, 2), iso.UnitVector()),
    "along the first axis": iso.Compose(iso.Interval(0, 1), iso.Ordered(axis=0)),
    "blocks": iso.Concatenate((iso.Simplex(), iso.Fixed([5.0]), iso.Ordered()), (3, 1, 2), axis=0),
    "rows": iso.Compose(iso.Affine(0, 2), iso.Stack((iso.Ordered(), iso.Positive()), axis=-2)),
}


def shape_of(spec):
    return {iso.Concatenate: (6, 4)}.get(type(spec), (2, 4))


@each_side
@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_come_back_as_they_were(side, array, name, dtype):
    spec = COMPOSED[name]
    raw = np.random.Generator(np.random.Philox(3)).normal(0, 1, spec.raw_shape(shape_of(spec))).astype(dtype)
    value = side.forward(spec, array(raw))
    assert numbers(side.contains(spec, value)).all()
    again = numbers(side.forward(spec, side.inverse(spec, value)))
    np.testing.assert_allclose(again, numbers(value), rtol=1e-13 if dtype == "float64" else 2e-5)


@each_side
@pytest.mark.parametrize("name", [name for name, spec in COMPOSED.items() if "log_abs_det" not in spec.absent])
def test_log_determinants_of_compositions(side, array, name):
    """Against the Jacobian of torch: of all entries, or of as many of the first as raw has, or of the surface."""
    spec = COMPOSED[name]
    shape = tuple(4 if axis in (-1, 1) else 1 for axis in (0, 1)) if spec.value_axes == (-1,) else shape_of(spec)
    if spec.value_axes == (0,):
        shape = (shape_of(spec)[0], 1)
    raw = np.random.Generator(np.random.Philox(4)).normal(0, 1, spec.raw_shape(shape))
    jacobian = (
        torch.func.jacrev(lambda x: torch_side.forward(spec, x).reshape(-1))(torch.tensor(raw)).reshape(-1, raw.size).numpy()
    )
    parts = str(spec)
    if "SumToZero" in parts:
        right = np.sum(np.log(np.linalg.svd(jacobian, compute_uv=False)))
    else:
        rows = np.flatnonzero(np.any(jacobian, axis=1))
        kept = [row for row in rows if not ("Simplex" in parts and row == 2 + ("Concatenate" not in parts))]
        right = np.linalg.slogdet(jacobian[kept]).logabsdet
    np.testing.assert_allclose(numbers(side.log_abs_det(spec, array(raw))).sum(), right, rtol=1e-12)


@each_side
def test_projection_of_a_similarity_is_exact_inside(side, array):
    spec = iso.Compose(iso.Affine(0.1, 0.3), iso.Interval(-1, 1))
    inside = np.array([0.1234, 0.3, -0.19])
    np.testing.assert_array_equal(numbers(side.project(spec, array(inside))), inside)
    np.testing.assert_allclose(numbers(side.project(spec, array(np.array([5.0, -5.0])))), [0.4, -0.2], rtol=1e-15)


@each_side
def test_gradients_do_not_touch_what_is_masked(side, array):
    spec = iso.Masked([[True, False], [False, True]], iso.GreaterThan([[1.0, 5.0], [5.0, 2.0]]), fill=[[0.0, 7.0], [8.0, 0.0]])
    assert spec.free == iso.GreaterThan([1.0, 2.0])
    value = side.forward(spec, array(np.zeros(2)))
    np.testing.assert_allclose(numbers(value), [[1 + np.log(2), 7], [8, 2 + np.log(2)]], rtol=1e-15)
    with pytest.raises(DomainError, match="misses the fill by 1"):
        side.inverse(spec, value + array(np.array([[0.0, 1.0], [0.0, 0.0]])))
    with pytest.raises(DomainError, match="a free entry is outside"):
        side.inverse(spec, value - array(np.array([[3.0, 0.0], [0.0, 0.0]])))


def test_concatenate_and_stack_are_those_of_torch():
    """The constraints of torch.distributions: the same blocks, each by its own map."""
    raw = torch.tensor([0.3, -1.2, 0.7, 0.4], dtype=torch.float64)
    one, two = torch.distributions.constraints.positive, torch.distributions.constraints.interval(-1.0, 2.0)
    theirs = torch.distributions.biject_to(torch.distributions.constraints.cat([one, two], dim=-1, lengths=[3, 1]))
    ours = iso.Concatenate((iso.Positive(link="exp"), iso.Interval(-1, 2)), (3, 1))
    torch.testing.assert_close(torch_side.forward(ours, raw), theirs(raw), rtol=1e-14, atol=0)
    lengths = theirs.log_abs_det_jacobian(raw, theirs(raw)).sum()
    torch.testing.assert_close(torch_side.log_abs_det(ours, raw), lengths, rtol=1e-14, atol=0)
    stacked = torch.distributions.biject_to(torch.distributions.constraints.stack([one, two], dim=-1))
    pairs = raw.reshape(2, 2)
    own = iso.Stack((iso.Positive(link="exp"), iso.Interval(-1, 2)))
    torch.testing.assert_close(torch_side.forward(own, pairs), stacked(pairs), rtol=1e-14, atol=0)


TREE = {"a": np.array([[1.0, 2.0, 3.0]]), "b": np.zeros(0), "c": np.zeros(0), "free": np.array([1.5])}
TIES = {"a": iso.Positive(), "b": iso.Tied("a"), "c": iso.Tied("b", transpose=True)}


@each_side
def test_a_tree_fills_in_what_is_tied(side, array):
    raw = {name: array(leaf) for name, leaf in TREE.items()}
    values = side.constrain(raw, TIES)
    np.testing.assert_array_equal(numbers(values["b"]), numbers(values["a"]))
    np.testing.assert_array_equal(numbers(values["c"]), numbers(values["a"]).T)
    back = side.unconstrain(values, TIES)
    assert {name: tuple(leaf.shape) for name, leaf in back.items()} == {name: leaf.shape for name, leaf in TREE.items()}
    alone = side.log_jacobian({"a": raw["a"]}, {"a": iso.Positive()})
    assert float(side.log_jacobian(raw, TIES)) == float(alone)
    with pytest.raises(DomainError, match="b: its value is not equal to 'a', to which it is tied"):
        side.unconstrain(values | {"b": values["b"] + 1}, TIES)
    with pytest.raises(SpecError, match=r"has the shape \(3, 1\), and the value has \(1, 3\)"):
        side.unconstrain(values | {"c": values["b"]}, TIES)
    with pytest.raises(SpecError, match="has no entries"):
        side.constrain(raw | {"b": raw["a"]}, TIES)
    with pytest.raises(SpecError, match="has no forward: its value is that of 'a'"):
        side.forward(iso.Tied("a"), raw["b"])


def test_the_gradient_of_a_tied_leaf_is_the_sum():
    def by_torch(raw):
        values = torch_side.constrain(raw, TIES)
        return (values["a"] ** 2).sum() + 3 * values["b"].sum() - (values["c"] @ values["c"].T).sum()

    def by_jax(raw):
        values = jax_side.constrain(raw, TIES)
        return (values["a"] ** 2).sum() + 3 * values["b"].sum() - (values["c"] @ values["c"].T).sum()

    def one(raw):
        a = torch_side.forward(iso.Positive(), raw)
        return (a**2).sum() + 3 * a.sum() - (a.T @ a).sum()

    leaves = {name: torch.tensor(leaf) for name, leaf in TREE.items()}
    grads = torch.func.grad(by_torch)(leaves)
    compiled = torch.compile(torch.func.grad(by_torch), fullgraph=True, backend="eager")(leaves)
    right = torch.func.grad(one)(leaves["a"])
    torch.testing.assert_close(grads["a"], right, rtol=1e-14, atol=0)
    torch.testing.assert_close(compiled["a"], right, rtol=1e-14, atol=0)
    theirs = jax.jit(jax.grad(by_jax))({name: jnp.asarray(leaf) for name, leaf in TREE.items()})
    np.testing.assert_allclose(theirs["a"], right.numpy(), rtol=1e-14)
    assert theirs["b"].shape == (0,) == tuple(grads["b"].shape)


class TorchModel(torch.nn.Module):
    x = torch_side.Constrained(iso.Positive())
    y = torch_side.Constrained(iso.Tied("x", transpose=True))
    w = torch_side.Constrained(iso.Tied("linear.weight"))
    lost = torch_side.Constrained(iso.Tied("nothing"))

    def __init__(self):
        super().__init__()
        self.x = np.array([[1.0, 2.0]])
        self.linear = torch.nn.Linear(2, 2)


class JaxModel(nnx.Module):
    x = jax_side.Constrained(iso.Positive())
    y = jax_side.Constrained(iso.Tied("x", transpose=True))
    w = jax_side.Constrained(iso.Tied("linear.kernel"))
    lost = jax_side.Constrained(iso.Tied("nothing"))

    def __init__(self):
        self.x = np.array([[1.0, 2.0]])
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("make", [TorchModel, JaxModel], ids=["torch", "jax"])
def test_a_tied_attribute_reads_the_other(make):
    model = make()
    np.testing.assert_allclose(model.y.tolist(), [[1.0], [2.0]], rtol=1e-6)
    assert tuple(model.w.shape) == (2, 2)
    model.x = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(model.y.tolist(), [[3.0], [4.0]], rtol=1e-6)
    with pytest.raises(
        SpecError, match=r"Model.y is Tied\(to='x', transpose=True\) and has no numbers of its own; .* self.x ="
    ):
        model.y = 1.0
    with pytest.raises(SpecError, match="has no 'nothing'"):
        _ = model.lost


CONSTANTS = {
    "float32": torch.tensor([1.0, 2.0]),
    "bfloat16": torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    "integers": torch.tensor([1, 2]),
    "detached": torch.nn.Parameter(torch.tensor([1.0, 2.0])).detach(),
    "jax": jnp.asarray([1.0, 2.0]),
    "jax bfloat16": jnp.asarray([1.0, 2.0], jnp.bfloat16),
}


@pytest.mark.parametrize("given", CONSTANTS.values(), ids=CONSTANTS)
def test_a_constant_comes_from_the_arrays_of_either_framework(given):
    assert iso.Fixed(given) == iso.Fixed([1.0, 2.0])
    assert iso.GreaterThan(given) == iso.GreaterThan([1.0, 2.0])


def test_a_constant_is_a_copy_and_loses_no_graph():
    given = torch.tensor([1.0, 2.0], dtype=torch.float64)
    fixed = iso.Fixed(given)
    given[0] = 9.0
    assert fixed == iso.Fixed([1.0, 2.0])
    with pytest.raises(SpecError, match=r"it requires grad: write \.detach\(\)"):
        iso.Fixed(torch.nn.Parameter(given))


def test_attached_ties_share_one_leaf():
    net = torch.nn.ModuleDict({"e": torch.nn.Linear(2, 2), "d": torch.nn.Linear(2, 2)})
    with pytest.raises(DomainError, match=r"takes those of .e\.weight"):
        torch_side.attach(net, "d.weight", iso.Tied("e.weight"))
    torch_side.attach(net, "e.weight", iso.Positive(), start="project")
    torch_side.attach(net, "d.weight", iso.Tied("e.weight"), start="project")
    assert [name for name, _ in net.named_parameters()] == ["e.weight_raw", "e.bias", "d.bias"]
    assert torch.equal(net["d"].weight, net["e"].weight)

    class Net(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.e, self.d = nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)

    other = Net()
    jax_side.attach(other, "e.kernel", iso.Positive(), start="project")
    jax_side.attach(other, "d.kernel", iso.Tied("e.kernel"), start="project")
    assert other.d.kernel_raw is other.e.kernel_raw
    assert (other.d.kernel[...] == other.e.kernel[...]).all()


SQUARE = iso.Masked([[True, False], [True, True]])
WRONG = {
    "several raws before the last": (
        lambda: iso.Compose(iso.UnitVector(), iso.Simplex()),
        "only the last part may be such a one",
    ),
    "a tie in a composition": (lambda: iso.Compose(iso.Tied("x"), iso.Real()), "cannot be a part"),
    "two axes": (lambda: iso.Compose(iso.Simplex(axis=0), iso.Simplex()), "let both act along the same ones"),
    "one part": (lambda: iso.Compose(iso.Real()), "give two or more specs"),
    "slices of different raw": (
        lambda: iso.Stack((iso.Simplex(), iso.Positive()), axis=-2).raw_shape((2, 3)),
        "use Concatenate, whose blocks may differ in size",
    ),
    "an axis of a block": (lambda: iso.Concatenate((iso.Simplex(axis=0),), (2,)), "has an axis of its own"),
    "sizes": (lambda: iso.Concatenate((iso.Simplex(),), (2, 3)), "must be 1 whole numbers above 0"),
    "a matrix block": (lambda: iso.Concatenate((iso.Symmetric(),), (2,)), "acts on no vector"),
    "bounds in a stack": (lambda: iso.Stack((iso.GreaterThan([1.0, 2.0]),)), "write one spec an entry"),
    "nan": (lambda: iso.Fixed([np.nan]), "must be finite"),
    "a constant of another shape": (lambda: iso.Fixed([1.0, 2.0]).raw_shape((3,)), "does not end in (2,)"),
    "a mask of numbers": (lambda: iso.Masked([1, 0]), "must be an array of booleans"),
    "nothing free": (lambda: iso.Masked([False]), "for a constant use Fixed(value)"),
    "a vector spec in a mask": (lambda: iso.Masked([True], iso.Simplex()), "must be scalar"),
    "bounds that miss the mask": (lambda: iso.Masked([True, True], iso.GreaterThan([1.0, 2.0, 3.0])), "do not broadcast"),
    "a fill of another shape": (lambda: iso.Masked([True], fill=[1.0, 2.0]), "fill of shape (2,) does not broadcast"),
    "raw of a mask": (lambda: SQUARE.value_shape((2,)), "does not end in (3,)"),
    "a tie to no name": (lambda: iso.Tied(3), "must be the name of another parameter"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_right_is_refused_by_name(make, message):
    with pytest.raises(SpecError) as caught:
        make()
    assert message in str(caught.value)


@each_side
def test_absent_verbs_say_why(side, array):
    bent = iso.Compose(iso.Positive(), iso.SumToZero())
    with pytest.raises(SpecError, match=r"has no log_abs_det: SumToZero\(axis=-1\) gives a set without an interior"):
        side.log_abs_det(bent, array(np.zeros(2)))
    with pytest.raises(SpecError, match=r"has no project: .* bends distances"):
        side.project(bent, array(np.ones(3)))
    with pytest.raises(SpecError, match="has several raws for each value"):
        side.log_abs_det(COMPOSED["sphere"], array(np.ones(3)))
