"""Rules are found by exact type, and everything that a constraint needs is there: five edits, five tests.

A new spec class fails `test_every_spec_has_a_sample_row` and `test_every_spec_has_an_oracle_formula` here,
`test_every_spec_has_a_torch_rule` and `test_every_spec_has_a_jax_rule` in the backends' folders, and
`test_every_spec_class_is_in_the_catalogue` until it is listed.
"""

from dataclasses import dataclass, fields

import pytest

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.rules import VERBS, Registry, Rule
from oracle.formulas import FORMULAS
from oracle.judge import VERBS as QUESTIONS
from samples import SAMPLES, UNSAMPLED


def test_every_spec_has_a_sample_row() -> None:
    sampled = {type(sample.spec) for sample in SAMPLES}
    assert sampled | set(UNSAMPLED) == set(iso.catalogue())
    assert not sampled & set(UNSAMPLED)
    assert all(len(reason.split()) >= 4 for reason in UNSAMPLED.values())


def test_every_link_has_a_sample_row() -> None:
    from isoparam.specs.balls import RADIAL_LINKS
    from isoparam.specs.correlation import LINKS
    from isoparam.specs.scalar import HALF_LINE_LINKS, INTERVAL_LINKS

    half_line = (iso.Positive, iso.GreaterThan, iso.LessThan, iso.Ordered, iso.PositiveOrdered, iso.HalfSpace)
    known = {
        **dict.fromkeys((*half_line, iso.CholeskyCovariance, iso.Covariance), HALF_LINE_LINKS),
        **dict.fromkeys((iso.CholeskyCorrelation, iso.Correlation), LINKS),
        **dict.fromkeys((iso.L2Ball, iso.MaxNorm), RADIAL_LINKS),
        iso.L1Ball: (*RADIAL_LINKS, "stick"),
        iso.Interval: INTERVAL_LINKS,
    }
    assert set(known) == {spec_type for spec_type in iso.catalogue() if "link" in {entry.name for entry in fields(spec_type)}}
    links = {(type(sample.spec), vars(sample.spec)["link"]) for sample in SAMPLES if "link" in vars(sample.spec)}
    assert links == {(spec_type, link) for spec_type, chosen in known.items() for link in chosen}


def test_every_spec_has_an_oracle_formula() -> None:
    assert set(FORMULAS) == set(iso.catalogue()) - set(UNSAMPLED)
    for spec_type, formula in FORMULAS.items():
        asked = {verb for sample in SAMPLES if type(sample.spec) is spec_type for verb in QUESTIONS if sample.has(verb)}
        lacks = [verb for verb in asked if not callable(getattr(formula, verb, None))]
        assert asked, f"{spec_type.__name__} has no verb that a formula could be asked"
        assert not lacks, f"the formula of {spec_type.__name__} lacks {lacks}"


def a_rule(*, without: str = "", name: str = "DemoRule") -> type[Rule]:
    """A rule class with every verb but one."""
    return type(name, (Rule,), {verb: staticmethod(lambda spec, array: array) for verb in VERBS if verb != without})


def test_a_rule_is_found_by_the_exact_type() -> None:
    rules = Registry("demo")
    rule = rules.implements(iso.Real)(a_rule())
    assert rules[iso.Real] is rule
    assert iso.Real in rules
    assert list(rules) == [iso.Real]


@pytest.mark.parametrize("verb", VERBS)
def test_a_forgotten_verb_fails_at_registration(verb: str) -> None:
    with pytest.raises(SpecError, match=f"demo: DemoRule lacks {verb} as static functions"):
        Registry("demo").implements(iso.Real)(a_rule(without=verb))


def test_a_verb_that_is_not_static_fails_at_registration() -> None:
    rule = a_rule()
    rule.forward = lambda self, spec, raw: raw
    with pytest.raises(SpecError, match="lacks forward as static functions"):
        Registry("demo").implements(iso.Real)(rule)


def test_an_inherited_verb_does_not_count() -> None:
    """A rule states all its verbs itself, so that reading it tells what it does."""
    child = type("ChildRule", (a_rule(),), {})
    with pytest.raises(SpecError, match="ChildRule lacks forward, inverse, log_abs_det, project, contains"):
        Registry("demo").implements(iso.Real)(child)


def test_a_second_rule_is_refused() -> None:
    rules = Registry("demo")
    rules.implements(iso.Real)(a_rule(name="FirstRule"))
    with pytest.raises(SpecError, match="demo: Real already has a rule, FirstRule"):
        rules.implements(iso.Real)(a_rule())


def test_a_subclass_gets_no_rule_of_its_parent() -> None:
    @dataclass(frozen=True)
    class Weight(iso.Positive):
        """Stands for a third party's spec."""

    rules = Registry("demo")
    rules.implements(iso.Positive)(a_rule())
    with pytest.raises(SpecError, match="the demo backend has no rule for Weight; it has: Positive"):
        rules[Weight]


@pytest.mark.parametrize("foreign", [float, object, int], ids=lambda foreign: foreign.__name__)
def test_a_foreign_type_is_told_what_a_spec_is(foreign: type) -> None:
    with pytest.raises(
        SpecError, match=rf"expected a spec such as isoparam\.Interval\(0, 1\), got an object of type {foreign.__name__}"
    ):
        Registry("demo")[foreign]


def test_a_third_party_registers_in_the_same_way() -> None:
    @dataclass(frozen=True)
    class Even(iso.Spec):
        kind = "scalar"

        def _check_shape(self, shape: tuple[int, ...], name: str) -> None: ...

    rules = Registry("demo")
    rule = rules.implements(Even)(a_rule())
    assert rules[Even] is rule
