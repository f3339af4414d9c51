"""The third witness: every spec written down again, from its definition, in 50-digit arithmetic; never code under test.

A formula gives `forward`, `inverse`, `log_abs_det`, `pullback` (J^T w) and `log_abs_det_gradient` of one vector, as mpmath
numbers. A scalar spec is a vector of independent entries whose log_abs_det has one number per entry. A matrix arrives as a
list of its rows (raw too, where its `raw_rank` is 2); every result is a flat list, row by row, and log_abs_det a list of
one. Bounds arrive as the numbers that the dtype holds. `exact` evaluates a formula with more and more digits until 50 of
them stand still, so that no formula has to care about cancellation.
"""

from collections.abc import Callable
from typing import Any

import mpmath as mp

import isoparam as iso

DIGITS = 50
NOTHING = mp.mpf(10) ** -900
FORMULAS: dict[type[iso.Spec], Any] = {}


def formula_of(spec_type: type[iso.Spec]) -> Callable[[type], type]:
    def register(formula: type) -> type:
        FORMULAS[spec_type] = formula
        return formula

    return register


def exact(formula: Callable[..., list[mp.mpf]], *arguments: Any) -> list[mp.mpf]:
    """The results of a formula, with more digits each time until two runs agree to 50 digits of each result."""
    digits, before = 70, None
    while digits < 3000:
        with mp.workdps(digits):
            now = formula(*arguments)
            if before is not None and all(_settled(a, b, digits) for a, b in zip(before, now, strict=True)):
                return now
        digits, before = 2 * digits, now
    raise ArithmeticError(f"{formula} does not settle at {arguments}")


def _settled(before: mp.mpf, now: mp.mpf, digits: int) -> bool:
    if mp.isnan(before) or mp.isnan(now):
        return bool(mp.isnan(before) and mp.isnan(now))
    if abs(now) < NOTHING:  # believed only with more digits than any number of a dtype, or its square, has zeros
        return digits > 1000
    return bool(before == now or abs(before - now) <= abs(now) * mp.mpf(10) ** -DIGITS)
