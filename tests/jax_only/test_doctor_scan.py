"""`scan` and `explain`, asked directly: what is meant to move, several losses, what JAX says in its own words."""

import functools
import linecache

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from isoparam.errors import SpecError
from isoparam.jax import doctor

X = jnp.linspace(0.5, 1.5, 3)


def stopped(p):
    return ((p["w"] * jax.lax.stop_gradient(p["base"]) * X - 0.5) ** 2).sum()


def params():
    return {"w": jnp.ones(3), "base": jnp.full(3, 0.4)}


def kinds(diagnosis):
    return [(finding.kind, finding.params) for finding in diagnosis]


def test_a_stopped_leaf_is_found_with_the_operation_that_stops_it():
    (finding,) = doctor.scan(stopped, params())
    assert (finding.rule, finding.attr, finding.params) == ("SG503", "base", ("base",))
    assert "stop_gradient" in finding.message
    assert finding.file == __file__
    assert "stop_gradient" in linecache.getline(finding.file, finding.line)
    assert finding.path[0] == "loss"
    assert "stop_gradient" in finding.path


@pytest.mark.parametrize(
    "trainable",
    [
        {"w": True, "base": False},
        ["w"],
        "w*",
        lambda name, value: name != "base",
        optax.multi_transform({"go": optax.sgd(0.1), "stay": optax.set_to_zero()}, {"w": "go", "base": "stay"}),
    ],
    ids=["tree of bools", "names", "pattern", "function", "optimizer"],
)
def test_what_is_said_to_stay_is_left_alone(trainable):
    assert not doctor.scan(stopped, params(), trainable=trainable)


def test_a_tree_of_bools_that_does_not_fit_is_refused():
    with pytest.raises(SpecError, match="no pytree of bools"):
        doctor.scan(stopped, params(), trainable={"other": True})


def test_an_optimizer_that_moves_everything_excuses_nothing():
    assert kinds(doctor.scan(stopped, params(), trainable=optax.adam(0.1))) == [("zero-gradient-leaf", ("base",))]


def test_a_name_may_say_that_a_leaf_stays():
    loss = lambda p: ((p["w"] - jax.lax.stop_gradient(p["target"]["w"])) ** 2).sum()  # noqa: E731
    assert not doctor.scan(loss, {"w": X, "target": {"w": 2 * X}})


def test_a_leaf_is_dead_only_if_no_loss_moves_it():
    losses = [lambda p: (p["a"] ** 2).sum(), lambda p: (p["b"] ** 2).sum()]
    both = {"a": X, "b": X}
    assert kinds(doctor.scan(losses[0], both)) == [("zero-gradient-leaf", ("b",))]
    assert not doctor.scan(losses, both)


def test_a_compiled_function_that_holds_the_parameters_is_told_from_one_that_takes_them():
    p = params()
    holds = jax.jit(lambda x: p["w"] * x)
    takes = jax.jit(lambda q, x: q["w"] * x + q["base"])
    assert kinds(doctor.scan(holds, {"w": p["w"]}, X)) == [("jit-captured-param", ("w",))]
    assert not doctor.scan(takes, p, X)


def test_the_compiled_function_may_be_older_than_the_parameters():
    p = params()
    holds = jax.jit(lambda x: p["w"] * x)
    holds(X)
    p["w"] = p["w"] + 1
    assert kinds(doctor.scan(holds, {"w": p["w"]}, X)) == [("jit-captured-param", ("w",))]


@pytest.mark.parametrize("simplified", [False, True])
def test_constants_are_found_where_jax_keeps_them(simplified):
    before = jax.config.jax_use_simplified_jaxpr_constants
    jax.config.update("jax_use_simplified_jaxpr_constants", simplified)
    try:
        p = params()
        apply = jax.jit(functools.partial(lambda q, x: (q["w"] * x).sum(), p))
        assert kinds(doctor.scan(apply, {"w": p["w"]}, X)) == [("jit-captured-param", ("w",))]
        assert not doctor.scan(lambda q: ((q["w"] - p["w"]) ** 2).sum(), {"w": p["w"]})
    finally:
        jax.config.update("jax_use_simplified_jaxpr_constants", before)


