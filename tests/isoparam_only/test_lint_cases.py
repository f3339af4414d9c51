"""The lint on programs that were written before it was tuned to them: what is wrong is found, what is right is not."""

import re

import pytest

from doctor_cases.lint_bad import BAD, TORCH
from doctor_cases.lint_clean import CLEAN
from doctor_cases.lint_handed_on import HANDED_ON
from doctor_cases.lint_jax import JAX_BAD, JAX_CLEAN, JAX_HEAD
from doctor_cases.lint_more import MORE_BAD, MORE_CLEAN
from isoparam.lint import check_source

WRONG = {
    **{name: TORCH + text for name, text in (BAD | MORE_BAD).items()},
    **{name: JAX_HEAD + text for name, text in JAX_BAD.items()},
}
RIGHT = {
    **{name: TORCH + text for name, text in (CLEAN | MORE_CLEAN | HANDED_ON).items()},
    **{name: JAX_HEAD + text for name, text in JAX_CLEAN.items()},
}


@pytest.mark.parametrize("name", WRONG)
def test_mistake_is_found(name: str) -> None:
    text = WRONG[name]
    line, mark = next(
        (n, found) for n, row in enumerate(text.splitlines(), 1) if (found := re.search(r"# HERE(\??) (\S+)", row))
    )
    found = check_source(text)
    kinds = {finding.kind for finding in found}
    assert mark[2] in kinds, f"{mark[2]} at line {line}, but: {found}"
    if not mark[1]:
        assert line in {finding.line for finding in found if finding.kind == mark[2]}, str(found)
    assert not found.notes


@pytest.mark.parametrize("name", RIGHT)
def test_right_program_is_left_alone(name: str) -> None:
    found = check_source(RIGHT[name])
    assert not found, str(found)
    assert not found.notes
