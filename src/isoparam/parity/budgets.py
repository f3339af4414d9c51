"""How far apart two backends may be: one table, per stage, dtype and device, each number with its cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from isoparam.errors import SpecError

Stage = Literal["start", "forward", "loss", "gradient", "training", "history"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Budget:
    """What one array of a stage may differ by.

    Attributes:
        relative: allowed difference of an entry over the scale of its parameter (see `Row.scale`). 0 asks for equal bits.
        cause: why it is not 0.

    Example:
        >>> from isoparam.parity import Budget
        >>> Budget(1e-15, "two roundings on each side").allows(2.2e-16)
        True
    """

    relative: float
    cause: str

    def allows(self, relative: float) -> bool:
        """Whether a difference is within the budget; nan never is."""
        return relative <= self.relative


_START = "each inverse is within 2 ULP of the true raw"
_FORWARD = "each forward is within 2 ULP of the true value (of its bound, where one is added)"
_LOSS = "the two frameworks sum in different orders and round their own elementary functions"
_GRADIENT = "two chains of roundings through the loss, and cancellation between its terms"
_TRAINING = "roundings of every update, carried along; compilers contract a*b + c differently"
_HISTORY = "the loss of parameters that differ by the budget of training"
_GPU = "; on a GPU reductions run in yet another order, without TF32"

#         stage      dtype       CPU    GPU    cause
_TABLE: tuple[tuple[Stage, str, float, float, str], ...] = (
    ("start", "float64", 1e-15, 1e-15, _START),
    ("forward", "float64", 1e-15, 1e-15, _FORWARD),
    ("loss", "float64", 1e-14, 1e-13, _LOSS),
    ("gradient", "float64", 1e-13, 1e-12, _GRADIENT),
    ("training", "float64", 1e-13, 1e-10, _TRAINING),
    ("history", "float64", 1e-13, 1e-10, _HISTORY),
    ("start", "float32", 5e-7, 5e-7, _START),
    ("forward", "float32", 5e-7, 5e-7, _FORWARD),
    ("loss", "float32", 5e-6, 5e-5, _LOSS),
    ("gradient", "float32", 5e-5, 5e-4, _GRADIENT),
    ("training", "float32", 1e-4, 1e-3, _TRAINING),
    ("history", "float32", 1e-4, 1e-3, _HISTORY),
    ("start", "bfloat16", 8e-3, 8e-3, _START),
    ("forward", "bfloat16", 8e-3, 8e-3, _FORWARD),
    ("loss", "bfloat16", 3e-2, 3e-2, _LOSS),
    ("gradient", "bfloat16", 6e-2, 6e-2, _GRADIENT),
    ("training", "bfloat16", 2e-1, 2e-1, _TRAINING),
    ("history", "bfloat16", 2e-1, 2e-1, _HISTORY),
)

BUDGETS: Mapping[tuple[Stage, str, str], Budget] = {
    (stage, dtype, device): Budget(relative, cause + more)
    for stage, dtype, on_cpu, on_gpu, cause in _TABLE
    for device, relative, more in (("cpu", on_cpu, ""), ("gpu", on_gpu, _GPU))
}

# Where a trajectory itself magnifies roundings: measured in float64 on a CPU over 1000 steps. `isoparam.parity.sensitivity`
# measures the last column, from a start whose raw entries are moved by one unit in the last place.
#         problem          optimizer  stage     allowed  torch-JAX  torch-torch
_MEASURED: tuple[tuple[str, str, Stage, float, float, float], ...] = (
    ("nist-gauss1", "LBFGS", "training", 1e-11, 2e-12, 8e-13),
    ("nist-gauss1", "LBFGS", "history", 1e-12, 2e-13, 8e-14),
    ("nist-lanczos1", "LBFGS", "training", 2e-4, 2e-5, 3e-4),
    ("nist-lanczos1", "LBFGS", "history", 1e-10, 1.3e-11, 9e-12),
    ("nist-lanczos2", "LBFGS", "training", 4e-4, 4e-5, 1e-4),
    ("nist-lanczos2", "LBFGS", "history", 5e-11, 6e-12, 5e-12),
    ("nist-lanczos3", "LBFGS", "training", 2e-4, 3e-5, 2e-5),
    ("nist-lanczos3", "LBFGS", "history", 5e-11, 6e-12, 8e-12),
    ("nist-mgh09", "LBFGS", "training", 1e-12, 2e-13, 1e-12),
    ("nist-mgh10", "LBFGS", "training", 2e-9, 3e-10, 5e-10),
    ("nist-mgh10", "LBFGS", "history", 1e-10, 2e-11, 3e-11),
)

SENSITIVE: Mapping[tuple[str, str], Mapping[str, Budget]] = {
    (problem, optimizer): {
        stage: Budget(
            relative,
            f"the trajectory magnifies roundings: torch and JAX part by {apart:.0e}, and torch parts from itself by "
            f"{alone:.0e} when its start is moved by one unit in the last place",
        )
        for name, algorithm, stage, relative, apart, alone in _MEASURED
        if (name, algorithm) == (problem, optimizer)
    }
    for problem, optimizer, *_ in _MEASURED
}
"""{(built-in problem, class of optimizer): {stage: what `compare` allows}}, in float64 on a CPU."""


def budgets_for(
    dtype: str,
    device: str,
    changes: Mapping[str, Budget | float] | None = None,
    problem: str | None = None,
    optimizer: str | None = None,
) -> dict[str, Budget]:
    """The budget of every stage.

    Args:
        dtype: "float64", "float32" or "bfloat16".
        device: "cpu", or any name of a GPU ("cuda", "gpu").
        changes: {stage: Budget, or the allowed relative difference as a number}, in place of the table's.
        problem: name of a built-in problem, which may have a row in `SENSITIVE`.
        optimizer: name of the class of the optimizer, such as "LBFGS".

    Raises:
        SpecError: for a dtype or a stage that the table does not have, or a change that is no budget.

    Example:
        >>> from isoparam.parity import budgets_for
        >>> budgets_for("float64", "cpu")["training"].relative
        1e-13
        >>> budgets_for("float64", "cuda", {"training": 1e-8})["training"]
        Budget(relative=1e-08, cause='given by the caller')
    """
    kind = "cpu" if device.partition(":")[0] == "cpu" else "gpu"
    if ("start", dtype, kind) not in BUDGETS:
        known = ", ".join(repr(name) for name in dict.fromkeys(row[1] for row in _TABLE))
        raise SpecError(f"no budgets for dtype={dtype!r}; choose one of {known}")
    budgets: dict[str, Budget] = {stage: BUDGETS[stage, dtype, kind] for stage in STAGES}
    if (dtype, kind) == ("float64", "cpu"):
        budgets.update(SENSITIVE.get((problem or "", optimizer or ""), {}))
    for stage, change in (changes or {}).items():
        if stage not in budgets:
            raise SpecError(f"budgets has no stage {stage!r}; choose from {', '.join(map(repr, STAGES))}")
        budgets[stage] = _as_budget(stage, change)
    return budgets


def _as_budget(stage: str, change: Budget | float) -> Budget:
    if isinstance(change, Budget):
        return change
    if isinstance(change, bool) or not isinstance(change, int | float) or not change >= 0:
        raise SpecError(f"budgets[{stage!r}] must be a Budget or an allowed relative difference such as 1e-10, got {change!r}")
    return Budget(float(change), "given by the caller")
