"""Reports and budgets: what is over, what is named first, and the three forms of a report."""

from html.parser import HTMLParser

import pytest

from isoparam.errors import ParityError, SpecError
from isoparam.parity import BUDGETS, STAGES, Budget, Report, Row, budgets_for

BUDGET = Budget(1e-13, cause="two roundings on each side")


def row(stage="training", step=10, where="theta", quantity="value", ulp=2.0, relative=1e-16, index=(), **more):
    numbers = {"scale": 1.0, "torch": 0.5, "jax": 0.5, "budget": BUDGET} | more
    return Row(stage=stage, step=step, where=where, quantity=quantity, ulp=ulp, relative=relative, index=index, **numbers)


def over(**more):
    return row(**{"ulp": 1e9, "relative": 1e-6, "torch": 0.5, "jax": 0.5000005} | more)


def report(*rows):
    versions = {"isoparam": "0.1", "torch": "2", "jax": "0.10"}
    return Report("linkage", 1000, "float64", "cpu", "Adam(lr=0.01)", 0, versions, rows)


def test_the_budget_judges_the_relative_difference():
    assert row(ulp=1e9, relative=1e-13).ok
    assert not row(ulp=1, relative=2e-13).ok
    assert not row(ulp=float("nan"), relative=float("nan")).ok


def test_without_a_row_over_budget_there_is_no_divergence():
    good = report(row(), row(step=100, ulp=3))
    assert good.ok
    assert good.first_divergence is None
    assert good.check() is good
    assert "all 2 rows within budget; parameters at most 3 ULP, 1.0e-16 relative apart" in str(good)


def test_the_largest_distance_leaves_out_losses_and_gradients():
    passing = report(row(ulp=3), row(quantity="loss", ulp=1e15, relative=0.0), row(quantity="gradient", ulp=1e15, relative=0.0))
    assert passing.max_ulp == 3


def test_an_earlier_stage_is_named_before_a_later_one():
    found = report(
        row(stage="start", step=0), over(stage="gradient", step=0, quantity="gradient"), over(step=1)
    ).first_divergence
    assert found is not None
    assert (found.stage, found.step, found.where) == ("gradient", 0, "theta")
    assert "detach" in found.cause


def test_history_speaks_first_when_it_noticed_at_an_earlier_step():
    found = report(row(step=10), over(step=100), over(stage="history", step=37, where="loss", quantity="loss")).first_divergence
    assert found is not None
    assert (found.stage, found.step) == ("history", 37)
    assert "the updates agree up to step 10" in found.cause


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (over(stage="start", step=0, quantity="raw"), "inverse"),
        (over(stage="forward", step=0), "the two rules disagree"),
        (over(stage="loss", step=0, where="loss", quantity="loss"), "compare the two loss functions"),
        (over(stage="gradient", step=0, quantity="gradient"), "stop_gradient"),
        (over(step=1), "the first update does not"),
        (over(stage="history", step=0, where="loss", quantity="loss"), "before any update"),
    ],
    ids=["start", "forward", "loss", "gradient", "first update", "first loss"],
)
def test_every_stage_has_its_hypothesis(broken, cause):
    found = report(broken).first_divergence
    assert found is not None
    assert cause in found.cause


def test_a_gradient_of_rounding_noise_explains_the_step_that_adam_makes_of_it():
    noise = row(stage="gradient", step=0, quantity="gradient", ulp=4e18)
    for broken in (over(step=1), over(stage="history", step=3, where="loss", quantity="loss")):
        found = report(row(stage="gradient", step=0, where="other", quantity="gradient"), noise, broken).first_divergence
        assert found is not None
        assert "an entry of the gradient of theta is rounding noise (4.0e+18 ULP apart" in found.cause
    unrelated = report(noise, over(step=1, where="other")).first_divergence
    assert unrelated is not None
    assert "rounding noise" not in unrelated.cause


def test_check_raises_with_both_numbers_and_the_table():
    with pytest.raises(ParityError) as caught:
        report(row(stage="start", step=0), over(step=1, index=(0, 2))).check()
    message = str(caught.value)
    assert "1 of 2 rows over budget\nfirst divergence: training, step 1, theta[0, 2] (value)" in message
    assert "torch = 0.5\n  jax   = 0.5000005" in message
    assert "OVER" in message


def test_the_table_fits_80_columns_and_names_the_worst_of_many():
    rows = [row(where=f"layers.{i}.some.very.long.parameter.name", relative=i * 1e-18) for i in range(40)]
    text = str(report(*rows, over(where="the.last", step=1000)))
    assert max(map(len, text.splitlines())) <= 80
    assert "(32 more, all within budget)" in text
    assert "OVER" in text


@pytest.mark.parametrize(
    "rows", [(row(),), (row(), over(torch=float("nan"), ulp=float("inf"), relative=float("inf")))], ids=["ok", "nan"]
)
def test_json_round_trips(rows):
    first = report(*rows)
    again = Report.from_json(first.to_json())
    assert again.to_json() == first.to_json()
    assert repr(again) == repr(first)
    assert str(again) == str(first)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"rows": [{}]}'], ids=["empty", "no rows", "list", "empty row"])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(SpecError, match="no parity report"):
        Report.from_json(text)


class Balanced(HTMLParser):
    """Collects open tags and outside addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_one_balanced_page_that_escapes_names():
    page = Balanced()
    html = report(row(where="<b>&"), over(step=1)).to_html()
    page.feed(html)
    assert page.open == []
    assert page.links == []
    assert "<b>&" in page.text
    assert '<tr class="over">' in html


def test_the_table_of_budgets_is_complete_and_has_causes():
    assert {key[0] for key in BUDGETS} == set(STAGES)
    assert len(BUDGETS) == len(STAGES) * 3 * 2
    for (stage, dtype, device), budget in BUDGETS.items():
        assert budget.cause
        assert budget.relative >= BUDGETS[stage, dtype, "cpu"].relative, (stage, dtype, device)


def test_the_promises_on_trajectories_stand_in_the_table():
    assert BUDGETS["training", "float64", "cpu"].relative == 1e-13
    assert BUDGETS["training", "float64", "gpu"].relative == 1e-10


def test_budgets_can_be_changed_by_stage():
    changed = budgets_for("float32", "cuda:0", {"training": 1e-2, "forward": Budget(0.0, "equal bits")})
    assert changed["training"].relative == 1e-2
    assert changed["forward"].relative == 0
    assert changed["loss"] == BUDGETS["loss", "float32", "gpu"]


@pytest.mark.parametrize(
    ("dtype", "changes", "message"),
    [
        ("float8", {}, "no budgets for dtype='float8'; choose one of 'float64'"),
        ("float64", {"trajectory": 1.0}, "no stage 'trajectory'; choose from 'start'"),
        ("float64", {"loss": -1.0}, "allowed relative difference such as 1e-10, got -1.0"),
        ("float64", {"loss": "1"}, "got '1'"),
    ],
    ids=["dtype", "stage", "negative", "text"],
)
def test_bad_budgets_are_named(dtype, changes, message):
    with pytest.raises(SpecError, match=message):
        budgets_for(dtype, "cpu", changes)
