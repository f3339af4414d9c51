"""A user's own loop goes over: the state of a genuine torch.optim optimizer becomes one of optax, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import isoparam as iso
import isoparam.jax
import isoparam.torch
from isoparam.errors import CheckpointError, SpecError
from isoparam.handover import OptimizerState, moved

STEPS = 15
DRAWN = np.random.default_rng(2)
START = {"fc.weight": DRAWN.normal(0, 1, (2, 3)), "fc.bias": DRAWN.normal(0, 1, 2)}
NAMES, AXES = {"fc.weight": "fc.kernel"}, {"*.weight": (1, 0)}
BACK = {"fc.kernel": "fc.weight"}, {"fc.kernel": (1, 0)}
TARGET = DRAWN.normal(0, 1, (2, 3))
SPECS = {
    "sgd": iso.SGD(lr=0.05, momentum=0.9, weight_decay=0.01),
    "plain": iso.SGD(lr=0.05),
    "adam": iso.Adam(lr=0.05),
    "amsgrad": iso.Adam(lr=0.05, amsgrad=True),
    "adamw": iso.AdamW(lr=0.05, weight_decay=0.1),
    "nadam": iso.NAdam(lr=0.05),
    "radam": iso.RAdam(lr=0.05),
    "adamax": iso.Adamax(lr=0.05),
    "adagrad": iso.Adagrad(lr=0.05),
    "adadelta": iso.Adadelta(lr=0.5),
    "rmsprop": iso.RMSprop(lr=0.01, centered=True, momentum=0.9),
    "rprop": iso.Rprop(lr=0.01),
    "asgd": iso.ASGD(lr=0.05),
}
OPTAX = {
    "sgd": optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.05, momentum=0.9)),
    "plain": optax.sgd(0.05),
    "adam": optax.adam(0.05),
    "adamw": optax.adamw(0.05, weight_decay=0.1),
    "scheduled": optax.adam(optax.constant_schedule(0.05)),
}


def torch_loop(spec, params, steps, state=None):
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    optimizer = iso.torch.optimizer(spec, leaves)
    if state is not None:
        optimizer.load_state_dict(iso.torch.from_neutral(state, optimizer.state_dict(), leaves))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((leaves["fc.weight"] - torch.tensor(TARGET)) ** 2).sum() + (leaves["fc.bias"] ** 4).sum()
        loss.backward()
        optimizer.step()
    return {name: leaf.detach().numpy() for name, leaf in leaves.items()}, optimizer.state_dict(), leaves


def jax_loop(transform, params, steps, state=None):
    # optax's own transformations mix integers and floats
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        tree = {"fc": {name.partition(".")[2]: jnp.asarray(array) for name, array in params.items()}}
        current = transform.init(tree)
        if state is not None:
            current = iso.jax.from_neutral(state, current, tree)

        @jax.jit
        def step(tree, current):
            grads = jax.grad(lambda t: ((t["fc"]["kernel"].T - TARGET) ** 2).sum() + (t["fc"]["bias"] ** 4).sum())(tree)
            updates, current = transform.update(grads, current, tree)
            return optax.apply_updates(tree, updates), current

        for _ in range(steps):
            tree, current = step(tree, current)
        return {f"fc.{name}": np.asarray(array) for name, array in tree["fc"].items()}, current, tree


def transforms(name):
    ours = [iso.jax.optimizer(SPECS[name])] if name in SPECS else []
    return ours + ([OPTAX[name]] if name in OPTAX else [])


@pytest.mark.parametrize("name", [*SPECS, "scheduled"])
def test_a_loop_of_torch_goes_on_in_jax_and_back(name):
    spec = SPECS["adam" if name == "scheduled" else name]
    whole, _, _ = torch_loop(spec, START, 3 * STEPS)
    for transform in transforms(name):
        params, state, leaves = torch_loop(spec, START, STEPS)
        neutral = iso.torch.to_neutral(spec, state, leaves).moved(NAMES, AXES)
        params, state, tree = jax_loop(transform, moved(params, NAMES, AXES), STEPS, neutral)
        back = iso.jax.to_neutral(spec, state, tree).moved(*BACK)
        params, _, _ = torch_loop(spec, moved(params, *BACK), STEPS, back)
        for key, value in whole.items():
            assert np.max(np.abs(params[key] - value)) < 5e-13, (key, transform)


GROUPS = {"fc.bias": {"lr": 0.02, "momentum": 0.0}}
"""Of SGD with momentum: torch keeps no buffer for this parameter."""


def grouped_torch(start, steps, neutral=None):
    leaves = {name: torch.tensor(start[name], requires_grad=True) for name in START}  # in the order of the optimizer
    groups = [{"params": [leaves["fc.weight"]]}, {"params": [leaves["fc.bias"]], **GROUPS["fc.bias"]}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    if neutral is not None:
        optimizer.load_state_dict(iso.torch.from_neutral(neutral, optimizer.state_dict(), leaves))
    for _ in range(steps):
        optimizer.zero_grad()
        (((leaves["fc.weight"] - torch.tensor(TARGET)) ** 2).sum() + (leaves["fc.bias"] ** 4).sum()).backward()
        optimizer.step()
    return {name: leaf.detach().numpy() for name, leaf in leaves.items()}, optimizer.state_dict(), leaves


@pytest.mark.parametrize("plain", [False, True], ids=["ours", "optax"])
def test_groups_with_other_buffers_go_over(plain):
    """As optax.partition has them, of our transformations or of optax's own."""
    spec = iso.SGD(lr=0.05, momentum=0.9)
    whole, _, _ = grouped_torch(START, 30)
    params, state, leaves = grouped_torch(START, 10)
    neutral = iso.torch.to_neutral(spec, state, leaves, GROUPS).moved(NAMES, AXES)
    assert neutral.spec_of("fc.bias") == iso.SGD(lr=0.02)
    assert sorted(map(len, neutral.entries.values())) == [0, 1]  # SGD of torch counts no steps
    first, second = spec, neutral.spec_of("fc.bias")
    made = [optax.sgd(own.lr, momentum=own.momentum or None) if plain else iso.jax.optimizer(own) for own in (first, second)]
    transform = optax.partition(dict(zip("ab", made, strict=True)), {"fc": {"kernel": "a", "bias": "b"}})
    params, state, tree = jax_loop(transform, moved(params, NAMES, AXES), 10, neutral)
    back = iso.jax.to_neutral(spec, state, tree, GROUPS).moved(*BACK)
    assert sorted(back.entries["fc.bias"]) in ([], ["step"])
    params, _, _ = grouped_torch(moved(params, *BACK), 10, back)
    for key, value in whole.items():
        assert np.max(np.abs(params[key] - value)) < 5e-13, key
    if not plain:  # without the groups, a buffer is missing where updates were counted
        with pytest.raises(CheckpointError, match=r"'fc.bias' has the entries 'step'; SGD\(.* has 'momentum_buffer', 'step'"):
            iso.jax.to_neutral(spec, state, tree)


