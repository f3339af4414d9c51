"""Optimizers are data in torch's words, and refuse what torch refuses."""

from dataclasses import replace

import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.optimizers import OPTIMIZERS, as_optimizer
from isoparam.settings import plan_for


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("lr", [-1.0, float("nan"), float("inf"), True, "0.1"])
def test_lr_must_be_at_least_zero(kind, lr):
    with pytest.raises(SpecError, match=r"lr=.* must be a finite number(, at least| above) 0"):
        kind(lr=lr)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_lr_of_zero_is_that_of_torch(kind):
    """torch's SparseAdam alone refuses it."""
    if kind is iso.SparseAdam:
        with pytest.raises(SpecError, match="SparseAdam: lr=0 must be a finite number above 0"):
            kind(lr=0)
    else:
        assert kind(lr=0).lr == 0.0


WITH_BETAS = [kind for kind in OPTIMIZERS if "betas" in vars(kind())]


@pytest.mark.parametrize("kind", WITH_BETAS)
@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, -0.1), (0.9,), 0.9, (0.9, "x")])
def test_betas_must_be_two_numbers_below_one(kind, betas):
    with pytest.raises(SpecError, match=r"betas=.* must be two numbers in \[0, 1\)"):
        kind(betas=betas)


REFUSED = [
    (iso.NAdam, {"momentum_decay": -1}),
    (iso.NAdam, {"decoupled_weight_decay": 1}),
    (iso.RAdam, {"eps": -1}),
    (iso.Adamax, {"weight_decay": -1}),
    (iso.Adagrad, {"lr_decay": -1}),
    (iso.Adagrad, {"initial_accumulator_value": -0.1}),
    (iso.Adadelta, {"rho": 1.5}),
    (iso.Adadelta, {"eps": float("nan")}),
    (iso.RMSprop, {"alpha": -0.1}),
    (iso.RMSprop, {"centered": None}),
    (iso.Rprop, {"etas": (0.5, 0.9)}),
    (iso.Rprop, {"etas": (0.0, 1.2)}),
    (iso.Rprop, {"step_sizes": 1e-6}),
    (iso.ASGD, {"t0": "x"}),
    (iso.ASGD, {"weight_decay": -1}),
    (iso.Adafactor, {"beta2_decay": 0.1}),
    (iso.Adafactor, {"d": 0.5}),
    (iso.Adafactor, {"eps": (-1.0, 1e-3)}),
    (iso.Adafactor, {"eps": (None, None)}),
    (iso.Muon, {"ns_steps": 100}),
    (iso.Muon, {"ns_coefficients": (1, 2)}),
    (iso.Muon, {"adjust_lr_fn": "other"}),
    (iso.SparseAdam, {"eps": 0}),
]


@pytest.mark.parametrize(("kind", "arguments"), REFUSED, ids=[f"{kind.__name__}-{arguments}" for kind, arguments in REFUSED])
def test_an_argument_outside_its_range_is_named(kind, arguments):
    with pytest.raises(SpecError, match=f"{kind.__name__}: {next(iter(arguments))}="):
        kind(**arguments)


def test_muon_takes_matrices_only():
    with pytest.raises(
        SpecError, match=r"'[\w.]+': Muon: a parameter of shape \(\) is no matrix; train it with isoparam.AdamW"
    ):
        plan_for(iso.problems.get("scalar"), iso.Muon(), 0, "float64", "cpu", None, 1)


@pytest.mark.parametrize(
    "arguments",
    [{"momentum": -0.1}, {"weight_decay": -1}, {"nesterov": 1}, {"dampening": float("nan")}, {"maximize": None}],
    ids=str,
)
def test_sgd_refuses(arguments):
    with pytest.raises(SpecError, match=f"SGD: {next(iter(arguments))}="):
        iso.SGD(**arguments)


@pytest.mark.parametrize("arguments", [{"eps": -1e-8}, {"weight_decay": -1}, {"amsgrad": 1}], ids=str)
def test_adam_refuses(arguments):
    with pytest.raises(SpecError, match=f"Adam: {next(iter(arguments))}="):
        iso.Adam(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"momentum": 0.9, "dampening": 0.1}], ids=str)
