"""The logarithms of some numbers near 1, and of 2, to twice the precision: what logarithms in two parts are built from."""

from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

_DIGITS = Context(prec=50)
FINENESS = 1024
"""The numbers are whole multiples of 1/FINENESS, from 1/sqrt(2) to sqrt(2)."""
FIRST, LAST = 724, 1449


class LogTable(NamedTuple):
    """log(k/FINENESS) for k from FIRST to LAST as a number and its rounding error, and ln 2 in three parts.

    The first two parts of ln 2 have so few bits that their products with every exponent of the dtype are exact.
    """

    head: Any
    rest: Any
    ln2_first: float
    ln2_next: float
    ln2_rest: float


@lru_cache(maxsize=2)
def log_table(dtype: type[np.floating]) -> LogTable:
    """The table in a dtype."""
    logs = [Fraction(_DIGITS.ln(Decimal(k) / FINENESS)) for k in range(FIRST, LAST + 1)]
    head = np.array([float(number) for number in logs]).astype(dtype)
    rest = np.array([float(number - Fraction(float(known))) for number, known in zip(logs, head, strict=True)]).astype(dtype)
    bits = np.finfo(dtype).nmant + 1 - {np.float32: 8, np.float64: 11}[dtype]
    ln2, parts = Fraction(_DIGITS.ln(Decimal(2))), []
    for _ in range(2):
        mantissa, exponent = np.frexp(float(ln2))
        parts.append(float(np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)))
        ln2 -= Fraction(parts[-1])
    return LogTable(head, rest, parts[0], parts[1], float(dtype(float(ln2))))


def log_parts(number: float, dtype: type[np.floating]) -> tuple[float, float]:
    """The logarithm of a positive number as a number of a dtype and its rounding error."""
    exact = Fraction(_DIGITS.ln(Decimal(number)))
    head = float(dtype(float(exact)))
    return head, float(dtype(float(exact - Fraction(head))))
