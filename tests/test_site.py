"""The documentation builds without a warning and without the network, and its API pages show every public name."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import isoparam as iso

ROOT = Path(__file__).parent.parent
# Modules, and tables that are read by their value.
ELSEWHERE = {
    "isoparam": {"__version__", "borders", "errors", "parity", "problems", "sinks"},
    "isoparam.torch": {"RULES", "doctor"},
    "isoparam.jax": {"RULES", "doctor"},
    "isoparam.diagnosis": {"RULES"},
    "isoparam.parity": {"BUDGETS", "SENSITIVE", "STAGES"},
}
PAGES = {
    "isoparam": "isoparam",
    "isoparam.torch": "torch",
    "isoparam.jax": "jax",
    "isoparam.specs": "specs",
    "isoparam.parity": "parity",
    "isoparam.sinks": "monitoring",
    "isoparam.diagnosis": "diagnosis",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://localhost:9",
        "https_proxy": "http://localhost:9",
    }
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


pytestmark = pytest.mark.xdist_group("site")  # one build for all of them


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        loaded = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text(encoding="utf-8")
        )
        assert not loaded, page.name


def test_every_page_is_in_the_navigation(site: Path) -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert re.search(rf": {re.escape(str(page.relative_to(ROOT / 'docs')))}$", text, re.MULTILINE), page


@pytest.mark.parametrize("module", PAGES)
def test_api_pages_show_every_public_name(site: Path, module: str) -> None:
    text = (site / "api" / f"{PAGES[module]}.html").read_text(encoding="utf-8")
    public = set(import_module(module).__all__) - ELSEWHERE.get(module, set())
    # A function in a module of its own name hides behind that module, and is shown by the longer path.
    missing = {name for name in public if f'id="{module}.{name}"' not in text and f'.{name}.{name}"' not in text}
    assert not missing


def test_no_sentence_of_a_docstring_became_a_heading(site: Path) -> None:
    for page in (site / "api").glob("*.html"):
        assert not re.search(r'<h\d id="[^"]*twin', page.read_text(encoding="utf-8")), page.name


@pytest.mark.parametrize("spec", iso.catalogue(), ids=lambda spec: spec.__name__)
def test_every_spec_has_a_page_with_both_rules(site: Path, spec: type[iso.Spec]) -> None:
    text = (site / "specs" / f"{spec.__name__}.html").read_text(encoding="utf-8")
    titles = re.findall(r'<span class="filename">(\w+_impl)/', text)
    assert titles == ["torch_impl", "jax_impl"]
    assert f'href="{spec.__name__}.html"' in (site / "specs" / "index.html").read_text(encoding="utf-8")