def test_sparse_adam_keeps_its_count_as_a_number():
    """torch's own is a number of Python, so that beta^step is in float64."""

    def run(steps, start, state=None):
        leaf = torch.nn.Parameter(start.clone())
        made = torch.optim.SparseAdam([leaf], lr=0.1)
        if state is not None:
            made.load_state_dict(iso.torch.from_neutral(state, made.state_dict(), {"w": leaf}))
        for _ in range(steps):
            leaf.grad = (2 * leaf.detach() - 0.3).to_sparse(1)
            made.step()
        return leaf.detach(), iso.torch.to_neutral(iso.SparseAdam(), made.state_dict(), {"w": leaf}), made

    start = torch.linspace(1, 2, 15, dtype=torch.float64).reshape(5, 3)
    whole, _, _ = run(30, start)
    half, state, _ = run(10, start)
    rest, _, made = run(20, half, state)
    assert torch.equal(rest, whole)
    assert [type(own["step"]) for own in made.state.values()] == [int]


def test_a_schedule_keeps_its_count_where_torch_counts_none():
    leaf = torch.ones(2, requires_grad=True)
    made = torch.optim.SGD([leaf], momentum=0.9)
    leaf.grad = torch.ones(2)
    made.step()
    neutral = iso.torch.to_neutral(iso.SGD(momentum=0.9), made.state_dict(), {"x": leaf})
    transform, params = optax.sgd(optax.linear_schedule(0.1, 0, 20), momentum=0.9), {"x": jnp.ones(2)}
    state = transform.init(params)
    for count in range(3):
        got = iso.jax.from_neutral(neutral, state, params)
        assert (int(got[1].count), got[0].trace["x"].tolist()) == (count, [1.0, 1.0])
        _, state = transform.update(params, state, params)


