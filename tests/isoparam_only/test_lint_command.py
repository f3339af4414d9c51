"""`isoparam doctor PATH`: exit codes, selection, suppression, settings, output formats; no framework is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isoparam import cli
from isoparam.errors import SpecError
from isoparam.lint import check, check_source
from isoparam.lint.settings import Settings, settings_for

BAD = """import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.scale = torch.exp(self.raw){comment}

    def forward(self, x):
        return self.scale * x
"""


def doctor(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["doctor", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    file = tmp_path / "model.py"
    file.write_text(BAD.format(comment=""))
    return file


def test_finding_is_told_with_place_rule_and_fix(bad: Path) -> None:
    code, output = doctor(bad)
    assert code == 1
    assert f"{bad}:9: SG101 stale-attribute: Model.scale (parameters: raw)" in output
    assert "@property" in output


def test_clean_file_ends_with_0(bad: Path) -> None:
    bad.write_text("import torch\n")
    code, output = doctor(bad)
    assert code == 0
    assert "Nothing found in 1 file" in output


@pytest.mark.parametrize(
    "arguments", [["--select", "SG2"], ["--ignore", "SG101"], ["--ignore", "SG1,SG2"], ["--exclude", "mod*.py"]]
)
def test_selection(bad: Path, arguments: list[str]) -> None:
    assert doctor(bad, *arguments)[0] == 0


def test_unknown_code_and_unknown_path_are_errors(bad: Path) -> None:
    with pytest.raises(SpecError, match="SG999"):
        check([bad], select=["SG999"])
    with pytest.raises(SpecError, match="does not exist"):
        check([bad.parent / "nowhere"])
    done = subprocess.run(
        [sys.executable, "-m", "isoparam", "doctor", "nowhere"], capture_output=True, text=True, cwd=bad.parent
    )
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_file_that_does_not_parse_is_told_and_ends_with_2(bad: Path) -> None:
    bad.write_text("import torch\ndef f(:\n")
    code, output = doctor(bad)
    assert code == 2
    assert "model.py:2: cannot be parsed" in " ".join(output.split())


@pytest.mark.parametrize(
    "comment", ["  # noqa: SG101 a frozen start", "  # isoparam: ignore[SG101] a frozen start", "  # noqa: SG1 start"]
)
def test_suppression_with_a_reason(comment: str) -> None:
    found = check_source(BAD.format(comment=comment))
    assert not found
    assert not found.notes


@pytest.mark.parametrize("comment", ["  # noqa: SG101", "  # isoparam: ignore[SG101]", "  # noqa"])
def test_suppression_without_a_reason_is_told(comment: str) -> None:
    found = check_source(BAD.format(comment=comment))
    assert not found
    assert "without a reason" in found.notes[0]


@pytest.mark.parametrize("comment", ["  # noqa: E501 long", "  # isoparam: ignore[SG301] other"])
def test_suppression_of_another_code_does_not_count(comment: str) -> None:
    assert check_source(BAD.format(comment=comment))


def test_settings_of_pyproject(bad: Path) -> None:
    (bad.parent / "pyproject.toml").write_text('[tool.isoparam.doctor]\nignore = ["SG1"]\n')
    assert settings_for(bad) == Settings(ignore=("SG1",))
    assert doctor(bad)[0] == 0
    (bad.parent / "pyproject.toml").write_text('[tool.isoparam.doctor]\nignored = ["SG1"]\n')
    with pytest.raises(SpecError, match="ignored"):
        settings_for(bad)


def test_opt_in_rule_is_off_until_it_is_asked_for(tmp_path: Path) -> None:
    from isoparam.lint.pages import examples

    file = tmp_path / "tied.py"
    file.write_text(examples("SG107")[0])
    assert doctor(file)[0] == 0
    assert doctor(file, "--extend-select", "SG107")[0] == 1


def test_json_and_sarif_and_github(bad: Path) -> None:
    found = json.loads(doctor(bad, "--output-format", "json")[1])["findings"]
    assert [(each["rule"], each["line"], each["column"], each["params"]) for each in found] == [("SG101", 9, 9, ["raw"])]
    sarif = json.loads(doctor(bad, "--output-format", "sarif")[1])
    result = sarif["runs"][0]["results"][0]
    assert sarif["version"] == "2.1.0"
    assert sarif["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "SG101"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 9, "startColumn": 9}
    github = doctor(bad, "--output-format", "github")[1]
    assert github.startswith("::error title=isoparam SG101 stale-attribute,file=")
    assert ",line=9,col=9::" in github
    assert len(github.splitlines()) == 1


def test_statistics_and_explain_and_rules(bad: Path) -> None:
    assert "1  SG101  stale-attribute" in doctor(bad, "--statistics")[1]
    assert "# SG101: stale-attribute" in doctor("--explain", "SG101")[1]
    assert "SG506" in doctor("--rules")[1]
    with pytest.raises(SpecError, match="SG000"):
        doctor("--explain", "SG000")


def test_bases_are_followed_across_files(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(
        "import torch\n\nclass Base(torch.nn.Module):\n    pass\n\nclass Middle(Base):\n    pass\n"
    )
    (package / "model.py").write_text(
        "import torch\nfrom .base import Middle as M\n\nclass Model(M):\n    def __init__(self):\n        super().__init__()\n"
        "        self.raw = torch.nn.Parameter(torch.zeros(3))\n        self.x = self.raw.exp()\n"
    )
    found = check([package])
    assert [(Path(each.file).name, each.line, each.rule) for each in found] == [("model.py", 8, "SG101")]


def test_nothing_of_the_checked_code_and_no_framework_is_imported(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("raise SystemExit('imported')\n" + BAD.format(comment=""))
    code = (
        "import sys\nfrom isoparam.lint import check\n"
        f"found = check([{str(tmp_path)!r}])\n"
        "assert not {'torch', 'jax', 'flax'} & set(sys.modules), 'a framework was imported'\n"
        "print(len(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


def test_package_itself_is_clean() -> None:
    found = check([Path(__file__).parents[2] / "src"])
    assert not found, str(found)