def test_the_fraction_of_dead_entries_is_told():
    (finding,) = doctor.scan(lambda p: (jnp.clip(p["x"], 0.0, 1.0) * X).sum(), {"x": jnp.array([1.2, 0.5, -3.0])})
    assert finding.rule == "SG507"
    assert "2 of 3 (67%)" in finding.message


def test_dead_entries_are_found_behind_jit_and_in_half_precision():
    loss = jax.jit(lambda p: jax.nn.relu6(p["x"]).sum())
    (finding,) = doctor.scan(loss, {"x": jnp.array([7.0, 2.0, -1.0], jnp.bfloat16)})
    assert "2 of 3" in finding.message


def test_only_what_wrt_names_is_meant_to_move_in_a_module():
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(X)
            self.seen = nnx.BatchStat(jnp.zeros(3))

    model = Model()
    assert not doctor.scan(lambda m: (m.w[...] ** 2).sum(), model)
    found = doctor.scan(lambda m: (m.w[...] ** 2).sum(), model, wrt=nnx.Variable)
    assert [finding.params for finding in found if "seen" in finding.attr] in ([("seen",)], [])
    assert (model.w[...] == X).all()


def test_a_loss_that_cannot_be_traced_is_explained():
    diagnosis = doctor.scan(lambda p: p["w"].sum() if p["w"][0] > 0 else 0.0, {"w": X})
    assert kinds(diagnosis) == [("concretized-tracer", ())]
    assert diagnosis.notes


def test_a_tracer_kept_by_an_object_is_named_with_its_class():
    class Model:
        cached = None

        def value(self, raw):
            if self.cached is None:
                self.cached = jax.nn.sigmoid(raw)
            return self.cached

    model = Model()
    jax.jit(lambda raw: model.value(raw).sum())(X)
    with pytest.raises(jax.errors.UnexpectedTracerError) as caught, doctor.explaining() as found:
        jax.jit(lambda raw: model.value(raw).mean())(X)
    assert found[0].rule == "SG505"
    assert found[0].attr == "model.cached" or found[0].attr == "Model.cached"
    assert "self.cached = jax.nn.sigmoid(raw)" in found[0].message
    assert "SG505" in caught.value.__notes__[-1]


@pytest.mark.parametrize(
    ("program", "advice"),
    [
        (lambda x: x if x[0] > 0 else -x, "jnp.where"),
        (lambda x: float(x[0]), "static_argnums"),
        (lambda x: list(range(x[0].astype(int))), "jnp.take"),
        (lambda x: x[x > 0], "jnp.where(mask"),
        (lambda x: __import__("numpy").sin(x), "jnp instead of np"),
    ],
    ids=["if", "float", "range", "mask", "numpy"],
)
def test_a_traced_value_used_as_a_number_is_explained(program, advice):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        jax.jit(program)(X)
    (finding,) = doctor.explain(caught.value)
    assert finding.rule == "SG509"
    assert advice in finding.fix
    assert finding.file == __file__


def test_another_exception_is_not_explained():
    assert not doctor.explain(ValueError("something else"))


def test_everything_is_put_back_after_watching():
    before = jax.jit, jax.grad, jax.value_and_grad, nnx.grad, nnx.jit, optax.apply_updates, jax.tree.map
    with doctor.watching():
        assert jax.jit is not before[0]
        with pytest.raises(SpecError, match="running already"), doctor.watching():
            pass
    assert before == (jax.jit, jax.grad, jax.value_and_grad, nnx.grad, nnx.jit, optax.apply_updates, jax.tree.map)


def test_a_watched_program_computes_the_same_numbers():
    def run():
        p = params()
        step = jax.jit(lambda q: jax.tree.map(lambda a, g: a - 0.1 * g, q, jax.grad(lambda r: (r["w"] * r["base"]).sum())(q)))
        for _ in range(3):
            p = step(p)
        return p

    alone = run()
    with doctor.watching() as found:
        watched = run()
    assert not found
    assert all((alone[name] == watched[name]).all() for name in alone)


def test_an_exception_passes_and_stays_in_the_diagnosis():
    with pytest.raises(jax.errors.TracerBoolConversionError), doctor.watching() as found:
        jax.jit(lambda x: x if x > 0 else -x)(1.0)
    assert kinds(found) == [("concretized-tracer", ())]