def test_a_buffer_that_was_never_used_is_none_in_torch():
    """A schedule begins with a momentum of 0."""
    late = iso.CyclicLR(1e-3, 0.1, step_size_up=3, base_momentum=0.9, max_momentum=0.0)
    params = {"x": jnp.ones(2)}
    transform = iso.jax.optimizer(iso.SGD(), schedule=late)
    _, state = transform.update(params, transform.init(params), params)
    assert iso.jax.to_neutral(iso.SGD(momentum=0.9), state, params).entries["x"] == {}
    _, state = transform.update(params, state, params)
    assert iso.jax.to_neutral(iso.SGD(momentum=0.9), state, params).entries["x"]["momentum_buffer"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", SPECS)
def test_the_state_itself_comes_back(name):
    _, state, leaves = torch_loop(SPECS[name], START, 3)
    neutral = iso.torch.to_neutral(SPECS[name], state, leaves)
    again = iso.torch.from_neutral(neutral, state, leaves)
    assert again["param_groups"] == state["param_groups"]
    for number, entries in state["state"].items():
        for entry, array in entries.items():
            if array is not None:
                assert torch.equal(torch.as_tensor(array), again["state"][number][entry])
                assert again["state"][number][entry].dtype == array.dtype
    there = neutral.moved(NAMES, AXES)
    for key, own in there.moved(*BACK).entries.items():
        assert all(np.array_equal(array, neutral.entries[key][entry]) for entry, array in own.items())
    assert all(own["exp_avg"].shape == (3, 2) for key, own in there.entries.items() if key == "fc.kernel" and "exp_avg" in own)


def test_named_parameters_need_no_order():
    module = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(module.named_parameters())
    module(torch.ones(3)).square().sum().backward()
    adam.step()
    params = dict(reversed(list(module.named_parameters())))
    entries = iso.torch.to_neutral(iso.Adam(), adam.state_dict(), params).entries
    assert {name: own["exp_avg"].shape for name, own in entries.items()} == {"weight": (2, 3), "bias": (2,)}


def adam_state():
    _, state, leaves = torch_loop(SPECS["adam"], START, 2)
    return state, leaves


def without(state, number, entry):
    return state | {
        "state": {n: {e: a for e, a in own.items() if (n, e) != (number, entry)} for n, own in state["state"].items()}
    }


def with_entry(state, number, entry, value):
    return state | {"state": {n: own | ({entry: value} if n == number else {}) for n, own in state["state"].items()}}


TORCH_FAULTS = {
    "cut": (
        lambda s, p: (with_entry(s, 0, "step", torch.tensor(3.7)), p),
        r"'step' of 'fc.weight' is 3.7.*whole and at least 0",
    ),
    "negative": (lambda s, p: (with_entry(s, 0, "step", torch.tensor(-3.0)), p), "'step' of 'fc.weight' is -3.0"),
    "nan": (lambda s, p: (with_entry(s, 1, "exp_avg", torch.full((2,), torch.nan)), p), "'exp_avg' of 'fc.bias' holds nan"),
    "missing": (lambda s, p: (without(s, 0, "exp_avg"), p), "state of 'fc.weight' has the entries 'exp_avg_sq', 'step'; Adam"),
    "no-step": (lambda s, p: (without(s, 1, "step"), p), "state of 'fc.bias' has the entries 'exp_avg', 'exp_avg_sq'; Adam"),
    "unknown": (
        lambda s, p: (with_entry(s, 0, "exp_inf", torch.ones(2, 3)), p),
        "has the entries 'exp_avg', 'exp_avg_sq', 'exp_i",
    ),
    "shape": (lambda s, p: (with_entry(s, 0, "exp_avg", torch.ones(3, 2)), p), r"'exp_avg' of 'fc.weight' has shape \(3, 2\)"),
    "number": (lambda s, p: (s | {"state": s["state"] | {7: {}}}, p), "a parameter 7 that is in none of its groups"),
    "fewer": (lambda s, p: (s, {"fc.bias": p["fc.bias"]}), "the optimizer has 2 parameters.*, and params are 'fc.bias'"),
}


@pytest.mark.parametrize(("change", "message"), TORCH_FAULTS.values(), ids=TORCH_FAULTS)
def test_a_state_of_torch_that_does_not_fit_is_refused(change, message):
    state, leaves = change(*adam_state())
    with pytest.raises(CheckpointError, match=message):
        iso.torch.to_neutral(iso.Adam(), state, leaves)


def test_states_of_optax_without_a_counterpart_are_refused():
    params = {"x": jnp.ones(2)}
    unknown = {
        "ScaleByAmsgradState": (iso.Adam(amsgrad=True), optax.amsgrad(0.1)),
        "ScaleByBeliefState": (iso.Adam(), optax.adabelief(0.1)),
        "ScaleByLionState": (iso.Adam(), optax.partition({"a": optax.lion(0.1)}, {"x": "a"})),
    }
    for name, (spec, transform) in unknown.items():
        with pytest.raises(CheckpointError, match=f"the state holds a {name}, which has no counterpart in torch"):
            iso.jax.to_neutral(spec, transform.init(params), params)
    with pytest.raises(CheckpointError, match=r"SGD\(.*\) has 'momentum_buffer'"):
        iso.jax.to_neutral(iso.SGD(momentum=0.9), optax.adam(0.1).init(params), params)
    neutral = iso.jax.to_neutral(iso.Adam(), optax.adam(0.1).init(params), params)
    with pytest.raises(CheckpointError, match=r"a part 'momentum_buffer' that Adam\(.*\) has not"):
        iso.jax.from_neutral(neutral, optax.sgd(0.1, momentum=0.9).init(params), params)
    with pytest.raises(CheckpointError, match="the state has no part for 'exp_avg'"):
        iso.jax.from_neutral(neutral, optax.sgd(0.1).init(params), params)
    with pytest.raises(CheckpointError, match=r"params has no 'x'|the state has no 'y'"):
        iso.jax.from_neutral(neutral, optax.adam(0.1).init({"y": jnp.ones(2)}), {"y": jnp.ones(2)})


AROUND = {
    "multi-steps": lambda: optax.MultiSteps(optax.adam(0.05), every_k_schedule=1).gradient_transformation(),
    "if-finite": lambda: optax.apply_if_finite(optax.adam(0.05), 3),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=0.05),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_stands_around_a_transformation_stays(name):
    spec = SPECS["adam"]
    whole, _, _ = torch_loop(spec, START, 3 * STEPS)
    params, state, leaves = torch_loop(spec, START, STEPS)
    neutral = iso.torch.to_neutral(spec, state, leaves).moved(NAMES, AXES)
    params, state, tree = jax_loop(AROUND[name](), moved(params, NAMES, AXES), STEPS, neutral)
    back = iso.jax.to_neutral(spec, state, tree).moved(*BACK)
    params, _, _ = torch_loop(spec, moved(params, *BACK), STEPS, back)
    for key, value in whole.items():
        assert np.max(np.abs(params[key] - value)) < 5e-13, key


def test_counts_that_differ_go_to_ours_and_have_no_place_in_optax():
    state, leaves = adam_state()
    state = with_entry(state, 1, "step", torch.tensor(5.0))
    neutral = iso.torch.to_neutral(iso.Adam(), state, leaves)
    tree = {"fc": {"weight": jnp.zeros((2, 3)), "bias": jnp.zeros(2)}}
    ours = iso.jax.from_neutral(neutral, iso.jax.optimizer(iso.Adam()).init(tree), tree)
    assert {name: int(step) for name, step in ours.step["fc"].items()} == {"weight": 2, "bias": 5}
    with pytest.raises(CheckpointError, match=r"'fc.weight' has had 2 updates and 'fc.bias' 5, but optax counts once"):
        iso.jax.from_neutral(neutral, optax.adam(0.1).init(tree), tree)


def test_moves_that_cannot_be_are_refused():
    state = OptimizerState(iso.SGD(momentum=0.9), {"a": {"momentum_buffer": np.zeros((2, 3))}, "b": {}})
    with pytest.raises(SpecError, match=r"names\['c'\]: there is no such parameter; there are: 'a', 'b'"):
        state.moved({"c": "d"})
    with pytest.raises(SpecError, match="two parameters would be called 'b'"):
        state.moved({"a": "b"})
    with pytest.raises(SpecError, match=r"axes\['z\*'\] matches no parameter"):
        state.moved(axes={"z*": (1, 0)})
    with pytest.raises(SpecError, match=r"axes of 'a': \(0, 0\) does not order the 2 axes"):
        state.moved(axes={"a": (0, 0)})
    with pytest.raises(SpecError, match=r"axes\['a'\]=1 must be the order of the axes there, such as \(1, 0\)"):
        state.moved(axes={"a": 1})
    with pytest.raises(SpecError, match="'a' is matched by two keys of axes"):
        state.moved(axes={"a": (1, 0), "*": (1, 0)})
    with pytest.raises(SpecError, match="Adafactor keeps rows and columns of a matrix apart"):
        OptimizerState(iso.Adafactor(), {"a": {}}).moved(axes={"a": (1, 0)})
    with pytest.raises(CheckpointError, match="LBFGS keeps one vector for all parameters"):
        iso.torch.to_neutral(iso.LBFGS(), torch.optim.LBFGS([x := torch.ones(1, requires_grad=True)]).state_dict(), {"x": x})