def test_nesterov_needs_undamped_momentum(arguments):
    with pytest.raises(SpecError, match="nesterov needs momentum > 0 and dampening = 0"):
        iso.SGD(nesterov=True, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_iter": 0},
        {"max_eval": 2.5},
        {"history_size": True},
        {"tolerance_grad": -1},
        {"tolerance_change": "x"},
        {"line_search_fn": "wolfe"},
    ],
    ids=str,
)
def test_lbfgs_refuses(arguments):
    with pytest.raises(SpecError, match=f"LBFGS: {next(iter(arguments))}="):
        iso.LBFGS(**arguments)


def test_lbfgs_may_evaluate_a_quarter_more_than_it_moves():
    assert iso.LBFGS().evaluations == 25
    assert iso.LBFGS(max_iter=1).evaluations == 1
    assert replace(iso.LBFGS(), max_iter=100).evaluations == 125
    assert iso.LBFGS(max_eval=7).evaluations == 7


def test_lbfgs_is_refused_in_bfloat16():
    with pytest.raises(SpecError, match=r"dtype='bfloat16' with LBFGS"):
        plan_for(iso.problems.get("scalar"), iso.LBFGS(), 0, "bfloat16", "cpu", None, 1)


def test_specs_are_frozen_and_compare_by_content():
    assert iso.Adam(lr=1, betas=[0.9, 0.99]) == iso.Adam(lr=1.0, betas=(0.9, 0.99))
    assert hash(iso.Adam()) == hash(iso.Adam())
    assert iso.Adam() != iso.AdamW(weight_decay=0)
    with pytest.raises(AttributeError):
        iso.SGD().lr = 2.0


def test_anything_else_is_no_optimizer():
    with pytest.raises(SpecError, match=r"optimizer='adam' is no optimizer of isoparam; write one such as isoparam.Adam"):
        as_optimizer("adam")


NUMPY = {
    "lr": lambda one: iso.SGD(lr=one(np.float32(0.25))),
    "betas": lambda one: iso.Adam(betas=one(np.array([0.5, 0.75]))),
    "flag": lambda one: iso.SGD(momentum=0.5, nesterov=one(np.bool_(True))),
    "count": lambda one: iso.LBFGS(max_iter=one(np.int64(7))),
    "step_size": lambda one: iso.StepLR(one(np.int64(3))),
    "T_max": lambda one: iso.CosineAnnealingLR(T_max=one(np.int32(9))),
    "milestones": lambda one: iso.MultiStepLR(one(np.array([3, 4]))),
    "patience": lambda one: iso.ReduceLROnPlateau(patience=one(np.int64(2)), factor=one(np.float64(0.5))),
    "average": lambda one: iso.SWA(start=one(np.int64(2)), every=one(np.int64(3))),
    "clip": lambda one: iso.ClipByNorm(one(np.float32(0.5)), one(np.float32(np.inf))),
    "scaler": lambda one: iso.GradScaler(one(np.float32(4.0)), growth_interval=one(np.int64(8))),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numbers_of_numpy_are_numbers(name):
    spec, plain = NUMPY[name](lambda number: number), NUMPY[name](lambda number: number.tolist())
    assert (spec, repr(spec)) == (plain, repr(plain))


def test_numbers_of_numpy_are_checked():
    with pytest.raises(SpecError, match=r"StepLR: step_size=0 must be a whole number, at least 1"):
        iso.StepLR(np.int64(0))
    with pytest.raises(SpecError, match=r"SGD: lr=nan must be a finite number, at least 0"):
        iso.SGD(lr=np.float32("nan"))


def test_a_factor_of_zero_is_refused_where_it_ends():
    assert iso.ConstantLR(0.0, 3).rates(0.1, 3).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(SpecError, match=r"ConstantLR\(factor=0.0, total_iters=3\): factor=0.0 ends before update 4"):
        iso.ConstantLR(0.0, 3).rates(0.1, 4)


@pytest.mark.parametrize("result", [None, "a", (1, 2)], ids=str)
def test_a_function_that_gives_no_number_is_named(result):
    with pytest.raises(SpecError, match=r"LambdaLR: lr_lambda\(0\) gives .*; it must give a number"):
        iso.LambdaLR(lambda k: result).rates(0.1, 1)
