"""Optimizers are data in torch's words, and refuse what torch refuses."""

import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.optimizers import as_optimizer


@pytest.mark.parametrize("kind", [iso.SGD, iso.Adam, iso.AdamW])
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


def test_specs_are_frozen_and_compare_by_content():
    assert iso.Adam(lr=1, betas=[0.9, 0.99]) == iso.Adam(lr=1.0, betas=(0.9, 0.99))
    assert hash(iso.Adam()) == hash(iso.Adam())
    assert iso.Adam() != iso.AdamW(weight_decay=0)
    with pytest.raises(AttributeError):
        iso.SGD().lr = 2.0


def test_anything_else_is_no_optimizer():
    with pytest.raises(SpecError, match=r"optimizer='adam' is no optimizer of isoparam; write one such as isoparam.Adam"):
        as_optimizer("adam")
