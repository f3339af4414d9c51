"""--fix: the rewritten model keeps its layout and trains, where the one before raised at the second step."""

import difflib
from pathlib import Path
from typing import Any

import pytest
import torch

from isoparam.lint import check, check_source
from isoparam.lint.fix import repair, repaired_text

PLAIN = '''"""A model."""
import torch
from torch import nn


class Model(nn.Module):
    """It scales."""

    def __init__(self):
        super().__init__()
        self.x_raw = nn.Parameter(torch.zeros(3))  # raw
        # between 0 and 1
        self.x = torch.sigmoid(self.x_raw)  # keep me

        self.count = 3

    def forward(self, inp):
        return self.x   *   inp  # odd spacing stays
'''
SEVERAL = """import torch
import torch.nn.functional as F


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(3))
        self.b = torch.nn.Parameter(torch.zeros(3))
        self.scale = (
            F.softplus(self.a)
            + 1.0
        )
        self.shift = self.b.exp()

    def forward(self, inp):
        return self.scale * inp + self.shift
"""
LOCALS = """import torch


class Model(torch.nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(3))
        self.scale = torch.exp(self.a) * factor

    def forward(self, inp):
        return self.scale * inp
"""


def trained(text: str, steps: int = 60) -> tuple[float, float, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "fixed", "exec"), names)
    model = names["Model"]()
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(torch.ones(3)) - 0.9).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1], model


@pytest.mark.parametrize("text", [PLAIN, SEVERAL], ids=["plain", "several"])
def test_property_trains_where_the_attribute_raised(text: str) -> None:
    with pytest.raises(RuntimeError, match="second time"):
        trained(text)
    found = check_source(text)
    new, repaired = repaired_text(text, list(found))
    assert set(repaired) == set(found)
    assert not check_source(new)
    first, last, _ = trained(new)
    assert last < 0.3 * first


def test_formatting_and_comments_are_kept() -> None:
    new, _ = repaired_text(PLAIN, list(check_source(PLAIN)))
    changed = [line for line in difflib.ndiff(PLAIN.splitlines(), new.splitlines()) if line[0] in "+-"]
    assert [line for line in changed if line[0] == "-"] == [
        "-         self.x = torch.sigmoid(self.x_raw)  # keep me",
        "-         # between 0 and 1",
    ][::-1]
    assert "        # between 0 and 1\n        return torch.sigmoid(self.x_raw)  # keep me\n" in new
    assert "return self.x   *   inp  # odd spacing stays" in new


def test_constrained_where_the_map_is_known() -> None:
    new, repaired = repaired_text(PLAIN, list(check_source(PLAIN)), constrained=True)
    assert repaired
    assert 'x = Constrained(iso.UnitInterval(), start="raw")' in new
    first, last, model = trained(new)
    assert last < 0.3 * first
    assert model.x_raw.requires_grad
    assert torch.equal(model.x, torch.sigmoid(model.x_raw)) or torch.allclose(model.x, torch.sigmoid(model.x_raw))


def test_expression_of_a_local_is_left_alone() -> None:
    found = check_source(LOCALS)
    assert found
    assert repaired_text(LOCALS, list(found)) == (LOCALS, [])


def test_files_are_written_and_shown_as_a_diff(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(PLAIN)
    found = check([file])
    shown, remaining = repair(found)
    assert file.read_text() == PLAIN
    assert shown.startswith(f"--- {file}")
    assert not remaining
    repair(found, write=True)
    assert not check([file])
    assert trained(file.read_text())[1] < 0.1
