"""The maps behind the scalar rules, with hand-written derivatives; e = exp(-|x|) throughout."""

from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.kernels.derivatives import plain_eager, with_slope
from torch_impl.kernels.elementary import LN2, atanh, divided, exp, expm1, log, log1p, number, shielded, tanh
from torch_impl.kernels.sums import doubled

# torch's own derivatives, called without the layer in Python around them, which costs as much as a hundred entries.
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input._op
_softplus_backward = torch.ops.aten.softplus_backward.default._op


def decay(x: Array) -> Array:
    """e = exp(-|x|), written so that its derivative at 0 is -e: that of |x| there is 0, which is the one of neither side."""
    return exp(torch.where(x < 0, x, -x))


def smaller(x: Array) -> Array:
    """sigmoid(-|x|) = e/(1 + e), the smaller of sigmoid(x) and sigmoid(-x)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    if not torch.compiler.is_compiling():
        return torch.sigmoid(-torch.abs(x))
    e = decay(x)
    return e / (1 + e)


def _sigmoid_pull(cotangent: Array, x: Array) -> Array:
    s = torch.copysign(x, number(-1.0, x.dtype)).sigmoid_()
    return _sigmoid_backward(cotangent, s, grad_input=s)


def _softplus_pull(cotangent: Array, x: Array) -> Array:
    return _softplus_backward(cotangent, x, 1, 40)


def _sigmoid_curvature(x: Array) -> Array:
    return -sigmoid_slope(x) * tanh(x / 2)


@with_slope(_sigmoid_curvature)
def sigmoid_slope(x: Array) -> Array:
    """sigmoid'(x) = s(1 - s) with s = sigmoid(-|x|): never falsely zero, unlike the same with sigmoid(x)."""
    s = smaller(x)
    return torch.addcmul(s, s, s, value=-1)


@with_slope(sigmoid_slope, _sigmoid_pull)
def sigmoid(x: Array) -> Array:
    """1/(1 + exp(-x))."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    if not torch.compiler.is_compiling():
        return torch.sigmoid(x)
    e = decay(x)
    return torch.where(x < 0, e, 1.0) / (1 + e)


@with_slope(sigmoid, _softplus_pull)
def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log1p(e)."""
    # twin: eager torch calls its own kernel, since only the slope is differentiated there; JAX and compiled torch fuse this.
    if not torch.compiler.is_compiling():
        return torch.nn.functional.softplus(x, 1, 40)  # log1p(exp(x)), and x itself above 40
    tail = log1p(decay(x))
    return torch.where(x < 0, tail, x + tail)


@with_slope(lambda y: -1 / expm1(-y))
def softplus_inverse(y: Array) -> Array:
    """log(exp(y) - 1), for y > 0.

    Around its zero at ln 2, from ln 1.5 to 1.3, as log1p(2 expm1(y - ln 2)); elsewhere log(expm1(y)); above 40 it is y.
    At both seams the two cost the same: each has the smaller error where it is used.
    """
    ln2, ln2_tail = LN2[y.dtype]
    near = (y > 0.405465) & (y < 1.3)
    # Under torch.func torch.compile differentiates this body, where a nan of the part not taken would show.
    middle = log1p(2 * expm1((torch.where(near, y, 1.0) - shielded(ln2, y)) - ln2_tail))
    outer = log(expm1(torch.clamp(y, max=40.0)))
    return torch.where(y > 40, y, torch.where(near, middle, outer))


def log_ratio(left: Array, right: Array, half_difference: Array, half_sum: Any) -> Array:
    """log(left/right), accurate where the two are close: there 2 atanh(half_difference/half_sum)."""
    near = (left < 3 * right) & (right < 3 * left)
    quotient = left / right
    whole = (quotient > torch.finfo(left.dtype).tiny) & (quotient < torch.inf)
    far = torch.where(whole, log(torch.where(whole, quotient, 1.0)), log(left) - log(right))
    return torch.where(near, 2 * atanh(torch.where(near, divided(half_difference, half_sum), 0.0)), far)


