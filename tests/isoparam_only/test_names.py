"""Dotted names and globs: every key matches something, and no parameter is matched twice."""

import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.names import assign, select

NAMES = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "scale"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("scale", ["scale"]),
        ("*.bias", ["layers.0.bias"]),
        ("layers.*.weight", ["layers.0.weight", "layers.1.weight"]),
        ("layers.?.weight", ["layers.0.weight", "layers.1.weight"]),
        ("layers.[1-9].weight", ["layers.1.weight"]),
        ("*", NAMES),
        ("Scale", []),
        ("weight", []),
    ],
)
def test_select(pattern: str, matched: list[str]) -> None:
    assert select(pattern, NAMES) == matched


def test_a_literal_name_wins_over_its_meaning_as_a_glob() -> None:
    assert select("a[0]", ["a[0]", "a0"]) == ["a[0]"]


def test_assign_gives_each_name_its_spec() -> None:
    specs = assign(NAMES, {"*.weight": iso.Positive(), "scale": iso.UnitInterval()})
    assert specs == {"layers.0.weight": iso.Positive(), "layers.1.weight": iso.Positive(), "scale": iso.UnitInterval()}


def test_names_may_come_from_a_generator() -> None:
    assert assign((name for name in NAMES), {"*": iso.Real()}) == dict.fromkeys(NAMES, iso.Real())


def test_no_constraints_constrain_nothing() -> None:
    assert assign(NAMES, {}) == {}


WRONG = {
    "a key that matches nothing": (
        {"layers.0.wieght": iso.Positive()},
        "constraints['layers.0.wieght'] matches no parameter; did you mean 'layers.0.weight'?",
    ),
    "a glob that matches nothing": ({"blocks.*": iso.Positive()}, "matches no parameter; there are: 'layers.0.weight'"),
    "a name matched twice": (
        {"*.weight": iso.Positive(), "layers.1.*": iso.Real()},
        "parameter 'layers.1.weight' is matched twice, by '*.weight' and 'layers.1.*'; narrow one of the two keys",
    ),
    "a class instead of a spec": ({"scale": iso.Positive}, "must be a spec such as isoparam.Positive(), got <class"),
    "text instead of a spec": (
        {"scale": "positive"},
        "constraints['scale'] must be a spec such as isoparam.Positive(), got 'positive'",
    ),
}


@pytest.mark.parametrize(("constraints", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_key_is_refused_by_name(constraints: dict, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        assign(NAMES, constraints)
    assert message in str(caught.value)


def test_the_hint_of_no_parameters_at_all() -> None:
    with pytest.raises(SpecError, match="there are: none"):
        assign([], {"x": iso.Real()})
