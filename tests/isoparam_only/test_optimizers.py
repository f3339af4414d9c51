"""Optimizers are data in torch's words, and refuse what torch refuses."""

from dataclasses import replace

import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.optimizers import as_optimizer
from isoparam.settings import plan_for


@pytest.mark.parametrize("kind", [iso.SGD, iso.Adam, iso.AdamW, iso.LBFGS])
@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf"), True, "0.1"])
def test_lr_must_be_above_zero(kind, lr):
    with pytest.raises(SpecError, match=r"lr=.* must be a finite number above 0"):
        kind(lr=lr)


@pytest.mark.parametrize("kind", [iso.Adam, iso.AdamW])
@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, -0.1), (0.9,), 0.9, (0.9, "x")])
def test_betas_must_be_two_numbers_below_one(kind, betas):
    with pytest.raises(SpecError, match=r"betas=.* must be two numbers in \[0, 1\)"):
        kind(betas=betas)


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