def _between_curvature(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    return -rate * between_slope(raw, half, rate, steep) * tanh((rate / 2) * raw)


@with_slope(_between_curvature)
def between_slope(raw: Array, half: Any, rate: float, steep: bool) -> Array:
    """d value / d raw of `between`: half 2 rate e/(1 + e)^2."""
    x = rate * raw
    s = smaller(x)
    double = (2 * rate) * s  # inside of the difference, where no compiler multiplies it with a half that is huge
    slope = half * (double - double * s)
    if steep and doubled(x) and plain_eager():  # the square of a root has twice its error
        return torch.where((x < -40) | (x > 40), (half * (decay(x.double()) * (2 * rate))).to(x.dtype), slope)
    return _steep(x, half, 2 * rate, slope) if steep else slope


def _between_pull(
    cotangent: Array,
    raw: Array,
    low: Any,
    high: Any,
    mid: Any,
    mid_tail: Any,
    half: Any,
    rate: float,
    steep: bool,
    crosses: bool,
    form: str,
) -> Array:
    x = torch.copysign(raw if _is_one(rate) else rate * raw, number(-1.0, raw.dtype))
    if steep and not (x.is_cpu and (x.numel() == 0 or x.min().item() > -80)):
        return cotangent * between_slope(raw, half, rate, steep)
    s = x.sigmoid_()
    _sigmoid_backward(cotangent, s, grad_input=s)
    if form == "any" or (form == "odd" and _may_be_huge(half, s)):  # the product may overflow
        return s.mul_(half).mul_(2 * rate)
    factor = (2 * rate) * half
    return s.mul_(factor if isinstance(factor, Array) else number(factor, s.dtype))


@with_slope(
    lambda raw, low, high, mid, mid_tail, half, rate, steep, crosses, form: between_slope(raw, half, rate, steep), _between_pull
)
def between(
    raw: Array,
    low: Any,
    high: Any,
    mid: Any,
    mid_tail: Any,
    half: Any,
    rate: float,
    steep: bool,
    crosses: bool,
    form: str,
) -> Array:
    """mid + half tanh(x/2) with x = rate raw, measured from low, high or mid, whichever loses no digit (`form`)."""
    x = raw if _is_one(rate) else rate * raw
    # twin: eager torch on the CPU checks the numbers before it takes the short form; traced programs cannot.
    if form == "low" and (not _sinks(low, steep) or _all_near(x)):
        return _scaled_and_moved(sigmoid(x), 2 * half, low)
    if form == "high" and (not _sinks(high, steep) or _all_near(x)):
        return _scaled_and_moved(sigmoid(-x), -2 * half, high)
    rise = half * tanh((rate / 2) * raw) if form == "odd" or crosses else x
    if steep and (form == "odd" or crosses):  # raw / 2 may underflow where half * raw / 2 does not
        rise = torch.where((raw > -1e-30) & (raw < 1e-30), (half * (rate / 2)) * raw, rise)
    if form == "odd":
        return rise if rate == 2.0 else shielded(mid, raw) + rise  # tanh(-0.0) is -0.0, this is 0.0
    # twin: around 0 torch measures from mid; JAX from the nearer bound, which is within the bar and has no further function.
    gap = half * smaller(x)
    gap = gap + gap
    gap = _steep(x, half, 2.0, gap) if steep else gap
    outer = torch.where(x < 0, low + gap, high - gap)
    return torch.where((x > -1) & (x < 1), mid + (shielded(mid_tail, raw) + rise), outer) if crosses else outer


def _between_inverse_slope(
    value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, unit: float
) -> Array:
    left, right = unit * value - unit * low, unit * high - unit * value
    near, far = torch.minimum(left, right), torch.maximum(left, right)
    return ((unit + unit * (near / far)) / near) / rate  # 1/left and 1/right may both be subnormal where their sum is not


@with_slope(_between_inverse_slope)
def between_inverse(value: Array, low: Any, high: Any, mid: Any, mid_tail: Any, half: Any, rate: float, unit: float) -> Array:
    """The raw of `between`: log((value - low)/(high - value))/rate; `unit` = 1/2 where high - low may overflow."""
    left, right = unit * value - unit * low, unit * high - unit * value
    # The sum of the two is high - low again, as an array: the reciprocal of a huge constant would be subnormal.
    half_width = left + right if unit == 0.5 else half
    return log_ratio(left, right, (value - shielded(mid, value)) - mid_tail, half_width) / rate


@with_slope(lambda raw, log_peak, log_far, rate: -rate * tanh((rate / 2) * raw))
def between_log_slope(raw: Array, log_peak: Any, log_far: Any, rate: float) -> Array:
    """log of the derivative of `between`: log_peak at 0, log_far - |x| - 2 log1p(e) in the tails, x = rate raw."""
    x = rate * raw
    inner = (x > -2) & (x < 2)
    t = torch.where(inner, tanh((rate / 2) * raw), 0.0)
    outer = (log_far + torch.where(x < 0, x, -x)) - 2 * log1p(decay(x))
    return torch.where(inner, log_peak + log1p(-t * t), outer)


def _steep(x: Array, half: Any, factor: float, near: Array) -> Array:
    """half exp(-|x|) factor in the tails, with half between two roots of the exponential, which underflows before the
    product; `near` elsewhere.
    """
    root = decay(x / 2)
    return torch.where((x < -40) | (x > 40), (half * root) * (root * factor), near)


def _scaled_and_moved(s: Array, factor: Any, shift: Any) -> Array:
    """factor s + shift, in the memory of s where nothing is traced."""
    if torch.compiler.is_compiling():
        return factor * s + shift
    if isinstance(factor, Array):
        return s.mul_(factor).add_(shift)
    return s.mul_(number(factor, s.dtype)).add_(number(shift, s.dtype))


def _may_be_huge(half: Any, like: Array) -> bool:
    return isinstance(half, Array) or half > torch.finfo(like.dtype).max / 4


def _is_one(rate: Any) -> bool:
    return not isinstance(rate, Array) and rate == 1.0


def _sinks(bound: Any, steep: bool) -> bool:
    """Whether a distance from this bound may be a normal number where the exponential behind it is none."""
    return steep and (isinstance(bound, Array) or abs(bound) < 1e-20)


def _all_near(x: Array) -> bool:
    """Whether no |x| is so large that exp(-|x|) is no normal number; on a GPU, where looking would wait for it, unknown."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or x.device.type != "cpu":
        return False
    return x.numel() == 0 or (x.min().item() > -80 and x.max().item() < 80)
