"""What a comparison found: rows, the first divergence, and their forms as text, JSON and HTML."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from textwrap import fill
from typing import Any, Literal

from isoparam.errors import ParityError, SpecError
from isoparam.parity.budgets import Budget, Stage
from isoparam.parity.text import count, small, table
from isoparam.parity.ulp import FRACTION

Quantity = Literal["raw", "value", "gradient", "loss"]


@dataclass(frozen=True)
class Row:
    """One number or array of one stage, in both backends, at the entry where they are furthest apart.

    Attributes:
        stage: "start" (raw of the starting values), "forward", "loss", "gradient" (of raw), "training" (after `step`
            updates) or "history" (the loss before every update).
        step: updates made so far. For the history: the first step over budget, or else the worst.
        where: name of the parameter, or of the loss.
        quantity: "raw", "value", "gradient" or "loss".
        ulp: largest distance of an entry, in units in its last place, or in that of the bounds (values) or of 1 (raw of
            a constrained parameter) where it is smaller than they are.
        relative: largest difference of an entry, over `scale`. This is what the budget judges.
        scale: what differences were divided by: the largest entry of the array, in both backends; while training, the
            largest so far. At least the size of the bounds for values, and 1 (a logit, a logarithm) for raw of a
            constrained parameter.
        index: the entry with the largest relative difference; `()` for single numbers.
        torch: that entry in torch.
        jax: that entry in jax.
        budget: what was allowed.
        bits: how many bits of all entries (for the history: of the losses of all steps) are not the same.
    """

    stage: Stage
    step: int
    where: str
    quantity: Quantity
    ulp: float
    relative: float
    scale: float
    index: tuple[int, ...]
    torch: float
    jax: float
    budget: Budget
    bits: int = 0

    @property
    def ok(self) -> bool:
        """Whether the budget allows it; a budget of 0 asks for the same bits."""
        return self.budget.allows(self.relative) and (self.bits == 0 or self.budget.relative > 0)


@dataclass(frozen=True)
class Divergence:
    """The first row over its budget.

    Attributes:
        stage: see `Row`.
        step: see `Row`.
        where: the parameter, or "loss".
        cause: where to look; a hypothesis from the stage and what held before it.
        row: the numbers.
    """

    stage: Stage
    step: int
    where: str
    cause: str
    row: Row

    def __str__(self) -> str:
        entry = f"[{', '.join(map(str, self.row.index))}]" if self.row.index else ""
        return (
            f"first divergence: {self.stage}, step {self.step}, {self.where}{entry} ({self.row.quantity})\n"
            f"  torch = {self.row.torch!r}\n"
            f"  jax   = {self.row.jax!r}\n"
            f"  apart : {count(self.row.ulp)} ULP, {small(self.row.relative)} relative; "
            f"allowed {small(self.row.budget.relative)}\n"
            + fill(self.cause, 80, initial_indent="  cause : ", subsequent_indent=" " * 10)
        )


@dataclass(frozen=True)
class Report:
    """What `compare` found. `str(report)` is a table, `to_json` and `to_html` are files, `check` raises.

    Attributes:
        problem: its name.
        steps: updates of the longest run.
        dtype: of the parameters.
        device: where both ran.
        optimizer: as asked for, as text.
        seed: of the data order.
        versions: of isoparam and the frameworks.
        rows: every comparison, in the order of the stages.
    """

    problem: str
    steps: int
    dtype: str
    device: str
    optimizer: str
    seed: int
    versions: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every row is within its budget."""
        return all(row.ok for row in self.rows)

    @property
    def max_ulp(self) -> float:
        """Largest ULP distance of a parameter, raw or value, in any stage; losses and gradients go to 0 and are left out."""
        return max((row.ulp for row in self.rows if row.quantity in ("raw", "value")), default=0.0)

    @property
    def max_relative(self) -> float:
        """Largest relative difference of a parameter, raw or value, in any stage."""
        return max((row.relative for row in self.rows if row.quantity in ("raw", "value")), default=0.0)

    @property
    def bits(self) -> int:
        """How many bits of all that was compared are not the same."""
        return sum(row.bits for row in self.rows)

    @property
    def first_divergence(self) -> Divergence | None:
        """The first row over its budget, by stage and then by step; None when there is none."""
        broken = [row for row in self.rows if not row.ok]
        if not broken:
            return None
        # Training and history are one run: whichever noticed it at the earlier step speaks.
        first = min(
            broken, key=lambda row: (row.stage in ("training", "history"), row.step * (row.stage in ("training", "history")))
        )
        return Divergence(first.stage, first.step, first.where, _cause(first, self.rows, self.dtype), first)

    def check(self) -> "Report":
        """The report itself.

        Raises:
            ParityError: when a row is over its budget; the message is the first divergence and the table.
        """
        if not self.ok:
            raise ParityError(str(self))
        return self

    def __str__(self) -> str:
        return "\n".join(table(self))

    def to_json(self) -> str:
        """The report as JSON text; inf and nan as strings. `Report.from_json` reads it back, equal."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["rows"] = [asdict(row) | {"ok": row.ok} for row in self.rows]
        first = self.first_divergence
        summary: dict[str, Any] = {"ok": self.ok, "max_ulp": self.max_ulp, "max_relative": self.max_relative, "bits": self.bits}
        summary["first_divergence"] = first and {
            "stage": first.stage,
            "step": first.step,
            "where": first.where,
            "cause": first.cause,
        }
        return json.dumps(_finite(summary | content), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """The report that `to_json` wrote.

        Raises:
            SpecError: for text that is no such report.
        """
        try:
            content = json.loads(text)
            known: dict[str, Any] = {entry.name: content[entry.name] for entry in fields(cls)}
            known["rows"] = tuple(_row(row) for row in content["rows"])
            return cls(**known)
        except (ValueError, KeyError, TypeError) as error:
            raise SpecError(f"this is no parity report ({error!r}); give the text that Report.to_json wrote") from error

    def to_html(self) -> str:
        """One self-contained page."""
        from isoparam.parity.page import page

        return page([self])


def _cause(first: Row, rows: tuple[Row, ...], dtype: str) -> str:
    if first.stage in ("training", "history"):
        before = [row for row in rows if row.stage == "training" and row.step < first.step]
        gradients = (row for row in rows if row.stage == "gradient" and first.where in (row.where, "loss"))
        noisy = max(gradients, key=lambda row: row.ulp, default=first)
        if noisy.stage == "gradient" and noisy.ulp >= 2.0 ** (FRACTION[dtype] - 1):  # no digit in common
            return (
                f"an entry of the gradient of {noisy.where} is rounding noise ({count(noisy.ulp)} ULP apart, yet only "
                f"{small(noisy.relative)} of the largest entry), and an optimizer that divides by the size of the gradient, "
                "such as Adam, makes a step of it: start elsewhere (a symmetric start cancels), raise eps, or use SGD"
            )
        if not before:
            return (
                "the gradients agree, the first update does not: the optimizers, their options or the first batch differ"
                if first.step == 1
                else "the loss differs before any update: the two runs start from different numbers or batches"
            )
        last = max(before, key=lambda row: (row.step, row.relative))
        return (
            f"the updates agree up to step {last.step} ({small(last.relative)} relative): rounding grows along the trajectory "
            "(try float64 or a smaller lr), or something depends on the step (schedule, data order)"
        )
    return {
        "start": "inverse: the two rules turn the same starting value into different raw numbers",
        "forward": "the two rules disagree: the same raw gives different values",
        "loss": "the values agree, the losses do not: compare the two loss functions (mean or sum, constants, dtypes)",
        "gradient": "the losses agree, their gradients do not: look for detach, stop_gradient, or a kink such as abs and max",
    }[first.stage]


def _finite(content: Any) -> Any:
    """The same tree with inf and nan as strings: JSON has no word for them."""
    if isinstance(content, dict):
        return {key: _finite(part) for key, part in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(part) for part in content]
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content


def _row(content: Mapping[str, Any]) -> Row:
    known = {entry.name: content[entry.name] for entry in fields(Row)}
    known |= {name: _number(known[name]) for name in ("ulp", "relative", "scale", "torch", "jax")}
    budget = known["budget"]
    known["budget"] = Budget(_number(budget["relative"]), budget["cause"])
    known["index"] = tuple(known["index"])
    return Row(**known)


def _number(number: Any) -> float:
    return float(number) if number in ("inf", "-inf", "nan") else number
