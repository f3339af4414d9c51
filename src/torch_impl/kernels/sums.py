"""Sums along the last axis that are rounded once."""

from collections.abc import Callable

import torch
from torch import Tensor as Array
from torch._C._functorch import is_legacy_batchedtensor  # pyright: ignore[reportMissingImports]  no public name says this
from torch.autograd import forward_ad

from torch_impl.kernels.derivatives import with_rule

_BLOCK = 2**16


def on_one_grid(x: Array, size: float) -> tuple[Array, Array]:
    """x as head + tail, exactly. The heads of a vector are multiples of the last digit of size * max|x|, so that
    up to `size` of them add up without rounding, in any order.
    """
    # twin: XLA computes a product anew for head and tail, and may round it in one of them only after the sum: JAX bars that.
    if x.shape[-1] == 0:
        return x, x
    largest = torch.amax(torch.abs(x), dim=-1, keepdim=True).detach()
    grid = torch.clamp(size * largest, max=torch.finfo(x.dtype).max / 8)
    head = (grid + x) - grid
    return head, torch.where(x == head, 0.0, x - head)  # an infinity is all head


def doubled(x: Array) -> bool:
    """Whether float64 holds twice the digits of x, and the device has it."""
    return x.dtype == torch.float32 and x.device.type != "mps"


def in_sight(*arrays: Array) -> bool:
    """Whether numbers can be looked at, without waiting for a device, in an operation that nothing traces."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return False
    return all(x.is_cpu and not is_legacy_batchedtensor(x) for x in arrays)


def dots(a: Array, b: Array) -> Array:
    """The sum of a * b along the last axis, which is kept: by BLAS, which is twice as fast as torch's sum of short rows."""
    return torch.matmul(a * b, a.new_ones(a.shape[-1], 1))


def turned(x: Array) -> Array:
    """The vectors of a matrix as columns, in float64: what torch adds up along the first axis it adds many at a time."""
    return x.t().to(torch.float64, memory_format=torch.contiguous_format)


def in_blocks(function: Callable[..., Array], *arrays: Array, width: int = 0) -> Array:
    """function(*arrays), which works on vectors along the last axis, for many of them a few at a time.

    Memory for float64 numbers between float32 ones then stays in the cache; that of all vectors would be fresh at each
    operation, which costs several times the arithmetic. `function` gives vectors of one length, in any dtype; `width`
    is how many numbers it has for each of them, if more than it gets.
    """
    first = arrays[0]
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    tracked = torch.is_grad_enabled() and any(array.requires_grad for array in arrays)
    if traced or tracked or not all(x.is_cpu and not is_legacy_batchedtensor(x) for x in arrays) or first.shape[-1] == 0:
        return function(*arrays).to(first.dtype)
    if first.ndim != 2:  # torch multiplies matrices faster than stacks of them
        arrays = tuple(array.reshape(-1, array.shape[-1]) for array in arrays)
    if first.numel() <= 2 * _BLOCK or first.shape[-1] > _BLOCK:
        result = function(*arrays).to(first.dtype, memory_format=torch.contiguous_format)
    else:
        result = _by_blocks(function, arrays, max(1, _BLOCK // max(width, first.shape[-1])))
    return result if first.ndim == 2 else result.reshape(*first.shape[:-1], result.shape[-1])


def _by_blocks(function: Callable[..., Array], arrays: tuple[Array, ...], step: int) -> Array:
    result, row = None, 0
    for block in zip(*(array.split(step) for array in arrays), strict=True):
        part = function(*block)
        if result is None:
            result = arrays[0].new_empty(arrays[0].shape[0], part.shape[-1])
        result[row : row + part.shape[0]] = part
        row += part.shape[0]
    assert result is not None
    return result


def parted(wide: Array, dtype: torch.dtype) -> tuple[Array, Array]:
    """A float64 number as one of a narrower dtype and the rest; an infinity is all head."""
    head = wide.to(dtype)
    return head, torch.nan_to_num(wide - head, nan=0.0).to(dtype)


def sum_once(x: Array) -> Array:
    """Sum along the last axis, which is kept, rounded once."""
    # twin: torch computes float32 through float64 where the device has it; a JAX program may have none.
    if doubled(x):
        return torch.sum(x, dim=-1, keepdim=True, dtype=torch.float64).to(x.dtype)
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return torch.sum(head, dim=-1, keepdim=True) + torch.sum(tail, dim=-1, keepdim=True)


@with_rule(
    push=lambda x, y, tangent: torch.cumsum(tangent, dim=-1),
    pull=lambda x, y, cotangent: reverse_cumsum(cotangent),
    keeps_value=False,
)
def cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis, each result rounded once."""
    if doubled(x):
        return torch.cumsum(x, dim=-1, dtype=torch.float64).to(x.dtype)
    head, tail = on_one_grid(x, 4.0 * x.shape[-1])
    return torch.cumsum(head, dim=-1) + torch.cumsum(tail, dim=-1)


def reverse_cumsum(x: Array) -> Array:
    """Cumulative sum along the last axis from its end, rounded at each step."""
    return torch.flip(torch.cumsum(torch.flip(x, (-1,)), dim=-1), (-1,))


def before(x: Array) -> Array:
    """0 in front of x."""
    return torch.nn.functional.pad(x, (1, 0))


def after(x: Array) -> Array:
    """0 behind x."""
    return torch.nn.functional.pad(x, (0, 1))


def sum_by_blocks(x: Array) -> Array:
    """Sum along the last axis, which is kept, rounded a few times only; linear, and the transpose of `spread_by_blocks`."""
    # twin: torch adds in pairs; XLA one entry after the other, so JAX adds blocks of entries, then blocks of blocks.
    return torch.sum(x, dim=-1, keepdim=True)


def spread_by_blocks(number: Array, like: Array) -> Array:
    """A number for each vector, of length 1 along the last axis, repeated as often as `like` is long."""
    # twin: torch adds in pairs; XLA one entry after the other, so JAX adds blocks of entries, then blocks of blocks.
    return number.expand(*number.shape[:-1], like.shape[-1])
