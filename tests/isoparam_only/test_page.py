"""The page of several reports, opened in a headless browser."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

import browser
from isoparam.parity import Budget, Report, Row
from isoparam.parity.page import page

GOOD = Row("training", 10, "theta", "value", 2.0, 1e-16, 1.0, (), 0.5, 0.5, Budget(1e-13, cause='two "roundings" on each side'))
BAD = Row("gradient", 0, "net.<w>", "gradient", 1e9, 1e-6, 1.0, (2, 1), 0.5, 0.5000005, Budget(1e-13, cause="a sum"))


def report(name: str, *rows: Row) -> Report:
    versions = {"isoparam": "0.1", "torch": "2", "jax": "0.10"}
    return Report(name, 1000, "float64", "cpu", "Adam(lr=0.01)", 0, versions, rows)


class Seen(HTMLParser):
    """Cells of every table, headings, and where links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.headings: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {str(given["id"])} if "id" in given else set()
        self.links += [str(given[key]) for key in ("href", "src") if key in given]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th", "h1"):
            self._into = self.headings if tag == "h1" else self.tables[-1][-1]
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "h1"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "parity.html"
    path.write_text(page([report("linkage", GOOD), report("a <b> & c", GOOD, BAD)]), encoding="utf-8")
    return path


def check(text: str) -> None:
    seen = Seen(text)
    assert seen.headings == ["Parity of 2 problems", "Parity of linkage", "Parity of a <b> & c"]
    overview, first, second = seen.tables
    assert overview[1][:4] == ["linkage", "1000", "1", "0"]
    assert overview[2] == ["a <b> & c", "1000", "2", "1", "2", "1.0e-16", "gradient, step 0, net.<w>"]
    assert [len(table) for table in (first, second)] == [2, 3]
    assert first[1] == ["training", "10", "theta", "value", "0.5", "0.5", "2", "1.0e-16", "1.0e-13"]
    assert second[2][2] == "net.<w>[2, 1]"
    assert seen.links == ["#report-0", "#report-1"]
    assert {link[1:] for link in seen.links} <= seen.anchors


def test_several_reports_stand_below_a_table_that_links_to_them(file: Path) -> None:
    check(file.read_text(encoding="utf-8"))


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.REASON)
def test_the_browser_reads_the_page_as_it_was_written(file: Path, tmp_path: Path) -> None:
    check(browser.dom(file, tmp_path / "profile"))


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.REASON)
def test_the_browser_paints_the_verdicts(file: Path, tmp_path: Path) -> None:
    painted = browser.screenshot(file, tmp_path / "page.png", tmp_path / "profile", 1300, 900)
    assert len(set(painted)) > 50  # text, rules and colours: a blank page has a handful of byte values
    blank = tmp_path / "blank.html"
    blank.write_text("<!DOCTYPE html><title>blank</title>")
    assert len(set(browser.screenshot(blank, tmp_path / "blank.png", tmp_path / "profile", 1300, 900))) < 10
