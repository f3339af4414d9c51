"""exp, expm1, log, log1p, tanh and atanh to about one ULP: what every map is built from.

# twin: torch's own are within 1 ULP; XLA's exp, expm1, log1p, tanh and atanh on the CPU are off by 1.4 to 126 ULP
# (float64), so these are written here from +, -, *, / and its log, which is within 1 ULP in float32 and 0.52 in float64.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import with_slope

# ln 2 as a rounded number and its tail.
LN2 = {
    torch.float32: (0.6931471824645996, -1.904654323148236e-09),
    torch.float64: (0.6931471805599453, 2.3190468138462996e-17),
}


def _exp_slope(x: Array) -> Array:
    return exp(x)


def _tanh_slope(x: Array) -> Array:
    return sech2(x)


def _sech2_slope(x: Array) -> Array:
    return -2 * tanh(x) * sech2(x)


def exp(x: Array) -> Array:
    """e^x."""
    return torch.exp(x)


@with_slope(_exp_slope)
def expm1(x: Array) -> Array:
    """e^x - 1, without cancellation near 0."""
    return torch.expm1(x)


def log(x: Array) -> Array:
    """The natural logarithm."""
    return torch.log(x)


def log1p(x: Array) -> Array:
    """log(1 + x), for x > -1."""
    return torch.log1p(x)


@with_slope(_tanh_slope)
def tanh(x: Array) -> Array:
    """tanh x."""
    return torch.tanh(x)


@with_slope(_sech2_slope)
def sech2(x: Array) -> Array:
    """tanh'(x) = 4e/(1 + e)^2 with e = exp(-2|x|)."""
    size = torch.abs(x)
    root = 2 * exp(-size)
    e = exp(-2 * size)
    near = 4 * e / (1 + e * (2 + e))
    return torch.where(size > 20, root * root, near)  # there 1 + e is 1, and e underflows before 4 e does


def atanh(x: Array) -> Array:
    """atanh x, for |x| <= 1/2."""
    return torch.atanh(x)


def shielded(number: Any, like: Array) -> Any:
    """A constant in the dtype of `like` that the compiler may not fold into another constant.

    # twin: XLA rewrites (a + 1) - 1 as a, and (a + c) + d as a + (c + d); torch.compile does not.
    """
    del like
    return number


@lru_cache(maxsize=256)
def number(value: float, dtype: torch.dtype) -> Array:
    """A constant as an array without axes, which torch multiplies faster than a float where there are few entries."""
    with torch.inference_mode(mode=False):  # what is made in inference mode cannot be kept for a derivative later
        return torch.tensor(value, dtype=dtype, device="cpu")


def divided(x: Array, constant: Any) -> Array:
    """x / constant, rounded once.

    # twin: XLA multiplies by the rounded reciprocal of a constant, also of a shielded one; torch divides.
    """
    return x / constant


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as a rounded number and its exact rounding error (Knuth). Shield a constant."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def half_digits(x: Array) -> Array:
    """x rounded to half its digits, so that the product of two such numbers is exact; its derivative is 1."""
    # twin: torch cuts by Veltkamp's product, JAX by reduce_precision, which stays itself when JAX transposes it.
    scaled = 4097.0 * x if x.dtype == torch.float32 else 134217729.0 * x
    return torch.where(torch.isfinite(scaled), scaled - (scaled - x), x)


def power_below(x: Array) -> Array:
    """The largest |x| along the last axis, which is kept, as a power of 2 below it.

    The power and its reciprocal are normal numbers: for the largest numbers, subnormal ones and 0 the nearest such power.
    """
    # twin: XLA on the CPU takes subnormal numbers for 0 when it compares or multiplies, so JAX reads their bits.
    largest = torch.amax(torch.abs(x), dim=-1, keepdim=True).detach()
    tiny = torch.finfo(x.dtype).tiny
    power = largest / (2 * torch.frexp(largest).mantissa)
    power = torch.where(largest == 0, tiny, torch.clamp(power, min=tiny, max=1 / tiny))
    return torch.where(torch.isfinite(largest), power, torch.nan)


def exponent_of(x: Array) -> Array:
    """e of x = m 2^e with 1/2 <= m < 1, for positive normal numbers."""
    return mantissa_and_exponent(x)[1]


def mantissa_and_exponent(x: Array) -> tuple[Array, Array]:
    """m and e of x = m 2^e with 1/2 <= m < 1, for positive normal numbers; not differentiated."""
    x = x.detach()
    m, e = torch.frexp(x)
    if torch.compiler.is_compiling():  # inductor writes no valid C++ for the exponents of float64 (torch 2.13)
        return m, torch.where((x > 0) & torch.isfinite(x), torch.round(torch.log2(x / (2 * m))) + 1, 0)
    return m, e.to(x.dtype)


def times_power(x: Array, power: Array) -> Array:
    """x * power, for a power of 2; power is not differentiated."""
    # twin: XLA on the CPU takes subnormal numbers for 0 when it compares or multiplies, so JAX reads their bits.
    return x * power
