"""Arguments that several calls take, and losses as they come out: checked, or SpecError."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from isoparam.errors import SpecError
from isoparam.plain import plain
from isoparam.plan import DTYPES, WIDTHS
from isoparam.schedules import ReduceLROnPlateau, as_schedule
from isoparam.specs.bounds import Shape


def whole(name: str, value: Any, least: int = 1) -> int:
    """An int of at least `least`, or SpecError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SpecError(f"{name}={value!r} must be a whole number, at least {least}")
    return int(value)


def place(name: str, value: Any, example: str = "a directory, such as 'runs/first'") -> Path:
    """A path of the user, or SpecError for what can be none.

    Args:
        name: of the argument.
        value: what was given.
        example: how the message calls what is wanted.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise SpecError(f"{name}={value!r} must be {example}")
    path = Path(value)
    if path.parts and path.parts[0].startswith("~"):
        raise SpecError(
            f"{name}={str(value)!r}: only a shell reads ~ as your home; write Path({str(value)!r}).expanduser(), or "
            f"{'./' + str(value)!r} for a directory of that name"
        )
    return path


def check_tolerance(tol_grad: Any) -> float | None:
    """The tolerance as a float, None for none; SpecError for anything but a number of at least 0."""
    tol_grad = plain(tol_grad)
    if tol_grad is None:
        return None
    number = isinstance(tol_grad, int | float) and not isinstance(tol_grad, bool)
    if not number or not isfinite(tol_grad) or tol_grad < 0:
        raise SpecError(f"tol_grad={tol_grad!r} must be a finite number, at least 0, or None")
    return float(tol_grad)


def check_loss_value(shape: Shape, floating: bool, kind: str, bits: int, dtype: str) -> None:
    """Raise SpecError unless a loss came out as one real number that keeps the digits of the run.

    Args:
        shape: of the loss.
        floating: whether it is a floating number.
        kind: its dtype.
        bits: of its dtype.
        dtype: of the run.
    """
    if tuple(shape) != ():
        raise SpecError(f"the loss has shape {tuple(shape)}; it must be a scalar of shape (), so end it with .sum() or .mean()")
    if not floating:
        raise SpecError("the loss is no floating number; compute it from values, which are floating")
    if bits < WIDTHS[dtype]:
        raise SpecError(
            f"the loss is {kind} in a {dtype} run: something in it casts values or data to {kind}, and their other digits are "
            f"lost; remove the cast, or train(..., dtype={kind if kind in DTYPES else 'float32'!r})"
        )


def check_schedule(schedule: Any) -> None:
    """Raise SpecError unless schedule is None or one that knows its rates beforehand."""
    if schedule is not None and isinstance(as_schedule(schedule), ReduceLROnPlateau):
        raise SpecError(
            f"schedule={schedule!r} follows the loss, which a transformation of optax is not told; isoparam.train follows "
            f"it, and rates_for(lr, losses) gives its rates"
        )


def check_real(name: str, dtype: str, floating: bool) -> None:
    """Raise SpecError for a parameter that an optimizer cannot move as it should.

    Args:
        name: of the parameter, with its article.
        dtype: of it.
        floating: whether it holds real floating numbers.
    """
    if not floating:
        cure = "split it into its real and imaginary part" if "complex" in dtype else "make it floating, or leave it out"
        raise SpecError(f"{name} is {dtype}, and optimizers move real floating numbers; {cure}")


def steps_of(spec: Any, known: Mapping[type, Any]) -> Any:
    """What does one update of this optimizer, or SpecError."""
    rule = known.get(type(spec))
    if rule is None:
        raise SpecError(f"step: {spec!r} is no optimizer that needs nothing but the gradient; take `optimizer` or `train`")
    return rule


def check_dtype(dtype: Any) -> None:
    """Raise SpecError unless dtype is one of those that both backends train in."""
    if dtype not in DTYPES:
        raise SpecError(f"unknown dtype={dtype!r}; choose one of {', '.join(map(repr, DTYPES))}")
