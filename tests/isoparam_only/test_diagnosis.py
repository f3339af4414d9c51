"""How a diagnosis reads: on a terminal of any width, as a page in a browser, as JSON."""

import json
from pathlib import Path

import pytest

import browser
from isoparam.diagnosis import RULES, Diagnosis, Finding, History, rule_of
from isoparam.diagnosis.text import in_text
from isoparam.errors import SpecError

DRIFT = History("mean of w", (1, 2, 3, 4), (0.0, 0.4, 0.8, 1.2), (0.0, 0.0, 0.0, 0.0))
STALE = Finding(
    kind="jit-captured-param",
    attr="evaluate (model.w)",
    params=("w",),
    file="/a/rather/long/folder/of/a/project/with/a/training/script/train.py",
    line=20,
    message="evaluate was compiled with model.w as it was then, and that array is a constant of it <now & for ever>.",
    fix="def evaluate(model, x):\n    return model(x)",
    outcome="updates do not reach it, in silence",
    path=("loss", "reduce_sum", "mul"),
    history=DRIFT,
)
OTHER = Finding("dropped-update", "step", (), "", 0, "its result is lost.", "params = step(params)", "nothing trains")
BOTH = Diagnosis((STALE, OTHER), ("a compiled module: net",), "train.py")


def test_codes_and_kinds_are_each_of_one_rule():
    assert len({rule.code for rule in RULES}) == len({rule.kind for rule in RULES}) == len(RULES)
    assert [rule.code for rule in RULES] == sorted(rule.code for rule in RULES)
    with pytest.raises(SpecError, match="no rule of the doctor"):
        rule_of("no-such-kind")


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_prose_fits_the_terminal_and_code_stays_whole(width):
    text = in_text(BOTH, width)
    long = [line for line in text.splitlines() if len(line) > max(60, min(110, width))]
    assert all(line.startswith(STALE.file) for line in long), long
    assert "      def evaluate(model, x):\n          return model(x)\n" in text
    assert "From the loss: loss <- reduce_sum <- mul <- evaluate (model.w)" in " ".join(text.split())
    assert text.endswith("2 findings in train.py.\n\nNot looked into: a compiled module: net")


def test_the_drift_is_drawn_on_one_scale():
    lines = in_text(Diagnosis((STALE,)), 80).splitlines()
    (fresh,) = [line for line in lines if line.strip().startswith("parameter ")]
    (used,) = [line for line in lines if line.strip().startswith("used ")]
    assert "▁▃▆█ 0 to 1.2" in fresh
    assert "▁▁▁▁ 0 to 0" in used


def test_a_long_history_is_thinned_and_a_broken_one_is_drawn():
    many = tuple(range(1000))
    history = History("w[0]", many, tuple(map(float, many)), tuple(float("nan") for _ in many))
    text = in_text(Diagnosis((Finding("static-field", "w", (), "", 0, "m", "f", "o", history=history),)), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "?" in text
    assert "<polyline" in Diagnosis((Finding("static-field", "w", (), "", 0, "m", "f", "o", history=history),)).to_html()


def test_json_is_complete():
    content = json.loads(BOTH.to_json())
    first, second = content["findings"]
    assert first["rule"] == "SG501"
    assert first["history"] == {"entry": "mean of w", "steps": [1, 2, 3, 4], "fresh": [0.0, 0.4, 0.8, 1.2], "used": [0.0] * 4}
    assert first["path"] == ["loss", "reduce_sum", "mul"]
    assert set(first) == {"rule", *STALE.__dataclass_fields__}
    assert second["history"] is None
    assert content["notes"] == ["a compiled module: net"]


def test_a_diagnosis_is_true_when_something_was_found():
    assert BOTH
    assert len(BOTH) == 2
    assert list(BOTH) == [STALE, OTHER]
    assert not Diagnosis()
    assert str(Diagnosis()) == "Nothing found."


def test_the_page_needs_nothing_from_elsewhere_and_escapes():
    page = BOTH.to_html()
    assert "<now & for ever>" not in page
    assert "&lt;now &amp; for ever&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<section") == 2
    assert page.count("<rect") == 4
    assert page.count('<rect class="stale"') == 1
    assert page.count("<polyline") == 2


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.REASON)
def test_a_browser_shows_the_page(tmp_path: Path):
    page = tmp_path / "doctor.html"
    page.write_text(BOTH.to_html(), encoding="utf-8")
    seen = browser.dom(page, tmp_path / "profile")
    assert seen.count("<section") == 2
    pixels = browser.screenshot(page, tmp_path / "doctor.png", tmp_path / "profile", 900, 1400)
    assert len(set(pixels)) > 20, "an empty window"
