"""The table of `isoparam problems`: a line per problem, with what each backend reached and how closely they agree."""

from collections.abc import Sequence
from math import isinf

from isoparam.console import agreement, digits
from isoparam.parity.text import count, small
from isoparam.problem import Problem
from isoparam.run import Run

NAME = 15  # the longest name of a built-in problem


def heading(backends: Sequence[str]) -> str:
    """The two lines above the table."""
    above = "".join(f"{name:>20}" for name in backends)
    below = f"{'digits':>7}{'steps':>6}{'s':>7}" * len(backends)
    both = f"{'ULP':>9}{'relative':>9}" if len(backends) == 2 else ""
    return f"{'':<{NAME}}{above}{'  torch to jax' if both else ''}".rstrip() + f"\n{'problem':<{NAME}}{below}{both}"


def line(problem: Problem, runs: Sequence[Run]) -> str:
    """The line of a problem: published digits reached at the worst parameter, updates, wall time; ULP and relative apart."""
    parts = [f"{reached(problem, run):>7}{run.steps:>6}{run.seconds:>7.1f}" for run in runs]
    if len(runs) == 2:
        ulp, relative = agreement(runs)
        parts.append(f"{count(ulp):>9}{small(relative):>9}")
    return f"{problem.name:<{NAME}}{''.join(parts)}"


def reached(problem: Problem, run: Run) -> str:
    """Published digits that a run reached at its worst parameter; "all" for equal numbers, "-" where none is published."""
    worst = min((digits(run.values[name], value) for name, value in problem.published.items()), default=None)
    if worst is None:
        return "-"
    return "all" if isinf(worst) else f"{worst:.1f}"
